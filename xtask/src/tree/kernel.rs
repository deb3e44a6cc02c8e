//! Where the files of a kernel lie in the tree: its packages have moved them (Debian 13's own kernel, and 7 of its
//! backports).

use super::{Content, Kind, Tree};

/// A kernel of the tree.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    tree: &'a Tree,
    release: &'a str,
}

/// What a kernel's packages do not bring.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file is in none of the places where it may be.
    #[error("the packages of kernel {release} bring none of: {places}")]
    Missing {
        /// `uname -r`.
        release: String,
        /// Where it was looked for.
        places: String,
    },
    /// A device tree is not there.
    #[error("the packages of kernel {release} bring no device tree `{file}`{mend}")]
    NoDeviceTree {
        /// `uname -r`.
        release: String,
        /// Its name.
        file: String,
        /// What there is.
        mend: String,
    },
}

impl<'a> Kernel<'a> {
    /// The kernel of that release.
    pub fn new(tree: &'a Tree, release: &'a str) -> Self {
        Self { tree, release }
    }

    /// The tree that it lies in.
    pub fn tree(self) -> &'a Tree {
        self.tree
    }

    /// The image that boot loaders read.
    pub fn image(self) -> Result<&'a Content, KernelError> {
        self.file("vmlinuz")
    }

    /// What it was built with.
    pub fn config(self) -> Result<&'a Content, KernelError> {
        self.file("config")
    }

    fn file(self, name: &str) -> Result<&'a Content, KernelError> {
        let places = [format!("boot/{name}-{}", self.release), format!("usr/lib/modules/{}/{name}", self.release)];
        places.iter().find_map(|place| content(self.tree, place)).ok_or_else(|| KernelError::Missing {
            release: self.release.to_owned(),
            places: places.map(|place| format!("/{place}")).join(", "),
        })
    }

    /// The device tree of that name, in whichever folder it is.
    pub fn device_tree(self, file: &str) -> Result<&'a Content, KernelError> {
        let all: Vec<&str> = self.device_trees().collect();
        let path = all.iter().find(|path| name(path) == file);
        path.and_then(|path| content(self.tree, path)).ok_or_else(|| {
            let near = crate::board::nearest(file, all.iter().map(|path| name(path)));
            let mend = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            KernelError::NoDeviceTree { release: self.release.to_owned(), file: file.to_owned(), mend }
        })
    }

    fn device_trees(self) -> impl Iterator<Item = &'a str> {
        let folders = [format!("usr/lib/linux-image-{}", self.release), format!("usr/lib/modules/{}/dtb", self.release)];
        let below = move |folder: String| self.tree.below(&folder).map(|(path, _)| path.as_str());
        folders.into_iter().flat_map(below).filter(|path| path.ends_with(".dtb"))
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn content<'a>(tree: &'a Tree, path: &str) -> Option<&'a Content> {
    match &tree.get(path)?.kind {
        Kind::File(content) => Some(content),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, tree};
    use super::*;

    #[test]
    fn both_layouts_of_packages_are_known() {
        let old = tree(&[("boot/vmlinuz-6", file("old")), ("usr/lib/linux-image-6/broadcom/a-b.dtb", file("t"))]);
        assert_eq!(Kernel::new(&old, "6").image().unwrap().len(), 3);
        assert_eq!(Kernel::new(&old, "6").device_tree("a-b.dtb").unwrap().len(), 1);
        let new = tree(&[("usr/lib/modules/7/config", file("config")), ("usr/lib/modules/7/dtb/x/a-b.dtb", file("tt"))]);
        assert_eq!(Kernel::new(&new, "7").config().unwrap().len(), 6);
        assert_eq!(Kernel::new(&new, "7").device_tree("a-b.dtb").unwrap().len(), 2);
        let error = Kernel::new(&new, "7").image().unwrap_err().to_string();
        assert_eq!(error, "the packages of kernel 7 bring none of: /boot/vmlinuz-7, /usr/lib/modules/7/vmlinuz");
        let error = Kernel::new(&old, "6").device_tree("a-c.dtb").unwrap_err().to_string();
        assert_eq!(error, "the packages of kernel 6 bring no device tree `a-c.dtb`; did you mean `a-b.dtb`?");
    }
}
