//! Whether the packages bring what a board asks for beside its drivers: firmware, boot files, device trees. All that is missing
//! is said at once, each with what there is instead, before anything is compiled or configured.

use anyhow::Result;

use crate::boot;
use crate::near;
use crate::plan::Plan;
use crate::tree::modules::Modules;
use crate::tree::{Tree, firmware};

/// What the packages do not bring.
#[derive(Debug, thiserror::Error)]
#[error(
    "{board} asks for what no package of its payload brings; mend its file or its family's, or name the package that does in `payload`:{}",
    .missing.iter().map(|line| format!("\n  {line}")).collect::<String>()
)]
pub struct NotBrought {
    /// The board.
    board: String,
    /// Each with what there is.
    missing: Vec<String>,
}

/// Holds the plan against `payload`, in which its packages lie as they are shipped. `rest` gives what the others ship; it is
/// asked only for firmware that the payload does not have.
///
/// # Errors
/// With all that is missing.
pub fn check(plan: &Plan, payload: &Tree, rest: impl FnOnce() -> Result<Tree>) -> Result<()> {
    let mut missing = boot::not_brought(&plan.boot, payload, &plan.kernel_release);
    let keep: Vec<&str> = plan.firmware.keep.patterns().iter().map(String::as_str).collect();
    let absent = absent_firmware(&keep, payload);
    if !absent.is_empty() {
        let names = firmware::Present::of(payload);
        let absent = absent_firmware(&absent, &rest()?);
        missing.extend(absent.iter().map(|name| format!("firmware.keep: nothing matches `{name}`{}", near::words(name, &names.names()))));
    }
    if missing.is_empty() { Ok(()) } else { Err(NotBrought { board: plan.board.clone(), missing }.into()) }
}

/// Which of these names and globs stand for no firmware of the tree.
fn absent_firmware<'a>(names: &[&'a str], tree: &Tree) -> Vec<&'a str> {
    let firmware = firmware::Present::of(tree);
    names.iter().filter(|name| !firmware.has(name)).copied().collect()
}

/// Modules of which no firmware that they name is there: name, what they ask for.
pub fn without_firmware<'a>(tree: &Tree, modules: &'a Modules) -> Vec<(&'a str, &'a [String])> {
    let firmware = firmware::Present::of(tree);
    let dead = |asked: &[String]| !asked.is_empty() && !asked.iter().any(|name| firmware.has(name));
    let all = modules.by_name.iter().map(|(name, module)| (name.as_str(), module.info.firmware.as_slice()));
    all.filter(|(_, asked)| dead(asked)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Globs;
    use crate::tree::modules::Module;
    use crate::tree::modules::testing::modules;
    use crate::tree::testing::{file, tree};

    fn plan(keep: &[&str]) -> Plan {
        let root = crate::verbs::root().unwrap();
        let mut plan = crate::verbs::plan::make(&root, "rpi3", crate::verbs::plan::DEFAULT_FLAVOUR, crate::plan::Profile::Dev).unwrap();
        plan.firmware.keep = Globs::new(keep).unwrap();
        plan.boot.files.clear();
        plan.boot.config_files.clear();
        plan
    }

    #[test]
    fn firmware_that_no_package_brings_is_named_with_what_there_is() {
        let payload = tree(&[("usr/lib/firmware/brcm/brcmfmac43430-sdio.bin", file(""))]);
        let rest = || Ok(tree(&[("usr/lib/firmware/regulatory.db", file(""))]));
        check(&plan(&["brcm/*43430-sdio.bin"]), &payload, || panic!("nothing is missing")).unwrap();
        check(&plan(&["regulatory.db*", "brcm/*43430-sdio.bin"]), &payload, rest).unwrap();
        let mut plan = plan(&["brcm/brcmfmac43456-sdio.*", "regulatory.*"]);
        plan.boot.config_files.push(crate::plan::BootFile {
            path: "u-boot.bin".to_owned(),
            from: crate::plan::BootSource::Tree("/usr/lib/u-boot.bin".to_owned()),
        });
        assert_eq!(
            check(&plan, &payload, rest).unwrap_err().to_string(),
            "rpi3 asks for what no package of its payload brings; mend its file or its family's, or name the package that does in `payload`:\n  \
             `u-boot.bin` on the boot partition: no package brings `/usr/lib/u-boot.bin`; there is `usr/lib/firmware`\n  \
             firmware.keep: nothing matches `brcm/brcmfmac43456-sdio.*`; there is `brcm/brcmfmac43430-sdio.bin`"
        );
    }

    #[test]
    fn a_module_is_dead_when_all_that_it_asks_for_is_missing() {
        let there = tree(&[("usr/lib/firmware/a-2.bin", file(""))]);
        let module = |asked: &[&str]| {
            let mut module = Module::sample(&[], &[], &[]);
            module.info.firmware = asked.iter().map(|name| (*name).to_owned()).collect();
            module
        };
        let all = modules(&[("x/none", module(&[])), ("x/some", module(&["b.bin", "a-3.bin"])), ("x/dead", module(&["b.bin"]))]);
        let dead: Vec<&str> = without_firmware(&there, &all).into_iter().map(|(name, _)| name).collect();
        assert_eq!(dead, ["dead"]);
    }
}
