//! config.txt, by which the Raspberry Pi's own firmware starts U-Boot: made from the board's facts alone.

use std::fmt::Write;

use crate::board::pi::RaspberryPi;
use crate::board::{Arch, Board, Uboot};

/// Its name on the config partition.
pub const FILE: &str = "config.txt";
/// Name of U-Boot on the config partition.
pub const UBOOT: &str = "u-boot.bin";

/// Name of the U-Boot that stands there for the models of one filter alone.
pub fn uboot_for(filter: &str) -> String {
    format!("u-boot-{}.bin", filter.replace('+', "-plus"))
}

/// The text. What holds for every model stands first, then one section a filter, then `[all]` again, so that lines which
/// a person or another program appends are for every model.
pub fn render(board: &Board, uboot: &Uboot, pi: &RaspberryPi) -> String {
    let mut text = String::from("# Made from the board's facts by cloudy's builder. The Pi's firmware reads it at each start.\n[all]\n");
    let bits = u8::from(board.arch == Arch::Arm64);
    // The names of device trees are those of Linux, and the firmware adds nothing to them.
    let _ = writeln!(text, "arm_64bit={bits}\nupstream_kernel=1\nkernel={UBOOT}");
    let lines = |filter: &str| pi.config.get(filter).into_iter().flatten();
    for line in lines("all") {
        let _ = writeln!(text, "{line}");
    }
    let mut filters: Vec<&str> =
        uboot.program_for.keys().chain(pi.config.keys()).map(String::as_str).filter(|name| *name != "all").collect();
    filters.sort_unstable();
    filters.dedup();
    for filter in &filters {
        let _ = writeln!(text, "[{filter}]");
        if uboot.program_for.contains_key(*filter) {
            let _ = writeln!(text, "kernel={}", uboot_for(filter));
        }
        for line in lines(filter) {
            let _ = writeln!(text, "{line}");
        }
    }
    if !filters.is_empty() {
        text.push_str("[all]\n");
    }
    text
}
