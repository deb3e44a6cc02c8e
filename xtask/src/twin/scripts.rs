//! Whether the maintainer scripts that ran in the twin are those that would have run on the target.
//!
//! Scripts and triggers must be equal once names of architectures are rewritten. Where a package is known to differ, the table says
//! which lines, and why the delta is right all the same.

use std::collections::BTreeMap;

use crate::packages::deb::Deb;

use super::rewrite::Rewrite;

/// Members of a control part that are run, or say what is run when; the others describe the package.
const MEMBERS: [&str; 5] = ["preinst", "postinst", "config", "triggers", "templates"];

/// A known difference between a package's members on two architectures.
struct Known {
    package: &'static str,
    /// Lines that only the twin's may have (trimmed, rewritten).
    twin: &'static [&'static str],
    /// Lines that only the target's may have.
    target: &'static [&'static str],
    /// Why it does not matter.
    #[expect(dead_code, reason = "for the reader of this table")]
    reason: &'static str,
}

const KNOWN: &[Known] = &[
    Known {
        package: "base-files",
        twin: &["rtlddir=\"lib64\"", "for d in lib32 libo32 libx32; do"],
        target: &["rtlddir=\"\"", "for d in lib32 lib64 libo32 libx32; do", "interest-noawait /usr/lib64"],
        reason: "which of /lib* are links into /usr: the package ships the links, and the tree merges what lies below them",
    },
    Known {
        package: "libc6",
        twin: &[
            "if [ ! -L \"${DPKG_ROOT}/lib64\" ] && [ ! -d \"${DPKG_ROOT}/lib64\" ]; then",
            "mkdir -p \"$DPKG_ROOT/usr/lib64\"",
            "ln -s usr/lib64 \"${DPKG_ROOT}/lib64\"",
            "rtlddir=/lib64",
        ],
        target: &[
            "if [ ! -L \"${DPKG_ROOT}/lib\" ] && [ ! -d \"${DPKG_ROOT}/lib\" ]; then",
            "mkdir -p \"$DPKG_ROOT/usr/lib\"",
            "ln -s usr/lib \"${DPKG_ROOT}/lib\"",
            "rtlddir=/lib",
        ],
        reason: "the folder of the dynamic loader, which base-files' links lead to",
    },
];

/// A member that differs in a way that the table does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {member} of {package} ({twin_version} in the twin, {target_version} on the target) does other things on the two architectures, so that \
     what it did in the twin can't be carried over; {lines}"
)]
pub struct Differs {
    /// The package.
    pub package: String,
    /// The member of its control part.
    pub member: &'static str,
    twin_version: String,
    target_version: String,
    lines: String,
}

/// Compares what the two packages run.
///
/// # Errors
/// The first member that differs.
pub fn compare(twin: &Deb, target: &Deb, rewrite: Rewrite) -> Result<(), Differs> {
    let package = target.control.package();
    for member in MEMBERS {
        let text = |deb: &Deb| deb.members.get(member).map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        if let Some(lines) = unknown(package, &rewrite.text(&text(twin)), &text(target)) {
            return Err(Differs {
                package: package.to_owned(),
                member,
                twin_version: twin.control.version().to_owned(),
                target_version: target.control.version().to_owned(),
                lines,
            });
        }
    }
    Ok(())
}

/// The differing lines that the table does not allow, for people; `None`: there are none.
fn unknown(package: &str, twin: &str, target: &str) -> Option<String> {
    let (mut only_twin, mut only_target) = differing(twin, target);
    if let Some(known) = KNOWN.iter().find(|known| known.package == package) {
        only_twin.retain(|line| !known.twin.contains(line));
        only_target.retain(|line| !known.target.contains(line));
    }
    if only_twin.is_empty() && only_target.is_empty() {
        // The same lines in another order are another script.
        let same = |text: &str| significant(text).map(str::to_owned).collect::<Vec<_>>();
        let known = KNOWN.iter().any(|known| known.package == package);
        return (!known && same(twin) != same(target)).then(|| "its lines stand in another order".to_owned());
    }
    let side = |name: &str, lines: &[&str]| lines.first().map(|line| format!("only {name}: `{line}`"));
    let shown: Vec<String> = [side("in the twin", &only_twin), side("on the target", &only_target)].into_iter().flatten().collect();
    Some(shown.join("; "))
}

/// Lines that are run: trimmed, without comments and empty ones.
fn significant(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && (!line.starts_with('#') || line.starts_with("#!")))
}

/// Lines that stand more often on one side than on the other.
fn differing<'t>(twin: &'t str, target: &'t str) -> (Vec<&'t str>, Vec<&'t str>) {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    significant(twin).for_each(|line| *counts.entry(line).or_default() += 1);
    significant(target).for_each(|line| *counts.entry(line).or_default() -= 1);
    let lines = |more: fn(i64) -> bool| counts.iter().filter(|(_, count)| more(**count)).map(|(line, _)| *line).collect();
    (lines(|count| count > 0), lines(|count| count < 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indents_are_no_difference_and_anything_else_is() {
        let script = "#!/bin/sh\n# by debhelper 13.24\nset -e\n  echo a\necho b\n";
        assert_eq!(unknown("p", script, "#!/bin/sh\n# by debhelper 13.20\n\nset -e\necho a\necho b\n"), None);
        let text = unknown("p", script, "#!/bin/sh\nset -e\necho a\necho c\n").unwrap();
        assert_eq!(text, "only in the twin: `echo b`; only on the target: `echo c`");
        assert_eq!(unknown("p", script, "#!/bin/sh\nset -e\necho b\necho a\n").unwrap(), "its lines stand in another order");
        assert!(unknown("p", script, "").is_some() && unknown("p", "", script).is_some());
    }

    #[test]
    fn a_known_difference_is_known_for_its_package_and_its_lines_alone() {
        let (twin, target) = ("rtlddir=\"lib64\"\n", "rtlddir=\"\"\n");
        assert_eq!(unknown("base-files", twin, target), None);
        assert!(unknown("bash", twin, target).is_some());
        assert!(unknown("base-files", twin, "rtlddir=\"other\"\n").is_some());
        assert!(unknown("base-files", "rtlddir=\"lib64\"\nrm -rf /\n", target).is_some());
    }

    proptest::proptest! {
        #[test]
        fn a_script_is_equal_to_itself_and_to_no_longer_one(lines in proptest::collection::vec("[a-z ]{1,9}[a-z]", 0..8), more in "[a-z]{1,9}") {
            let script = lines.join("\n");
            proptest::prop_assert_eq!(unknown("p", &script, &script), None);
            let longer = format!("{script}\n{more}");
            proptest::prop_assert!(unknown("p", &script, &longer).is_some());
        }
    }
}
