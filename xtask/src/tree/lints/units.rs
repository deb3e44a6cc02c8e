//! Rules on systemd's units.

use super::{LintError, Subject};
use crate::tree::{Kind, TreePath};

type Found = Result<Vec<String>, LintError>;

/// Where units lie, the strongest first (systemd.unit(5)).
const FOLDERS: [&str; 2] = ["etc/systemd/system", "usr/lib/systemd/system"];
/// Where a program without a path is looked for (systemd.service(5), "Command lines").
const PATH: [&str; 2] = ["usr/sbin", "usr/bin"];
/// Must not run at first boot: the first asks at the console, the second makes keys in the volatile /etc.
const MASKED: [&str; 2] = ["systemd-firstboot.service", "sshd-keygen.service"];
/// Where a mask points.
const MASK: &str = "/dev/null";
/// Conditions under which a unit without its program is not started.
const CONDITIONS: [&str; 4] = ["ConditionPathExists", "ConditionFileIsExecutable", "ConditionPathIsExecutable", "AssertPathExists"];

pub fn programs(subject: &Subject<'_>) -> Found {
    let mut found = Vec::new();
    for (path, _) in FOLDERS.iter().flat_map(|folder| subject.tree.below(folder)).filter(|(path, entry)| {
        // Drop-ins (`.conf`) name programs too.
        matches!(entry.kind, Kind::File(_)) && [".service", ".socket", ".mount", ".swap", ".conf"].iter().any(|kind| path.ends_with(kind))
    }) {
        if is_masked(subject, unit_of(path)) {
            continue;
        }
        let text = subject.text(path)?.unwrap_or_default();
        for program in text.lines().filter_map(program) {
            let conditional = CONDITIONS.iter().any(|condition| text.contains(&format!("{condition}={program}")));
            if !conditional && !exists(subject, program) {
                found.push(format!("/{path}: there is no program {program}"));
            }
        }
    }
    Ok(found)
}

/// The unit that a file or drop-in is about.
fn unit_of(path: &TreePath) -> &str {
    path.split('/').find_map(|part| part.strip_suffix(".d")).unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path))
}

/// The program of an `Exec…=` line, where the line alone says it.
fn program(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    if !key.trim().starts_with("Exec") || key.trim() == "ExecSearchPath" {
        return None;
    }
    let command = value.trim().trim_start_matches(['@', ':', '+', '!', '|']);
    // `-`: it may fail, so it may be absent.
    let word = command.split_ascii_whitespace().next().filter(|word| !word.starts_with('-'))?;
    let word = word.trim_matches(['"', '\'']);
    // Specifiers and variables are known at run time only.
    (!word.contains(['%', '$'])).then_some(word)
}

fn exists(subject: &Subject<'_>, program: &str) -> bool {
    let runs = |path: &str| subject.tree.file(path).is_some_and(|(_, entry)| entry.mode & 0o111 != 0);
    if program.starts_with('/') { runs(program) } else { PATH.iter().any(|folder| runs(&format!("{folder}/{program}"))) }
}

fn is_masked(subject: &Subject<'_>, unit: &str) -> bool {
    FOLDERS
        .iter()
        .find_map(|folder| subject.tree.get(&format!("{folder}/{unit}")))
        .is_some_and(|entry| matches!(&entry.kind, Kind::Symlink(target) if target == MASK))
}

pub fn masked(subject: &Subject<'_>) -> Found {
    let there = |unit: &&&str| FOLDERS.iter().any(|folder| subject.tree.get(&format!("{folder}/{unit}")).is_some());
    let loose = MASKED.iter().filter(there).filter(|unit| !is_masked(subject, unit));
    Ok(loose.map(|unit| format!("{unit} is not masked; lay /etc/systemd/system/{unit} → {MASK} over the tree")).collect())
}
