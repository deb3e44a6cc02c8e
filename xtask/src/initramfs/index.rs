//! Which modules the initramfs carries, and the index by which init finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::board::Globs;
use crate::tree::modules::Modules;

/// The modules of an initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index<'a> {
    /// Loaded always, in order.
    load: Vec<&'a str>,
    /// Each module with all that must be loaded before it, in load order.
    needs: BTreeMap<&'a str, Vec<&'a str>>,
    /// Pattern of a device → module.
    aliases: BTreeSet<(&'a str, &'a str)>,
}

impl<'a> Index<'a> {
    /// The modules whose path `wanted` matches, those of `devices`, and those of `always` that are not built in, with all that
    /// these need.
    pub fn of(modules: &'a Modules, wanted: &Globs, devices: &BTreeSet<String>, always: &[&str]) -> Self {
        let named = |name: &&str| modules.by_name.get_key_value(*name).map(|(name, _)| name.as_str());
        let load: Vec<&str> = always.iter().filter_map(named).collect();
        let by_path = modules.by_name.iter().filter(|(_, module)| wanted.matches(module.stem())).map(|(name, _)| name.as_str());
        let mut needs = BTreeMap::new();
        let of_devices = devices.iter().filter_map(|name| named(&name.as_str()));
        let mut todo: Vec<&str> = load.iter().copied().chain(by_path).chain(of_devices).collect();
        while let Some(name) = todo.pop() {
            if !needs.contains_key(name) {
                let before = modules.before(name);
                todo.extend(&before);
                needs.insert(name, before);
            }
        }
        let aliases = needs
            .keys()
            .filter_map(|name| modules.by_name.get_key_value(*name))
            .flat_map(|(name, module)| module.info.aliases.iter().map(|alias| (alias.as_str(), name.as_str())))
            // Names for the kernel's own requests, and for modprobe, are nobody's modalias.
            .filter(|(alias, _)| alias.contains(':') && !alias.contains(char::is_whitespace))
            .collect();
        Self { load, needs, aliases }
    }

    /// Names of all modules.
    pub fn names(&self) -> BTreeSet<String> {
        self.needs.keys().map(|name| (*name).to_owned()).collect()
    }

    /// The text, as [`contract::paths::INITRAMFS_INDEX`] describes it.
    pub fn render(&self) -> String {
        let mut text = String::new();
        for name in &self.load {
            let _ = writeln!(text, "load {name}");
        }
        for (name, before) in self.needs.iter().filter(|(_, before)| !before.is_empty()) {
            let _ = writeln!(text, "dep {name} {}", before.join(" "));
        }
        for (pattern, name) in &self.aliases {
            let _ = writeln!(text, "alias {pattern} {name}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::modules::Module;
    use crate::tree::modules::testing::modules;

    fn module(depends: &[&str], before: &[&str], aliases: &[&str]) -> Module {
        Module::sample(depends, before, aliases)
    }

    #[test]
    fn what_is_needed_comes_first_and_softdeps_are_found_by_alias() {
        let modules = modules(&[
            ("fs/erofs", module(&["libcrc32c"], &[], &["fs-erofs"])),
            ("lib/libcrc32c", module(&[], &["crc32c"], &[])),
            ("crypto/crc32c_generic", module(&[], &[], &["crc32c"])),
            ("drivers/nvme", module(&["nvme_core"], &[], &["pci:v*i02*", "dmi:* spaced*"])),
            ("drivers/nvme_core", module(&["libcrc32c"], &["not_there"], &[])),
            ("drivers/other", module(&[], &[], &["pci:x"])),
        ]);
        let index = Index::of(&modules, &Globs::new(&["drivers/nvme"]).unwrap(), &BTreeSet::new(), &["erofs", "built_in"]);
        assert_eq!(
            index.render(),
            "load erofs\n\
             dep erofs crc32c_generic libcrc32c\n\
             dep libcrc32c crc32c_generic\n\
             dep nvme crc32c_generic libcrc32c nvme_core\n\
             dep nvme_core crc32c_generic libcrc32c\n\
             alias pci:v*i02* nvme\n"
        );
        assert_eq!(index.names().len(), 5);
    }

    #[test]
    fn a_circle_of_softdeps_ends() {
        let modules = modules(&[("a", module(&["b"], &[], &[])), ("b", module(&[], &["a"], &[]))]);
        assert_eq!(Index::of(&modules, &Globs::new(&["a"]).unwrap(), &BTreeSet::new(), &[]).render(), "dep a b\ndep b a\n");
    }

    #[test]
    fn what_a_device_tree_asks_for_is_there_to_be_loaded_when_it_is_asked_for() {
        let modules = modules(&[
            ("drivers/reg", module(&["core"], &[], &["of:N*T*Cx"])),
            ("core", module(&[], &[], &[])),
            ("b", module(&[], &[], &[])),
        ]);
        let devices = BTreeSet::from(["reg".to_owned(), "built_in".to_owned()]);
        let index = Index::of(&modules, &Globs::new::<&str>(&[]).unwrap(), &devices, &[]);
        assert_eq!(index.render(), "dep reg core\nalias of:N*T*Cx reg\n");
    }
}
