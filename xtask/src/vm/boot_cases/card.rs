//! Cases about where the card is: boards number their slots differently, and a real 4 otherwise than QEMU's. The script takes
//! the one that it came from, and else looks for the one that has our partitions.

use anyhow::{Context, Result, ensure};
use contract::state::State;

use super::{Bench, Case, LIMIT_BUILT_IN};

/// A number that the card has on other boards.
const OTHER_NUMBER: u8 = 1;

/// Where the script is told something else than what is.
pub fn cases() -> Vec<Case> {
    let case = |name: &str, before| Case {
        name: name.to_owned(),
        before,
        says: vec!["cloudy: slot a (records".to_owned(), "cloudy: starting slot a: before".to_owned()],
        after: Some(State::SHIPPED),
        ..Case::default()
    };
    vec![
        case("nobody says where the script came from", "setenv devtype\nsetenv devnum"),
        case("it is said to come from a slot that has no card", "setenv devnum 1"),
        case("it is said to come from a bus that is not there", "setenv devtype nvme"),
    ]
}

/// The card is another number than the one where U-Boot looks for its environment, as on a real 4.
pub fn run(bench: &mut Bench<'_>) -> Result<()> {
    bench.node()?.plan.oddities.card_number = Some(OTHER_NUMBER);
    let said = bench.start_until("cloudy: starting slot a: ", LIMIT_BUILT_IN);
    bench.node()?.plan.oddities.card_number = None;
    let said = said.context("the card is mmc 1")?;
    let (before, _) = said.split_once("cloudy: slot a (records").context("the script chose no slot")?;
    // Else this would be the same start as all others.
    let current = format!("mmc{OTHER_NUMBER} is current device");
    ensure!(before.contains(&current), "the card was not mmc {OTHER_NUMBER}: the console lacks `{current}`");
    Ok(())
}
