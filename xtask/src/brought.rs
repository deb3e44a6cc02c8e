//! Whether the packages bring what a board asks for beside its drivers: firmware, boot files, device trees. All that is missing
//! is said at once, each with what there is instead, before anything is compiled or configured.

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

/// A module of whose firmware no package brings any: its name, and what it asks for.
pub type Dead = (String, Vec<String>);

/// Holds the plan against `payload`, in which its packages lie as they are shipped, and `rest`, what the others ship (of them
/// comes some firmware: the radio's rules). `modules` are those that stay; says which of them have no firmware.
///
/// # Errors
/// With all that is missing.
pub fn check(plan: &Plan, payload: &Tree, rest: &Tree, modules: &Modules) -> Result<Vec<Dead>, NotBrought> {
    let mut missing = boot::not_brought(&plan.boot, payload, &plan.kernel_release);
    let firmware = [payload, rest].map(firmware::Present::of);
    let brought = |name: &str| firmware.iter().any(|firmware| firmware.has(name));
    let names: Vec<&str> = firmware.iter().flat_map(firmware::Present::names).collect();
    let absent = plan.firmware.keep.patterns().iter().filter(|name| !brought(name));
    missing.extend(absent.map(|name| format!("firmware.keep: nothing matches `{name}`{}", near::words(name, &names))));
    if !missing.is_empty() {
        return Err(NotBrought { board: plan.board.clone(), missing });
    }
    let asked = modules.by_name.iter().map(|(name, module)| (name, &module.info.firmware));
    let dead = asked.filter(|(_, asked)| !asked.is_empty() && !asked.iter().any(|name| brought(name)));
    Ok(dead.map(|(name, asked)| (name.clone(), asked.clone())).collect())
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

    fn module(asked: &[&str]) -> Module {
        let mut module = Module::sample(&[], &[], &[]);
        module.info.firmware = asked.iter().map(|name| (*name).to_owned()).collect();
        module
    }

    #[test]
    fn what_no_package_brings_is_named_with_what_there_is() {
        let payload = tree(&[("usr/lib/firmware/brcm/brcmfmac43430-sdio.bin", file(""))]);
        let rest = tree(&[("usr/lib/firmware/regulatory.db", file(""))]);
        let none = modules(&[]);
        assert_eq!(check(&plan(&["regulatory.db*", "brcm/*43430-sdio.bin"]), &payload, &rest, &none).unwrap(), []);
        let mut plan = plan(&["brcm/brcmfmac43456-sdio.*", "regulatory.*"]);
        plan.boot.config_files.push(crate::plan::BootFile {
            path: "u-boot.bin".to_owned(),
            from: crate::plan::BootSource::Tree("/usr/lib/u-boot.bin".to_owned()),
        });
        assert_eq!(
            check(&plan, &payload, &rest, &none).unwrap_err().to_string(),
            "rpi3 asks for what no package of its payload brings; mend its file or its family's, or name the package that does in `payload`:\n  \
             `u-boot.bin` on the boot partition: no package brings `/usr/lib/u-boot.bin`; there is `usr/lib/firmware`\n  \
             firmware.keep: nothing matches `brcm/brcmfmac43456-sdio.*`; there is `brcm/brcmfmac43430-sdio.bin`"
        );
    }

    #[test]
    fn a_module_is_dead_when_all_that_it_asks_for_is_missing() {
        let payload = tree(&[("usr/lib/firmware/a-2.bin", file(""))]);
        let rest = tree(&[("usr/lib/firmware/r.db", file(""))]);
        let all = [("x/none", &[][..]), ("x/some", &["b.bin", "a-3.bin"]), ("x/rules", &["r.db"]), ("x/dead", &["b.bin"])];
        let all = modules(&all.map(|(stem, asked)| (stem, module(asked))));
        assert_eq!(check(&plan(&[]), &payload, &rest, &all).unwrap(), [("dead".to_owned(), vec!["b.bin".to_owned()])]);
    }
}
