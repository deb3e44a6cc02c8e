//! `cargo xtask why BOARD PATH`: where a file of the image comes from.

use anyhow::{Result, bail};
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::tree::{Kind, Tree};
use crate::twin::rules;

/// Names the origin of a file of a board's image.
#[derive(Args)]
pub struct WhyVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// An absolute path on the node.
    path: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
}

impl WhyVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let plan = super::plan::make(&super::root()?, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(super::root()?, None)?;
        let packages = stages::packages(&shop, &plan)?;
        let delta = stages::delta(&shop, &plan)?;
        let whole = stages::whole_tree(&shop, &plan, &packages, &delta)?;
        let path = self.path.trim_matches('/');
        if whole.get(path).is_none() && whole.resolve(path).is_err() {
            if let Some(reason) = rules::left_out(path) {
                println!("/{path} is left out of the delta: {reason}");
                return Ok(());
            }
            bail!("no package, overlay or maintainer script brings /{path}");
        }
        print!("{}", explain(&whole, path));
        if plan.prune.drops(&format!("/{path}")) {
            println!("  but it is left out of the image by a rule of the flavour's [prune]");
        }
        Ok(())
    }
}

/// What the tree says of a path, each link on the way on a line of its own.
fn explain(tree: &Tree, path: &str) -> String {
    let mut text = String::new();
    let mut line = |path: &str| {
        if let Some(entry) = tree.get(path) {
            let what = match &entry.kind {
                Kind::Directory => "folder".to_owned(),
                Kind::File(content) => format!("file of {} bytes", content.len()),
                Kind::Symlink(target) => format!("link to {target}"),
                Kind::Hardlink(target) => format!("second name of /{target}"),
                Kind::CharDevice(major, minor) => format!("character device {major}:{minor}"),
            };
            text.push_str(&format!(
                "/{path}: {what}, mode {:04o}, owner {}:{}\n  from {}\n",
                entry.mode, entry.uid, entry.gid, entry.origin
            ));
        }
    };
    if let Ok(found) = tree.resolve(path) {
        found.links.iter().for_each(|link| line(link));
        line(&found.path);
    } else {
        line(path);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::testing::{entry, file, folder, hardlink, link, program, tree};
    use crate::tree::{Entry, Origin};

    #[test]
    fn each_kind_is_told_with_mode_owner_and_origin() {
        let of = |origin: Origin, entry: Entry| Entry { origin, ..entry };
        let systemd = Origin::Package { name: "systemd".to_owned(), version: "257.8-1".to_owned() };
        let tree = tree(&[
            ("etc", folder()),
            ("etc/os-release", of(systemd.clone(), link("../usr/lib/os-release"))),
            ("etc/group", Entry { gid: 42, ..of(Origin::Delta, file("root:x:0:")) }),
            ("etc/lost", link("gone")),
            ("usr/bin/cloudy", of(Origin::Builder("agent"), program("elf"))),
            ("usr/bin/second", hardlink("usr/bin/cloudy")),
            ("usr/lib/os-release", of(Origin::Overlay("overlay/common/usr/lib/os-release".to_owned()), file("NAME"))),
            ("dev/null", entry(Kind::CharDevice(1, 3), 0o666)),
        ]);
        assert_eq!(
            explain(&tree, "etc/os-release"),
            "/etc/os-release: link to ../usr/lib/os-release, mode 0777, owner 0:0\n  from package systemd 257.8-1\n\
             /usr/lib/os-release: file of 4 bytes, mode 0644, owner 0:0\n  from overlay/common/usr/lib/os-release\n"
        );
        assert_eq!(
            explain(&tree, "etc/group"),
            "/etc/group: file of 9 bytes, mode 0644, owner 0:42\n  from the twin's configuration (a maintainer script made it)\n"
        );
        assert_eq!(
            explain(&tree, "usr/bin/cloudy"),
            "/usr/bin/cloudy: file of 3 bytes, mode 0755, owner 0:0\n  from the builder (agent)\n"
        );
        assert!(explain(&tree, "usr/bin/second").starts_with("/usr/bin/second: second name of /usr/bin/cloudy, mode 0644"));
        assert!(explain(&tree, "dev/null").starts_with("/dev/null: character device 1:3, mode 0666"));
        assert!(explain(&tree, "etc").starts_with("/etc: folder, mode 0755"));
        // A link that leads nowhere is told all the same, and what is not there is not.
        assert!(explain(&tree, "etc/lost").starts_with("/etc/lost: link to gone"));
        assert_eq!(explain(&tree, "etc/absent"), "");
    }
}
