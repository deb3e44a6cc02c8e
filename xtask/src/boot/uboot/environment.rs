//! `uboot.env`: U-Boot's environment as a file on the first partition, which replaces the built-in one as a whole.

use anyhow::{Context, Result};
use contract::state::encode_variables;

use super::SCRIPT_FILE;
use super::script::SCRIPT_ADDRESS;

/// The file's name, as Debian's builds for the Pis look for it (CONFIG_ENV_FAT_FILE).
pub const FILE: &str = "uboot.env";
/// Its size, as they are built with (CONFIG_ENV_SIZE): not redundant, so the checksum is followed by the variables.
const BYTES: usize = 0x4000;
/// How long the last message stays on the screen when no slot can be started, in seconds.
const STAY_SECONDS: u32 = 10;

/// The variables. With `bootdelay` -2 and no standard input, nothing that is typed or floats on the serial line stops
/// the boot; without `preboot`, USB is left for Linux to start.
pub fn variables() -> Vec<(&'static str, String)> {
    // The script wants to know where it came from. `mmc 0` is where this file was found; a card that is another number
    // is found by the built-in environment, which runs the same script.
    let attempt = |number: u32| {
        format!(
            "setenv devtype mmc; setenv devnum {number}; \
             if load mmc {number}:1 {SCRIPT_ADDRESS:#x} {SCRIPT_FILE}; then source {SCRIPT_ADDRESS:#x}; fi"
        )
    };
    vec![
        ("bootcmd", format!("{}; {}; sleep {STAY_SECONDS}; reset", attempt(0), attempt(1))),
        ("bootdelay", "-2".to_owned()),
        ("stderr", "serial,vidconsole".to_owned()),
        ("stdin", "nulldev".to_owned()),
        ("stdout", "serial,vidconsole".to_owned()),
    ]
}

/// The file.
pub fn file(variables: &[(&str, String)]) -> Result<Vec<u8>> {
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    encode_variables(&variables, BYTES).context("U-Boot's environment is too large")
}
