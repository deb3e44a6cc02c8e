//! What every image must be, checked on the finished tree: a table of lints, each with what it says and why.

mod accounts;
mod elf;
mod files;
mod kernel;
pub mod radio;
#[cfg(test)]
mod tests;
mod units;

pub use elf::parse as parse_elf;
pub use elf::{missing_libraries, wrong_architecture};

use super::Tree;
use super::modules::Modules;
use crate::plan::Plan;

/// Findings of one lint that are shown; a broken rule can have thousands.
const SHOWN_MAX: usize = 20;

/// What is looked at.
pub struct Subject<'a> {
    /// The root as it will be written.
    pub tree: &'a Tree,
    /// The plan.
    pub plan: &'a Plan,
    /// The kernel modules that stayed.
    pub modules: &'a Modules,
    /// The kernel's configuration (`/boot/config-RELEASE` of its package).
    pub kernel_config: &'a str,
}

/// One rule.
#[derive(Debug)]
pub struct Lint {
    /// What findings are called by.
    pub name: &'static str,
    /// The rule, and why it is one.
    pub description: &'static str,
    /// What breaks it, in words; nothing if the image is good.
    pub check: fn(&Subject<'_>) -> Result<Vec<String>, LintError>,
}

/// A file of the tree that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read /{path}, which a lint looks at")]
pub struct LintError {
    path: String,
    #[source]
    source: std::io::Error,
}

/// All that is wrong with an image.
#[derive(Debug)]
pub struct Findings(Vec<(&'static Lint, Vec<String>)>);

/// Every rule, in the order in which they are checked.
pub static LINTS: &[Lint] = &[
    Lint { name: "essentials", description: "what init and the node start must be there", check: files::essentials },
    Lint { name: "host-keys", description: "no SSH host key is shipped: all nodes would have the same", check: files::host_keys },
    Lint { name: "machine-id", description: "no machine-id is shipped: nodes would be taken for one", check: files::machine_id },
    Lint { name: "world-writable", description: "nothing that everybody may change, but sticky folders", check: files::world_writable },
    Lint { name: "closed-folders", description: "services that are not root's can read all of /usr", check: files::closed_folders },
    Lint {
        name: "dangling-links",
        description: "every link leads somewhere, or to what is made at run time",
        check: files::dangling_links,
    },
    Lint { name: "setuid", description: "setuid and setgid programs are known ones", check: files::setuid },
    Lint { name: "slot-size", description: "the root leaves room for later versions in its slot", check: files::slot_size },
    Lint { name: "owners", description: "every owner is named in /etc/passwd and /etc/group", check: accounts::owners },
    Lint { name: "passwords", description: "no account has a password, empty or not", check: accounts::passwords },
    Lint { name: "unit-programs", description: "every unit's programs exist", check: units::programs },
    Lint {
        name: "masked-units",
        description: "what asks questions or makes keys at first boot is masked: init does it",
        check: units::masked,
    },
    Lint { name: "elf-architecture", description: "every program is for the board's processor", check: elf::architecture },
    Lint { name: "elf-libraries", description: "every library that a program needs is there", check: elf::libraries },
    Lint {
        name: "radio",
        description: "a Pi's own Wi-Fi has its firmware, its settings and the rules of the air",
        check: radio::radio_files,
    },
    Lint { name: "docker-kernel", description: "the kernel has what Docker needs, built in or as a module", check: kernel::docker },
];

/// Checks all rules.
pub fn check(subject: &Subject<'_>) -> Result<Option<Findings>, LintError> {
    let mut findings = Vec::new();
    for lint in LINTS {
        let found = (lint.check)(subject)?;
        if !found.is_empty() {
            findings.push((lint, found));
        }
    }
    Ok((!findings.is_empty()).then_some(Findings(findings)))
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the image breaks {} of {} rules", self.0.len(), LINTS.len())?;
        for (lint, found) in &self.0 {
            write!(f, "\n{}: {}", lint.name, lint.description)?;
            for finding in found.iter().take(SHOWN_MAX) {
                write!(f, "\n  {finding}")?;
            }
            if found.len() > SHOWN_MAX {
                write!(f, "\n  and {} more", found.len() - SHOWN_MAX)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Findings {}

impl Subject<'_> {
    /// The text of a file of the tree, links followed; `None` if it is not there.
    fn text(&self, path: &str) -> Result<Option<String>, LintError> {
        let Some((path, entry)) = self.tree.file(path) else { return Ok(None) };
        let super::Kind::File(content) = &entry.kind else { return Ok(None) };
        let bytes = content.read().map_err(|source| LintError { path, source })?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
