//! dpkg's database, written as if dpkg had unpacked every package and configured none (deb-status of dpkg(1), /var/lib/dpkg).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::Unpacked;
use crate::packages::data::DataEntry;
use crate::packages::deb::{ControlFields, Deb};

/// Control members that dpkg does not keep under info/.
const NOT_KEPT: [&str; 2] = ["control", "conffiles-obsolete"];

/// What dpkg needs to know of an unpacked package; the rest (long descriptions, homepages) is left out.
const STATUS_FIELDS: [&str; 14] = [
    "Package",
    "Essential",
    "Protected",
    "Maintainer",
    "Architecture",
    "Multi-Arch",
    "Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Conflicts",
    "Breaks",
    "Section",
];

/// The stem of a package's files under info/: with the architecture where several may be installed together.
pub fn info_name(control: &ControlFields) -> String {
    match control.multi_arch() {
        Some("same") => format!("{}:{}", control.package(), control.architecture()),
        _ => control.package().to_owned(),
    }
}

/// Names of the Essential packages and of all that they depend on: what every script may count on.
pub fn essential<'c>(controls: &[&'c ControlFields]) -> Vec<&'c str> {
    let mut by_name: BTreeMap<String, &ControlFields> = BTreeMap::new();
    for control in controls {
        for provided in control.provides() {
            by_name.entry(provided.name).or_insert(control);
        }
    }
    // A real package wins over those that provide its name.
    by_name.extend(controls.iter().map(|control| (control.package().to_owned(), *control)));
    let mut todo: Vec<&ControlFields> = controls.iter().copied().filter(|control| control.essential()).collect();
    let mut found = BTreeSet::new();
    while let Some(control) = todo.pop() {
        if found.insert(control.package()) {
            let needs = control.pre_depends().into_iter().chain(control.depends());
            // Of alternatives, the first that is here; dpkg itself says if that is not enough.
            todo.extend(needs.filter_map(|group| group.iter().find_map(|relation| by_name.get(&relation.name).copied())));
        }
    }
    found.into_iter().collect()
}

/// Writes the database below `root`. `debs` and `files` go in step.
pub(super) fn write(root: &Path, debs: &[Deb], files: &[Unpacked]) -> Result<()> {
    let admin = root.join("var/lib/dpkg");
    let info = admin.join("info");
    for folder in [&info, &admin.join("updates"), &admin.join("triggers"), &admin.join("alternatives"), &admin.join("parts")] {
        fs::create_dir_all(folder)?;
    }
    fs::write(info.join("format"), "1\n")?;
    fs::write(admin.join("arch"), "amd64\n")?;
    fs::write(admin.join("available"), "")?;
    fs::write(admin.join("diversions"), "")?;
    fs::write(admin.join("statoverride"), "")?;
    let mut status = String::new();
    let mut file_triggers = BTreeSet::new();
    let mut named_triggers = BTreeSet::new();
    let mut shipped = BTreeSet::new();
    for (deb, Unpacked { entries, .. }) in debs.iter().zip(files) {
        let name = info_name(&deb.control);
        fs::write(info.join(format!("{name}.list")), list(entries))?;
        shipped.extend(entries.iter().map(|entry| format!("/{}", entry.path)));
        for (member, (mode, bytes)) in deb.members.iter().filter(|(member, _)| !NOT_KEPT.contains(&member.as_str())) {
            let path = info.join(format!("{name}.{member}"));
            fs::write(&path, bytes).with_context(|| format!("failed to write `{}`", path.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode & 0o777))?;
        }
        if let Some((_, text)) = deb.members.get("triggers") {
            for (trigger, awaited) in interests(&String::from_utf8_lossy(text)) {
                let line = format!("{trigger} {name}{}", if awaited { "" } else { "/noawait" });
                if trigger.starts_with('/') {
                    file_triggers.insert(line)
                } else {
                    named_triggers.insert((trigger, format!("{name}{}\n", if awaited { "" } else { "/noawait" })))
                };
            }
        }
        status.push_str(&paragraph(deb));
    }
    fs::write(admin.join("status"), status)?;
    fs::write(admin.join("triggers/File"), file_triggers.iter().fold(String::new(), |text, line| text + line + "\n"))?;
    for (trigger, line) in &named_triggers {
        let path = admin.join("triggers").join(trigger);
        let before = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, before + line)?;
    }
    fs::write(admin.join("triggers/Unincorp"), pending(&file_triggers, &shipped))?;
    Ok(())
}

/// dpkg's list of a package's paths: absolute, the root as `/.`.
fn list(entries: &[DataEntry]) -> String {
    entries.iter().fold(String::new(), |mut text, entry| {
        let _ = writeln!(text, "/{}", if entry.path.is_empty() { "." } else { &entry.path });
        text
    })
}

/// A package's paragraph of the status file.
fn paragraph(deb: &Deb) -> String {
    let mut text = String::new();
    for field in STATUS_FIELDS {
        if let Some(value) = deb.control.get(field) {
            let _ = writeln!(text, "{field}: {}", value.replace('\n', " "));
        }
    }
    // Without one, every program that reads the database says so, for each package.
    if let Some(synopsis) = deb.control.get("Description").and_then(|text| text.lines().next()) {
        let _ = writeln!(text, "Description: {synopsis}");
    }
    text.push_str("Status: install ok unpacked\n");
    if let Some((_, conffiles)) = deb.members.get("conffiles") {
        text.push_str("Conffiles:\n");
        for path in String::from_utf8_lossy(conffiles).lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
        {
            let _ = writeln!(text, " {path} newconffile");
        }
    }
    text.push('\n');
    text
}

/// The triggers that a package waits for: name or path, and whether activators wait for it (deb-triggers(5)).
fn interests(text: &str) -> Vec<(String, bool)> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let awaited = match words.next()? {
                "interest" | "interest-await" => true,
                "interest-noawait" => false,
                _ => return None,
            };
            Some((words.next()?.to_owned(), awaited))
        })
        .collect()
}

/// The file triggers that unpacking would have activated: each watched path below which some package ships something.
fn pending(file_triggers: &BTreeSet<String>, shipped: &BTreeSet<String>) -> String {
    let paths: BTreeSet<&str> = file_triggers.iter().filter_map(|line| line.split(' ').next()).collect();
    paths
        .into_iter()
        .filter(|path| shipped.range((*path).to_owned()..).next().is_some_and(|first| first.starts_with(path)))
        .map(|path| format!("{path} -\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_scripts_count_on_is_essential_with_its_needs() {
        let control = |text: &str| ControlFields::parse(text).unwrap();
        let all = [
            control("Package: sh\nEssential: yes\nPre-Depends: libc (>= 1)\nDepends: gone | awk"),
            control("Package: mawk\nProvides: awk\nDepends: sh"),
            control("Package: libc\nDepends: libgcc"),
            control("Package: libgcc"),
            control("Package: app\nDepends: sh"),
        ];
        assert_eq!(essential(&all.iter().collect::<Vec<_>>()), ["libc", "libgcc", "mawk", "sh"]);
    }

    #[test]
    fn interests_are_read_with_their_kind() {
        let text = "# c\ninterest-noawait /usr/share/x\ninterest ldconfig\nactivate-noawait other\n";
        assert_eq!(interests(text), [("/usr/share/x".to_owned(), false), ("ldconfig".to_owned(), true)]);
    }

    #[test]
    fn only_watched_paths_that_are_shipped_are_pending() {
        let triggers = ["/usr/share/x a".to_owned(), "/usr/share/y b/noawait".to_owned()].into();
        let shipped = ["/usr/share/x/file".to_owned(), "/usr/share/z".to_owned()].into();
        assert_eq!(pending(&triggers, &shipped), "/usr/share/x -\n");
    }
}
