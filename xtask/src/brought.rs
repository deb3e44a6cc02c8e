//! Whether the packages bring what a board asks for beside its drivers: firmware, boot files, device trees. All that is missing
//! is said at once, each with what there is instead, before anything is compiled or configured.

use crate::boot;
use crate::digest::Key;
use crate::near;
use crate::plan::{BootSource, Plan};
use crate::tree::lints::radio;
use crate::tree::modules::Modules;
use crate::tree::{Tree, firmware};

/// Where in the cache it stands which plans were held against their packages.
pub const FOLDER: &str = "brought";
/// Changes whenever the same plan is judged otherwise.
const RECIPE: &str = "brought 2";
/// What an alternative of Debian's ends with: the plain name is a link that is made when packages are configured (regulatory.db).
const ALTERNATIVE: &str = "-debian";

/// The hash of all of a plan that counts here: a build of the same packages for the same board looks once. What a build writes
/// itself is brought by no package: texts with its id in them, and the places, named by its id, where its files go.
pub fn key(plan: &Plan) -> String {
    let sources = plan.boot.files.iter().chain(&plan.boot.config_files).map(|file| &file.from);
    let boot: Vec<&BootSource> = sources.filter(|from| !matches!(from, BootSource::Text(_))).collect();
    let modules = (&plan.modules, &plan.initramfs.modules, &plan.initramfs.load, &plan.firmware.keep);
    let asked = serde_json::json!([plan.board, plan.kernel_release, plan.device_trees, boot, plan.boot.pi_models, modules]);
    let packages = plan
        .packages
        .iter()
        .fold(Key::new(RECIPE), |key, package| key.with(package.sha256.as_bytes()).with(if package.payload { b"payload" } else { b"" }));
    packages.with(asked.to_string().as_bytes()).finish()
}

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
    let brought = |name: &str| firmware.iter().any(|firmware| firmware.has(name) || firmware.has(&format!("{name}{ALTERNATIVE}")));
    let names: Vec<&str> = firmware.iter().flat_map(firmware::Present::names).collect();
    let absent = plan.firmware.keep.patterns().iter().filter(|name| !brought(name));
    missing.extend(absent.map(|name| format!("firmware.keep: nothing matches `{name}`{}", near::words(name, &names))));
    for model in &plan.boot.pi_models {
        let needed = radio::firmware(*model);
        let absent = needed.iter().filter(|name| !brought(name));
        missing.extend(absent.map(|name| format!("the Wi-Fi of {model:?}: no package brings `{name}`{}", near::words(name, &names))));
    }
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
    use crate::board::pi::Model;
    use crate::plan::BootFile;
    use crate::tree::modules::Module;
    use crate::tree::modules::testing::modules;
    use crate::tree::testing::{file, tree};

    fn plan(keep: &[&str]) -> Plan {
        let root = crate::verbs::root().unwrap();
        let mut plan = crate::verbs::plan::make(&root, "rpi3", crate::verbs::plan::DEFAULT_FLAVOUR, crate::plan::Profile::Dev).unwrap();
        plan.firmware.keep = Globs::new(keep).unwrap();
        plan.boot.files.clear();
        plan.boot.config_files.clear();
        plan.boot.pi_models.clear();
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
        plan.boot.config_files.push(BootFile { path: "u-boot.bin".to_owned(), from: BootSource::Tree("/usr/lib/u-boot.bin".to_owned()) });
        assert_eq!(
            check(&plan, &payload, &rest, &none).unwrap_err().to_string(),
            "rpi3 asks for what no package of its payload brings; mend its file or its family's, or name the package that does in `payload`:\n  \
             `u-boot.bin` on the boot partition: no package brings `/usr/lib/u-boot.bin`; there is `usr/lib/firmware`\n  \
             firmware.keep: nothing matches `brcm/brcmfmac43456-sdio.*`; there is `brcm/brcmfmac43430-sdio.bin`"
        );
    }

    #[test]
    fn a_radio_without_its_firmware_is_refused_before_anything_is_built() {
        let entries: Vec<(String, _)> =
            radio::firmware(Model::Three).iter().map(|name| (format!("usr/lib/firmware/{name}"), file(""))).collect();
        let entries: Vec<(&str, _)> = entries.iter().map(|(path, entry)| (path.as_str(), entry.clone())).collect();
        let mut plan = plan(&[]);
        plan.boot.pi_models = vec![Model::Two, Model::Three];
        assert_eq!(check(&plan, &tree(&entries), &tree(&[]), &modules(&[])).unwrap(), []);
        let said = check(&plan, &tree(&entries[..2]), &tree(&[]), &modules(&[])).unwrap_err().to_string();
        let expected =
            "the Wi-Fi of Three: no package brings `brcm/brcmfmac43430-sdio.raspberrypi,3-model-b.txt`; there is `brcm/brcmfmac43430-sdio.";
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn what_becomes_a_link_when_it_is_configured_is_there() {
        let rest = tree(&[("usr/lib/firmware/regulatory.db-debian", file(""))]);
        let asking = modules(&[("cfg80211", module(&["regulatory.db", "regulatory.db.p7s"])), ("dead", module(&["none.bin"]))]);
        let dead = check(&plan(&[]), &tree(&[]), &rest, &asking).unwrap();
        assert_eq!(dead.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["dead"]);
    }

    #[test]
    fn what_a_plan_asks_for_counts_and_its_build_id_does_not() {
        let first = plan(&["a"]);
        let mut other = first.clone();
        other.build_id = "other".to_owned();
        other.boot.files.push(BootFile { path: "entry".to_owned(), from: BootSource::Text("build other".to_owned()) });
        assert_eq!(key(&other), key(&first));
        let mut kernel_in = |folder: &str| {
            other.boot.files = vec![BootFile { path: format!("{folder}/linux"), from: BootSource::Kernel }];
            key(&other)
        };
        assert_eq!(kernel_in("first"), kernel_in("other"));
        let changes: [fn(&mut Plan); 5] = [
            |plan| plan.packages[0].sha256.push('0'),
            |plan| plan.packages[0].payload = !plan.packages[0].payload,
            |plan| plan.firmware.keep = Globs::new(&["b"]).unwrap(),
            |plan| plan.kernel_release.push('1'),
            |plan| plan.boot.files.push(BootFile { path: "linux".to_owned(), from: BootSource::Kernel }),
        ];
        for change in changes {
            let mut other = first.clone();
            change(&mut other);
            assert_ne!(key(&other), key(&first));
        }
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
