//! Selecting from a made-up kernel: real (if tiny) ELF files, packed as Debian packs them.

use std::io::Write;

use super::*;
use crate::tree::testing::{file, paths, tree};

const RELEASE: &str = "6.1-test";

/// An ELF file with a section `.modinfo` and nothing else.
fn elf(modinfo: &str) -> Vec<u8> {
    const HEADER: usize = 64;
    let names = b"\0.modinfo\0.shstrtab\0";
    let data: Vec<u8> = modinfo.bytes().chain(*b"\0").collect();
    let table = (HEADER + data.len() + names.len()).next_multiple_of(8);
    let mut bytes = Vec::new();
    bytes.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\x3e\0\x01\0\0\0");
    bytes.extend([0; 16]);
    bytes.extend((table as u64).to_le_bytes());
    bytes.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
    bytes.extend(&data);
    bytes.extend(names);
    bytes.resize(table + 64, 0);
    for (name, kind, offset, size) in [(1u32, 1u32, HEADER, data.len()), (10, 3, HEADER + data.len(), names.len())] {
        bytes.extend(name.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend((offset as u64).to_le_bytes());
        bytes.extend((size as u64).to_le_bytes());
        bytes.extend([0; 8]);
        bytes.extend(1u64.to_le_bytes());
        bytes.extend([0; 8]);
    }
    bytes
}

fn packed(modinfo: &str) -> Vec<u8> {
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    writer.write_all(&elf(modinfo)).unwrap();
    writer.finish().unwrap()
}

fn kernel() -> Tree {
    let module = |path: &str| format!("usr/lib/modules/{RELEASE}/kernel/{path}");
    let entries = [
        (module("fs/a-fs.ko.xz"), file(packed("depends=lib-a\0softdep=pre: soft hidden"))),
        (module("lib/lib_a.ko.xz"), file(packed("depends=\0firmware=f.bin"))),
        (module("lib/soft.ko"), file(elf("alias=x"))),
        (module("drivers/gpu/hidden.ko.xz"), file(packed(""))),
        (module("drivers/net/card.ko.xz"), file(packed("depends=hidden"))),
        (format!("usr/lib/modules/{RELEASE}/modules.builtin"), file("kernel/drivers/built-in.ko\n")),
        ("etc/other".to_owned(), file("")),
    ];
    let entries: Vec<(&str, Entry)> = entries.iter().map(|(path, entry)| (path.as_str(), entry.clone())).collect();
    tree(&entries)
}

fn select(tree: &Tree, keep: &[&str], drop: &[&str], also: &[&str], always: &[&'static str]) -> Result<Modules, ModulesError> {
    let globs = |list: &[&str]| Globs::new(list).unwrap();
    let rules = Select { keep: globs(keep), drop: globs(drop) };
    Modules::select(tree, RELEASE, &Wanted { rules: &rules, also: &globs(also), always, devices: &Drivers::default() })
}

/// The same with the drivers that device trees ask for: `root` for what holds the root, `all` for everything.
fn select_for(root: &[&str], all: &[&str], drop: &[&str]) -> Result<Modules, ModulesError> {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    let rules = Select { keep: Globs::new(&["lib/soft"]).unwrap(), drop: Globs::new(drop).unwrap() };
    let devices = Drivers { root: names(root), all: names(all) };
    Modules::select(&kernel(), RELEASE, &Wanted { rules: &rules, also: &Globs::new::<&str>(&[]).unwrap(), always: &[], devices: &devices })
}

fn names(modules: &Modules) -> Vec<&str> {
    modules.by_name.keys().map(String::as_str).collect()
}

#[test]
fn what_a_kept_module_needs_is_kept_and_a_softdep_only_where_the_rules_allow() {
    let modules = select(&kernel(), &["fs/**"], &["drivers/gpu/**"], &[], &[]).unwrap();
    assert_eq!(names(&modules), ["a_fs", "lib_a", "soft"]);
    assert_eq!(modules.before("a_fs"), ["soft", "lib_a"]);
    assert_eq!(modules.firmware(), BTreeSet::from(["f.bin"]));
    let modules = select(&kernel(), &["drivers/net/**"], &["drivers/gpu/**"], &[], &[]).unwrap();
    assert_eq!(names(&modules), ["card", "hidden"], "a real dependency goes before `drop`");
    let modules = select(&kernel(), &["lib/soft"], &["drivers/gpu/**"], &["drivers/gpu/hidden"], &["built_in", "lib-a"]).unwrap();
    assert_eq!(names(&modules), ["hidden", "lib_a", "soft"], "what the initramfs carries, and what init needs");
}

#[test]
fn a_driver_that_a_device_tree_asks_for_stays_unless_the_rules_drop_it() {
    assert_eq!(names(&select_for(&[], &[], &[]).unwrap()), ["soft"]);
    let modules = select_for(&[], &["a_fs", "card"], &[]).unwrap();
    assert_eq!(names(&modules), ["a_fs", "card", "hidden", "lib_a", "soft"], "no glob keeps it, the device does, with all that it needs");
    assert_eq!(names(&select_for(&[], &["a_fs", "hidden"], &["drivers/gpu/**"]).unwrap()), ["a_fs", "lib_a", "soft"]);
    assert_eq!(names(&select_for(&[], &["built_in", "of_another_kernel"], &[]).unwrap()), ["soft"], "what is not there is not missed");
}

#[test]
fn a_driver_that_leads_to_the_root_must_be_there_whatever_the_rules_drop() {
    let modules = select_for(&["card"], &["card"], &["drivers/**"]).unwrap();
    assert_eq!(names(&modules), ["card", "hidden", "soft"]);
    assert_eq!(names(&select_for(&["built-in"], &[], &[]).unwrap()), ["soft"]);
    let error = select_for(&["reg"], &["reg"], &[]).unwrap_err().to_string();
    assert_eq!(error, "kernel 6.1-test has no module `reg`, which a device tree needs, and it is not built in");
}

#[test]
fn what_newer_kernels_have_built_into_their_core_is_asked_only_of_older_ones() {
    let always = &["crc32c_generic", "libcrc32c", "lib-a"];
    assert_eq!(names(&select(&kernel(), &["fs/**"], &["drivers/gpu/**"], &[], always).unwrap()), ["a_fs", "lib_a", "soft"]);
    let mut older = kernel();
    older.insert(format!("usr/lib/modules/{RELEASE}/kernel/lib/libcrc32c.ko.xz"), file(packed("softdep=pre: crc32c")));
    let error = select(&older, &["fs/**"], &["drivers/gpu/**"], &[], always).unwrap_err().to_string();
    assert_eq!(error, "kernel 6.1-test has no module `crc32c_generic`, which init needs, and it is not built in");
    older.insert(format!("usr/lib/modules/{RELEASE}/kernel/crypto/crc32c_generic.ko.xz"), file(packed("alias=crc32c")));
    assert!(select(&older, &["fs/**"], &["drivers/gpu/**"], &[], always).unwrap().has("crc32c_generic"));
}

#[test]
fn modules_are_laid_plain_in_the_place_of_all_others() {
    let before = kernel();
    let modules = select(&before, &["fs/**"], &["drivers/gpu/**"], &[], &[]).unwrap();
    let after = modules.lay(before, &Indexes::new());
    let kernel: Vec<&str> = paths(&after).into_iter().filter_map(|path| path.strip_prefix("usr/lib/modules/6.1-test/kernel/")).collect();
    assert_eq!(kernel, ["fs", "fs/a-fs.ko", "lib", "lib/lib_a.ko", "lib/soft.ko"]);
    assert!(after.get("etc/other").is_some());
}

#[test]
fn the_index_is_what_depmod_wrote() {
    let before = kernel();
    let modules = select(&before, &["lib/soft"], &[], &[], &[]).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let depmod = |root: &Path, release: &str| -> std::io::Result<()> {
        assert!(root.join("lib/modules").join(release).join("kernel/lib/soft.ko").exists());
        assert!(root.join("usr/lib/modules").join(release).join("modules.builtin").exists());
        std::fs::write(root.join("usr/lib/modules").join(release).join("modules.dep"), "dep")
    };
    let indexes = modules.indexes(&before, scratch.path(), depmod).unwrap();
    assert!(modules.lay(before.clone(), &indexes).get("usr/lib/modules/6.1-test/modules.dep").is_some());
    let scratch = tempfile::tempdir().unwrap();
    let error = modules.indexes(&before, scratch.path(), |_, _| Err(std::io::Error::other("no"))).unwrap_err();
    assert_eq!(error.to_string(), "depmod failed for the modules of kernel 6.1-test");
}

#[test]
fn what_is_wrong_is_named() {
    let error = |result: Result<Modules, ModulesError>| result.unwrap_err().to_string();
    let idle = error(select(&kernel(), &["fs/**", "fss/**"], &["x"], &[], &[]));
    assert_eq!(
        idle,
        "kernel 6.1-test has no module for these globs of the board or family file:\n  \
         modules.keep: nothing matches `fss/**`; there is `fs`, `lib`, `drivers`\n  \
         modules.drop: nothing matches `x`; there is `fs`, `lib`, `drivers`"
    );
    let missing = error(select(&kernel(), &["fs/**"], &[], &[], &["erofs"]));
    assert_eq!(missing, "kernel 6.1-test has no module `erofs`, which init needs, and it is not built in");
    assert!(
        error(select(&tree(&[]), &[], &[], &[], &[]))
            .starts_with("the tree holds no modules of kernel 6.1-test below /usr/lib/modules/6.1-test")
    );
    let mut bad = kernel();
    bad.insert(format!("usr/lib/modules/{RELEASE}/kernel/fs/bad.ko"), file("#!"));
    assert!(error(select(&bad, &["fs/bad"], &[], &[], &[])).starts_with("/usr/lib/modules/6.1-test/kernel/fs/bad.ko is no kernel module"));
    let mut cut = kernel();
    cut.insert(format!("usr/lib/modules/{RELEASE}/kernel/fs/cut.ko.xz"), file(&packed("")[..20]));
    assert_eq!(
        error(select(&cut, &["fs/cut"], &[], &[], &[])),
        "cannot read the kernel module /usr/lib/modules/6.1-test/kernel/fs/cut.ko.xz"
    );
}

#[test]
fn a_selection_is_found_again_until_an_input_changes_and_damage_is_noticed() {
    let cache = tempfile::tempdir().unwrap();
    let globs = |list: &[&str]| Globs::new(list).unwrap();
    let rules = Select { keep: globs(&["fs/**"]), drop: globs(&[]) };
    let devices = Drivers::default();
    let wanted = Wanted { rules: &rules, also: &globs(&[]), always: &[], devices: &devices };
    let before = kernel();
    let place = |tree: &Tree| kept::Place::of(cache.path(), tree, RELEASE, &wanted, "depmod 1");
    let made = Modules::select(&before, RELEASE, &wanted).unwrap();
    assert!(place(&before).load(&before, RELEASE).is_none());
    let indexes = Indexes::from([("modules.dep".to_owned(), Arc::from(&b"dep"[..]))]);
    place(&before).store(&made, &indexes).unwrap();
    let (found, found_indexes) = place(&before).load(&before, RELEASE).unwrap();
    let shown = |modules: &Modules| format!("{modules:?}");
    assert_eq!((shown(&found), found_indexes), (shown(&made), indexes));

    let mut changed = kernel();
    changed.insert(format!("usr/lib/modules/{RELEASE}/kernel/fs/a-fs.ko.xz"), file(packed("depends=")));
    assert!(place(&changed).load(&changed, RELEASE).is_none(), "another module");
    let other = Wanted { also: &globs(&["lib/soft"]), ..wanted };
    assert!(kept::Place::of(cache.path(), &before, RELEASE, &other, "depmod 1").load(&before, RELEASE).is_none(), "other rules");

    let file = std::fs::read_dir(cache.path().join("modules")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(&file, &whole[..whole.len() - 700]).unwrap();
    assert!(place(&before).load(&before, RELEASE).is_none(), "a file that a crash cut short");
}
