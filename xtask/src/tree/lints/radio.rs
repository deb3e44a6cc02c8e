//! Rules on a Pi's own radio: a driver without its firmware, or with another board's settings, is a Pi without Wi-Fi.

use super::{LintError, Subject};
use crate::board::pi::Model;
use crate::tree::firmware::FOLDER;

/// What tells every radio which channels are allowed where.
const RULES: [&str; 2] = ["regulatory.db", "regulatory.db.p7s"];

/// The chip of a model's radio, and what the driver calls its settings by, where that is not the chip alone: the first word of
/// the device tree's `compatible`. `None` where there is no radio.
///
/// Of the Zero 2 W there is a second kind (`43430b0`), whose firmware Debian does not have.
const fn radio(model: Model) -> Option<(&'static str, &'static str)> {
    Some(match model {
        Model::Two | Model::Module3 => return None,
        Model::Three => ("43430", ".raspberrypi,3-model-b"),
        Model::ZeroTwo => ("43430", ".raspberrypi,model-zero-2-w"),
        Model::ThreePlus => ("43455", ".raspberrypi,3-model-b-plus"),
        Model::ThreeA => ("43455", ".raspberrypi,3-model-a-plus"),
        Model::Four => ("43455", ".raspberrypi,4-model-b"),
        Model::Module4 => ("43455", ".raspberrypi,4-compute-module"),
        Model::Five | Model::FiveD0 => ("43455", ".raspberrypi,5-model-b"),
        Model::FourHundred => ("43456", ""),
    })
}

/// The firmware of a model's radio, below [`FOLDER`]; nothing where there is no radio.
pub fn firmware(model: Model) -> Vec<String> {
    let Some((chip, board)) = radio(model) else { return Vec::new() };
    let chip = format!("brcm/brcmfmac{chip}-sdio");
    vec![format!("{chip}.bin"), format!("{chip}.clm_blob"), format!("{chip}{board}.txt")]
}

pub fn radio_files(subject: &Subject<'_>) -> Result<Vec<String>, LintError> {
    let mut found = Vec::new();
    for model in &subject.plan.boot.pi_models {
        let own = firmware(*model);
        if own.is_empty() {
            continue;
        }
        let all = own.into_iter().chain(RULES.map(str::to_owned));
        let absent = all.filter(|name| subject.tree.file(&format!("{FOLDER}/{name}")).is_none());
        found.extend(absent.map(|name| format!("the Wi-Fi of {model:?} needs /{FOLDER}/{name}")));
    }
    Ok(found)
}
