//! The boot script: chooses a slot by the state records, verifies what it loads, and starts the kernel.
//!
//! It must work whoever runs it: our own `uboot.env`, or U-Boot's built-in environment when that file is lost. So it
//! sets every variable that it reads, but the one that U-Boot's own board code makes (`fdt_addr`: where the firmware's
//! device tree lies) and those that say where the script was loaded from (`devtype`, `devnum`).
//!
//! Which of the slot's device trees belongs to this model says a mark in the one that the firmware chose.
//! There are no loops in it (Ctrl-C would break them) and no apostrophes within double quotes (its shell knows none there).
//!
//! Source of the commands: U-Boot's documentation, "Command-line" and "Shell commands"; all were tried on Debian's
//! builds for the Pis (`tests.rs` boots them).

use contract::boot::{KEY_FROM, KEY_SKIPPED, KEY_SLOT};
use contract::partitions::Role;
use contract::state::{MARK_SECTOR, RECORD_BYTES, RECORD_SECTORS, names};

use super::{
    CHECKSUM_SUFFIX, COMMAND_LINE, COMMAND_LINE_FILE, DEVICE_TREES, INITRAMFS_FILE, KERNEL_FILE, KernelForm, TREE_CONSOLE, TREE_FILE,
};

/// What differs from board to board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptPlan {
    /// How the kernel is stored.
    pub kernel: KernelForm,
    /// Physical address of the SoC's power management block, whose watchdog is armed; `None`: it is left alone.
    pub watchdog_base: Option<u64>,
}

/// Where the script is loaded to, in our own environment.
pub const SCRIPT_ADDRESS: u64 = 0x0510_0000;
/// The records and marks as they are read, one block each.
const RECORD_ADDRESSES: [u64; 2] = [0x0500_0000, 0x0500_1000];
const MARK_ADDRESSES: [u64; 2] = [0x0500_2000, 0x0500_3000];
/// Two words: the checksum that was computed, and the one that is right.
const CHECKSUM_ADDRESSES: [u64; 2] = [0x0500_4000, 0x0500_4010];
/// The slot's kernel command line.
const COMMAND_LINE_ADDRESS: u64 = 0x0500_5000;
/// The slot's device tree, which grows when it is fixed up.
const DEVICE_TREE_ADDRESS: u64 = 0x0520_0000;
/// The kernel, ready to run: what is below the others. A multiple of 2 MiB for 64-bit kernels; QEMU's and the firmware's
/// own device trees lie elsewhere.
const KERNEL_ADDRESS: u64 = 0x0020_0000;
/// A 32-bit kernel unpacks itself to the first megabytes, and wants to be near.
const ZIMAGE_ADDRESS: u64 = 0x0300_0000;
/// A packed kernel.
const PACKED_KERNEL_ADDRESS: u64 = 0x0c00_0000;
/// The initramfs, last since it may be the largest.
const INITRAMFS_ADDRESS: u64 = 0x1000_0000;
/// What U-Boot moves on its own stays below this: in the memory of the smallest Pi (448 MiB beside its graphics).
const HIGHEST_ADDRESS: u64 = 0x1800_0000;
/// Room for what fix-ups add to a device tree, in bytes.
const DEVICE_TREE_ROOM: u64 = 0x2000;

/// Registers of the power management block, with the password in their upper byte (BCM2835's watchdog as in Linux'
/// bcm2835_wdt.c).
const WATCHDOG_COUNT: u64 = 0x24;
const WATCHDOG_CONTROL: u64 = 0x1c;
/// As long as it can: 16 s.
const WATCHDOG_COUNT_VALUE: u32 = 0x5a0f_ffff;
const WATCHDOG_CONTROL_VALUE: u32 = 0x5a00_0020;

/// In `/chosen` of the tree that an emulator is given: commands that switch off in the slot's tree what it lacks.
pub const EMULATOR_FIXES: &str = "cloudy,emulator";
/// Beside it: more words for the kernel's command line.
pub const EMULATOR_WORDS: &str = "cloudy,bootargs";

/// The script's text.
pub fn script(plan: &ScriptPlan) -> String {
    let mut lines = Lines::default();
    lines.comment("cloudy's boot script, made by its builder");
    card(&mut lines);
    emulator(&mut lines);
    watchdog(&mut lines, plan.watchdog_base);
    choose(&mut lines);
    subroutines(&mut lines, plan.kernel);
    attempts(&mut lines);
    lines.0
}

/// Text in the making.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn comment(&mut self, text: &str) {
        self.add(&format!("# {text}"));
    }

    fn add(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Lines that are written as one block of text.
    fn block(&mut self, text: &str) {
        for line in text.lines() {
            self.add(line.trim_start());
        }
    }
}

/// The card is the one that the script came from; a number alone says nothing, since boards number their slots differently.
fn card(lines: &mut Lines) {
    let state = Role::State.label();
    lines.comment("The card: where this was loaded from, else the first that has our state.");
    lines.block(&format!(
        r#"setenv c_type
        setenv c_num
        if test -n "${{devtype}}" && test -n "${{devnum}}"; then
        if part number ${{devtype}} ${{devnum}} {state} c_n; then setenv c_type ${{devtype}}; setenv c_num ${{devnum}}; fi
        fi"#
    ));
    for number in 0..3 {
        lines.add(&format!(
            r#"if test -z "${{c_type}}"; then if part number mmc {number} {state} c_n; then setenv c_type mmc; setenv c_num {number}; fi; fi"#
        ));
    }
    lines.add("${c_type} dev ${c_num}");
}

/// An emulator is known by what it was given, not by guessing: the card is the same.
fn emulator(lines: &mut Lines) {
    lines.comment("Which model this is, and whether it is an emulator: the device tree that it was given says so.");
    lines.block(&format!(
        r"setenv c_fix
        setenv c_words
        setenv c_tree
        fdt addr ${{fdt_addr}}
        fdt get value c_tree /chosen {TREE_FILE}
        fdt get value c_fix /chosen {EMULATOR_FIXES}
        fdt get value c_words /chosen {EMULATOR_WORDS}"
    ));
}

fn watchdog(lines: &mut Lines, base: Option<u64>) {
    let Some(base) = base else {
        lines.add("setenv c_watch true");
        return;
    };
    let (count, control) = (base + WATCHDOG_COUNT, base + WATCHDOG_CONTROL);
    lines.comment("The watchdog: 16 s from here, and again from the kernel's start. Emulators reset at once.");
    lines.add(&format!(
        r#"setenv c_watch 'if test -z "${{c_fix}}"; then mw.l {count:#x} {WATCHDOG_COUNT_VALUE:#x}; mw.l {control:#x} {WATCHDOG_CONTROL_VALUE:#x}; fi'"#
    ));
    lines.add("run c_watch");
}

/// Reads records and marks, chooses the slot, counts a try down: as `contract::state` has it.
fn choose(lines: &mut Lines) {
    let all = names::ALL.join(" ");
    let [zero, one] = RECORD_ADDRESSES;
    let [sector_0, sector_1] = RECORD_SECTORS;
    let state = Role::State.label();
    let (version, sequence) = (names::VERSION, names::SEQUENCE);
    let (confirmed, trial, left, done) = (names::CONFIRMED, names::TRIAL, names::LEFT, names::DONE);
    lines.comment("The records: the valid one with the higher sequence counts.");
    lines.block(&format!(
        r"part start ${{c_type}} ${{c_num}} {state} c_lba
        setexpr c_lba0 ${{c_lba}} + {sector_0:x}
        setexpr c_lba1 ${{c_lba}} + {sector_1:x}"
    ));
    for (index, address) in [(0, zero), (1, one)] {
        lines.block(&format!(
            r#"setenv c_seq{index}
            setenv {version}
            setenv {sequence}
            setenv {confirmed}
            mw.b {address:#x} 0 {RECORD_BYTES:x}
            if ${{c_type}} read {address:#x} ${{c_lba{index}}} 1 && env import -c {address:#x} {RECORD_BYTES:x} {all}; then
            if test "${{{version}}}" = 1; then if test "${{{confirmed}}}" = a || test "${{{confirmed}}}" = b; then setenv c_seq{index} ${{{sequence}}}; fi; fi
            fi"#
        ));
    }
    lines.block(&newer("c_seq1", "c_seq0"));
    lines.block(&format!(
        r#"setenv c_cur
        if test -n "${{c_seq0}}"; then setenv c_cur {zero:#x}; setenv c_to ${{c_lba1}}; fi
        if test -n "${{c_newer}}"; then setenv c_cur {one:#x}; setenv c_to ${{c_lba0}}; fi
        setenv {sequence} 0
        setenv {confirmed} a
        setenv {trial} -
        setenv {left} 0
        setenv {done} 0
        if test -n "${{c_cur}}"; then
        env import -c ${{c_cur}} {RECORD_BYTES:x} {sequence} {confirmed} {trial} {left} {done}
        else"#
    ));
    marks(lines);
    lines.add("fi");
    lines.comment("A slot on trial that has tries left is started, once that is written down.");
    lines.block(&format!(
        r#"setenv c_slot ${{{confirmed}}}
        setenv c_trial
        if test "${{{trial}}}" = "${{{confirmed}}}"; then setenv {trial} -; fi
        if test "${{{trial}}}" = a || test "${{{trial}}}" = b; then
        if itest ${{{left}}} -gt 0; then
        setenv {version} 1
        setexpr {sequence} ${{{sequence}}} + 1
        setexpr {left} ${{{left}}} - 1
        setexpr {done} ${{{done}}} + 1
        mw.b {zero:#x} 0 {RECORD_BYTES:x}
        if env export -c -s {RECORD_BYTES:x} {zero:#x} {all} && ${{c_type}} write {zero:#x} ${{c_to}} 1; then
        setenv c_slot ${{{trial}}}
        setenv c_trial ", on trial, ${{{left}}} tries left"
        else
        echo "cloudy: the state cannot be written: the slot on trial is not started"
        fi
        else
        echo "cloudy: slot ${{{trial}}} has no tries left"
        fi
        fi
        echo "cloudy: slot ${{c_slot}}${{c_trial}} (records ${{c_seq0}} ${{c_seq1}})""#
    ));
}

/// With both records damaged: the slot that was confirmed last, by the marks in the boot partitions.
fn marks(lines: &mut Lines) {
    let (version, sequence) = (names::VERSION, names::SEQUENCE);
    lines.add(r#"echo "cloudy: both state records are damaged: the slot that was last confirmed is taken""#);
    for (slot, role, address) in [("a", Role::BootA, MARK_ADDRESSES[0]), ("b", Role::BootB, MARK_ADDRESSES[1])] {
        let label = role.label();
        lines.block(&format!(
            r#"setenv c_mark{slot}
            setenv {version}
            setenv {sequence}
            mw.b {address:#x} 0 {RECORD_BYTES:x}
            if part start ${{c_type}} ${{c_num}} {label} c_lba && setexpr c_lba ${{c_lba}} + {MARK_SECTOR:x} && ${{c_type}} read {address:#x} ${{c_lba}} 1 && env import -c {address:#x} {RECORD_BYTES:x} {version} {sequence}; then
            if test "${{{version}}}" = 1; then setenv c_mark{slot} ${{{sequence}}}; fi
            fi"#
        ));
    }
    let confirmed = names::CONFIRMED;
    lines.block(&newer("c_markb", "c_marka"));
    lines.block(&format!(
        r#"setenv {sequence} 0
        if test -n "${{c_marka}}"; then setenv {sequence} ${{c_marka}}; fi
        if test -n "${{c_newer}}"; then setenv {confirmed} b; setenv {sequence} ${{c_markb}}; fi
        setenv c_to ${{c_lba0}}"#
    ));
}

/// Sets c_newer where `one` is there and is higher than `other`, or is there alone.
///
/// A 32-bit U-Boot compares as if the highest bit were a sign: so halves first, which have none, then the rest of equal halves.
fn newer(one: &str, other: &str) -> String {
    format!(
        r#"setenv c_newer
        if test -n "${{{one}}}"; then
        if test -z "${{{other}}}"; then setenv c_newer 1; else
        setexpr c_half1 ${{{one}}} / 2
        setexpr c_half0 ${{{other}}} / 2
        if itest ${{c_half1}} -gt ${{c_half0}}; then setenv c_newer 1; fi
        if itest ${{c_half1}} == ${{c_half0}} && itest ${{{one}}} -gt ${{{other}}}; then setenv c_newer 1; fi
        fi
        fi"#
    )
}

/// Commands that are run twice, once for each slot.
fn subroutines(lines: &mut Lines, kernel: KernelForm) {
    let [computed, right] = CHECKSUM_ADDRESSES;
    lines.comment("Loads c_file to c_addr; fails unless it is what the builder wrote.");
    lines.add(&format!(
        "setenv c_load 'load ${{c_type}} ${{c_part}} ${{c_addr}} ${{c_file}} && setenv c_size ${{filesize}} && \
         crc32 ${{c_addr}} ${{c_size}} {computed:#x} && load ${{c_type}} ${{c_part}} {right:#x} ${{c_file}}{CHECKSUM_SUFFIX} && \
         itest.l *{computed:#x} == *{right:#x}'"
    ));
    lines.comment("Starts slot c_slot; comes back only if something of it can't be used: c_why says what.");
    let (packed, ready, boot) = match kernel {
        KernelForm::GzippedImage => (
            PACKED_KERNEL_ADDRESS,
            format!("unzip {PACKED_KERNEL_ADDRESS:#x} {KERNEL_ADDRESS:#x}"),
            format!("booti {KERNEL_ADDRESS:#x} {INITRAMFS_ADDRESS:#x}:${{c_initrd}} ${{c_fdt}}"),
        ),
        KernelForm::ZImage => {
            (ZIMAGE_ADDRESS, "true".to_owned(), format!("bootz {ZIMAGE_ADDRESS:#x} {INITRAMFS_ADDRESS:#x}:${{c_initrd}} ${{c_fdt}}"))
        }
    };
    let one_line = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let [before, console, after] = COMMAND_LINE;
    lines.add(&one_line(&format!(
        r#"setenv c_start 'setenv c_part ${{c_num}}#boot-${{c_slot}}; setenv {before}; setenv {console}; setenv {after}; setenv c_fdt ${{fdt_addr}};
        setenv c_why command-line;
        if load ${{c_type}} ${{c_part}} {COMMAND_LINE_ADDRESS:#x} {COMMAND_LINE_FILE} && env import -c {COMMAND_LINE_ADDRESS:#x} ${{filesize}} {before} {console} {after}; then
        setenv c_why device-tree; setenv c_file {DEVICE_TREES}/${{c_tree}}; setenv c_addr {DEVICE_TREE_ADDRESS:#x};
        if test -n "${{c_tree}}" && size ${{c_type}} ${{c_part}} ${{c_file}}; then
        if run c_load; then setenv c_fdt {DEVICE_TREE_ADDRESS:#x}; setenv c_why; fi;
        else echo "cloudy: slot ${{c_slot}} has no device tree ${{c_tree}} of this model: the one of the firmware is taken"; setenv c_why; fi;
        if test -z "${{c_why}}"; then
        setenv c_why initramfs; setenv c_file {INITRAMFS_FILE}; setenv c_addr {INITRAMFS_ADDRESS:#x};
        if run c_load; then
        setenv c_initrd ${{c_size}}; setenv c_why kernel; setenv c_file {KERNEL_FILE}; setenv c_addr {packed:#x};
        if run c_load && {ready}; then
        fdt addr ${{c_fdt}};
        if test -n "${{c_fix}}" && test "${{c_fdt}}" = {DEVICE_TREE_ADDRESS:#x}; then fdt resize {DEVICE_TREE_ROOM:x}; run c_fix; fi;
        setenv c_console; if test -n "${{{console}}}"; then fdt get value c_console /chosen {TREE_CONSOLE}; fi;
        setenv bootargs ${{{before}}} ${{c_console}} ${{{after}}} {KEY_FROM}=${{c_from}} {KEY_SLOT}=${{c_slot}} ${{c_skip}} ${{c_words}};
        echo "cloudy: starting slot ${{c_slot}}: ${{bootargs}}";
        run c_watch; {boot};
        fi; fi; fi; fi'"#
    )));
}

fn attempts(lines: &mut Lines) {
    let config = Role::Config.label();
    lines.comment("The slot, then the other one.");
    lines.block(&format!(
        r#"setenv bootm_size {HIGHEST_ADDRESS:#x}
        setenv c_from
        setenv c_skip
        if part number ${{c_type}} ${{c_num}} {config} c_n; then part uuid ${{c_type}} ${{c_num}}:${{c_n}} c_from; fi
        run c_start
        echo "cloudy: slot ${{c_slot}} cannot be started: its ${{c_why}} is missing or damaged"
        setenv c_skip {KEY_SKIPPED}=${{c_slot}}:${{c_why}}
        if test ${{c_slot}} = a; then setenv c_slot b; else setenv c_slot a; fi
        run c_watch
        run c_start
        echo "cloudy: slot ${{c_slot}} cannot be started either: its ${{c_why}} is missing or damaged. Flash the card again.""#
    ));
}
