//! What every app's image must be, checked on its whole tree before a layer is packed.

use anyhow::{Result, bail};
use contract::apps::{ANSWERS, App};

use crate::board::Arch;
use crate::tree::lints::{missing_libraries, wrong_architecture};
use crate::tree::{Kind, Tree};

/// Findings that are shown.
const SHOWN_MAX: usize = 20;
const SETUID_SETGID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;
const ANYONE_EXECUTES: u32 = 0o111;

/// What is wrong, each with the rule that it breaks; nothing if the image is good.
pub fn find(app: &App, arch: Arch, tree: &Tree) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for program in [app.run.command.first().map(String::as_str), Some(ANSWERS)].into_iter().flatten() {
        if tree.file(program).is_none_or(|(_, entry)| entry.mode & ANYONE_EXECUTES == 0) {
            found.push(format!("{program} must be there, and a program"));
        }
    }
    for (path, entry) in tree.iter() {
        let file = matches!(entry.kind, Kind::File(_) | Kind::Hardlink(_));
        if file && entry.mode & SETUID_SETGID != 0 {
            found.push(format!("/{path} has mode {:o}: a container needs no setuid program, leave it out", entry.mode));
        }
        let sticky = entry.mode & STICKY != 0 && matches!(entry.kind, Kind::Directory);
        if entry.mode & OTHERS_WRITE != 0 && !sticky && !matches!(entry.kind, Kind::Symlink(_) | Kind::CharDevice(..)) {
            found.push(format!("/{path} may be changed by everybody"));
        }
        if matches!(entry.kind, Kind::CharDevice(..)) {
            found.push(format!("/{path} is a device"));
        }
        if path.starts_with("etc/ssl/private/") || path.starts_with("etc/ssh/ssh_host_") {
            found.push(format!("/{path} is a secret that all nodes would share"));
        }
    }
    found.extend(wrong_architecture(tree, arch)?);
    found.extend(missing_libraries(tree, arch)?);
    Ok(found)
}

/// Refuses an image that breaks a rule.
pub fn check(app: &App, arch: Arch, tree: &Tree) -> Result<()> {
    let found = find(app, arch, tree)?;
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0).map(|more| format!("\n  and {more} more")).unwrap_or_default();
    let shown: String = found.iter().take(SHOWN_MAX).map(|finding| format!("\n  {finding}")).collect();
    bail!("the image of {} for {arch} is not right:{shown}{more}", app.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;
    use crate::tree::testing::{elf, file, folder, program, tree};
    use std::path::Path;

    fn app() -> App {
        let text = include_str!("../../../images/apps/mosquitto/app.toml");
        contract::apps::read(Path::new("images/apps/mosquitto/app.toml"), text).unwrap()
    }

    fn good() -> Tree {
        let app = app();
        let start = app.run.command[0].trim_start_matches('/').to_owned();
        tree(&[("usr", folder()), ("usr/bin/x", program(elf(62))), (start.as_str(), program("#!")), (&ANSWERS[1..], program("#!"))])
    }

    #[test]
    fn a_good_image_passes_and_each_rule_can_be_broken() {
        let app = app();
        assert_eq!(find(&app, Arch::Amd64, &good()).unwrap(), Vec::<String>::new());
        let breaks = |path: &str, entry: Option<Entry>, wanted: &str| {
            let mut tree = good();
            match entry {
                Some(entry) => drop(tree.insert(path.to_owned(), entry)),
                None => drop(tree.remove(path)),
            }
            let found = find(&app, Arch::Amd64, &tree).unwrap().join("\n");
            assert!(found.contains(wanted), "{path}: {found}");
            assert!(check(&app, Arch::Amd64, &tree).is_err());
        };
        breaks(&ANSWERS[1..], None, "must be there");
        breaks(&ANSWERS[1..], Some(file("#!")), "must be there, and a program");
        breaks("usr/bin/su", Some(Entry { mode: 0o4755, ..program("su") }), "setuid");
        breaks("srv/all", Some(Entry { mode: 0o777, ..folder() }), "everybody");
        breaks("etc/ssl/private/k.key", Some(file("k")), "secret");
        breaks("usr/bin/y", Some(program(elf(183))), "ELF machine 183");
        breaks("dev/null", Some(Entry { kind: Kind::CharDevice(1, 3), ..file("") }), "device");
    }
}
