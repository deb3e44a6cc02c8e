//! What of a delta is carried over, and what is refused.

use std::collections::BTreeMap;

use super::*;
use crate::board::Arch;
use crate::packages::data;
use crate::packages::testing::{TarEntry, tar_of};
use crate::tree::testing::{file, link, program, tree};

const ELF: &[u8] = b"\x7fELF\x02\x01amd64 code";
const ARM: &[u8] = b"\x7fELF\x02\x01arm64 code, longer";

/// What came of it, contents read.
#[derive(Debug)]
struct Outcome {
    entries: Vec<DataEntry>,
    contents: BTreeMap<TreePath, Content>,
}

/// Carries a delta with these entries over.
fn carried(delta: &[TarEntry<'_>], twin: &Tree, target: &Tree) -> Result<Outcome, String> {
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("delta.tar");
    std::fs::write(&tar, tar_of(delta)).unwrap();
    let entries = data::data_entries(&tar).unwrap();
    let none = BTreeMap::new();
    let side = |tree| Side { debs: &none, tree };
    let carried =
        carry(&tar, entries, &side(twin), &side(target), Rewrite::new(Arch::Amd64, Arch::Arm64)).map_err(|error| format!("{error:#}"))?;
    let mut contents = carried.contents(target).unwrap();
    // The folder goes with the test: what is left to the tar is read now.
    for entry in &carried.entries {
        if let DataKind::File { offset, len } = entry.kind {
            let bytes = Content::Slice { file: Arc::new(tar.clone()), offset, len }.read().unwrap();
            contents.entry(entry.path.clone()).or_insert(Content::Bytes(bytes));
        }
    }
    Ok(Outcome { entries: carried.entries, contents })
}

fn regular<'a>(path: &'a str, content: &'a [u8]) -> TarEntry<'a> {
    (path, tar::EntryType::Regular, 0o4755, "", content)
}

fn text(carried: &Outcome, path: &str) -> String {
    String::from_utf8_lossy(&carried.contents.get(path).unwrap().read().unwrap()).into_owned()
}

#[test]
fn a_changed_mode_keeps_the_targets_own_machine_code() {
    let (twin, target) = (tree(&[("usr/bin/x", program(ELF))]), tree(&[("usr/bin/x", program(ARM))]));
    let carried = carried(&[regular("./usr/bin/x", ELF)], &twin, &target).unwrap();
    assert_eq!(&*carried.contents["usr/bin/x"].read().unwrap(), ARM);
    assert_eq!(carried.entries[0].mode, 0o4755);
}

#[test]
fn machine_code_that_a_script_made_is_refused() {
    let empty = tree(&[]);
    let error = carried(&[regular("./usr/lib/made.so", ELF)], &empty, &empty).unwrap_err();
    assert!(error.contains("/usr/lib/made.so is machine code of the twin"), "{error}");
    // Nor is an edited program.
    let shipped = tree(&[("usr/bin/x", program(b"\x7fELF other"))]);
    assert!(carried(&[regular("./usr/bin/x", ELF)], &shipped, &shipped).unwrap_err().contains("machine code"));
    let error = carried(&[regular("./var/lib/x.db", b"a\0b")], &empty, &empty).unwrap_err();
    assert!(error.contains("binary data"), "{error}");
    assert!(carried(&[regular("./usr/lib/udev/hwdb.bin", b"a\0b")], &empty, &empty).is_ok());
}

#[test]
fn a_copy_follows_the_target_s_version() {
    let side = |version: &str| tree(&[("usr/share/base-files/motd", file(version))]);
    let carried = carried(&[regular("./etc/motd", b"welcome 8")], &side("welcome 8"), &side("welcome to 7")).unwrap();
    assert_eq!(text(&carried, "etc/motd"), "welcome to 7");
}

#[test]
fn an_edited_file_needs_the_same_file_on_both_sides() {
    let shipped = tree(&[("etc/app.conf", file("a=1\n"))]);
    let delta = [regular("./etc/app.conf", b"a=2\n")];
    assert_eq!(text(&carried(&delta, &shipped, &shipped).unwrap(), "etc/app.conf"), "a=2\n");
    let other = tree(&[("etc/app.conf", file("a=1\nb=1\n"))]);
    for target in [&other, &tree(&[])] {
        assert!(carried(&delta, &shipped, target).unwrap_err().contains("a script edited /etc/app.conf"));
    }
}

#[test]
fn texts_and_paths_are_rewritten_and_what_no_rule_knows_is_refused() {
    let empty = tree(&[]);
    let delta = [regular("./etc/x86_64-linux-gnu.conf", b"/usr/lib/x86_64-linux-gnu of libc6:amd64\n")];
    let made = carried(&delta, &empty, &empty).unwrap();
    assert_eq!(text(&made, "etc/aarch64-linux-gnu.conf"), "/usr/lib/aarch64-linux-gnu of libc6:arm64\n");
    let error = carried(&[regular("./etc/arch", b"ARCH=x86_64\n")], &empty, &empty).unwrap_err();
    assert!(error.contains("/etc/arch names the twin's architecture (`x86_64`)"), "{error}");
}

#[test]
fn a_link_must_lead_on_the_target_where_it_led_in_the_twin() {
    let twin = tree(&[("usr/lib/x86_64-linux-gnu/p", file("p")), ("usr/lib/only-here", file("p"))]);
    let target = tree(&[("usr/lib/aarch64-linux-gnu/p", file("p"))]);
    let to = |to: &'static str| -> [TarEntry<'static>; 1] { [("./etc/alternatives/p", tar::EntryType::Symlink, 0o777, to, b"")] };
    let made = carried(&to("/usr/lib/x86_64-linux-gnu/p"), &twin, &target).unwrap();
    assert_eq!(made.entries[0].kind, DataKind::Symlink("/usr/lib/aarch64-linux-gnu/p".to_owned()));
    assert!(carried(&to("../../usr/lib/only-here"), &twin, &target).unwrap_err().contains("which the target does not ship"));
    // What led nowhere in the twin may do so here.
    assert!(carried(&to("/run/later"), &twin, &target).is_ok());
    let merged = tree(&[("lib", link("usr/lib")), ("usr/lib/q", file("q"))]);
    assert!(carried(&to("/lib/q"), &merged, &merged).is_ok());
}

#[test]
fn packages_must_be_the_same_by_name() {
    let deb = |name: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.deb");
        std::fs::write(&path, crate::packages::testing::deb_of(name, "", b"x")).unwrap();
        Deb::open(&path).unwrap()
    };
    let (a, b, other_a) = (deb("aa"), deb("bb"), deb("aa"));
    let rewrite = Rewrite::new(Arch::Amd64, Arch::Arm64);
    let (both, one): (Debs<'_>, Debs<'_>) = ([("aa", &a), ("bb", &b)].into(), [("aa", &other_a)].into());
    assert!(check_packages(&both, &both, rewrite).is_ok());
    let error = check_packages(&both, &one, rewrite).unwrap_err().to_string();
    assert!(error.contains("only in the twin: [bb]; only on the target: []"), "{error}");
}
