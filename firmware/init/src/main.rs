//! PID 1 of the initramfs: finds the build's slot on the disk that was booted from, makes data ready, mounts what a
//! node needs and hands over to systemd.
//!
//! What is decided lies in `rules/` (pure, tested); everything else only acts. `boot` below reads as the list of
//! steps. A failure of any step ends in `give_up`.

mod child;
mod coldplug;
mod console;
mod context;
mod data;
mod disks;
mod esp;
mod etc;
mod first_boot;
mod give_up;
mod hand_over;
mod limits;
mod mounts;
mod root;
mod rules;
mod seed;
mod time;
mod uboot;
mod watchdog;

use std::convert::Infallible;
use std::fs::read_to_string;
use std::time::Duration;

use anyhow::Context as _;
use contract::boot::{BuildId, CommandLine};
use contract::paths::{INITRAMFS_BUILD, INITRAMFS_EPOCH, RESET_REQUEST};

use crate::coldplug::Coldplug;
use crate::console::{Level, say};
use crate::context::Context;
use crate::rules::first_boot::Step;

fn main() {
    if std::process::id() != 1 {
        say(Level::Failure, "this program is PID 1 of cloudy's initramfs, and does nothing else");
        std::process::exit(2);
    }
    give_up::on_panic();
    let mut context = Context::default();
    let Err(error) = boot(&mut context);
    give_up::give_up(context, &error)
}

/// All steps of a boot; returns only if one fails.
fn boot(context: &mut Context) -> anyhow::Result<Infallible> {
    context.step("set-up", |context| {
        mounts::kernel_file_systems()?;
        console::set_up();
        context.line = CommandLine::parse(&read_to_string("/proc/cmdline").context("failed to read /proc/cmdline")?);
        context.build = Some(build(&context.line)?);
        context.epoch = read_to_string(INITRAMFS_EPOCH).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        context.raise_clock(None);
        Ok(())
    })?;
    let build = context.build.context("no build id")?;
    let mut coldplug = Coldplug::start(&context.line)?;
    context.step("modules", |context| {
        coldplug.load_always();
        coldplug.walk();
        // What these drivers brought in turn: a chipset's shows the watchdog, which is to run before a disk is found.
        coldplug.wait(Duration::ZERO);
        if let Err(error) = mounts::efi_variables() {
            context.warn(format!("{error:#}"));
        }
        root::read_boot_loader(context);
        if context.line.no_watchdog {
            context.watchdog = watchdog::Watchdog::off();
        } else if let Err(error) = watchdog::hand_over_to_systemd() {
            context.warn(format!("systemd will not feed the watchdog: {error}"));
        }
        context.watchdog.open();
        Ok(())
    })?;
    let mut disk = context.step("find the disk", |context| root::find(context, &mut coldplug, build))?;
    context.disk = Some(disk.clone());
    root::read_state(context, &disk, build);
    let rest = context.step("partitions", |context| {
        let planned = first_boot::plan_for(&disk);
        let done = planned.as_ref().is_ok_and(Vec::is_empty);
        let mut steps = planned.unwrap_or_else(|error| {
            context.warn(format!("{}: {error:#}", disk.device()));
            Vec::new()
        });
        if done && data::take_request(&disk, RESET_REQUEST) {
            context.warn("a factory reset was asked for: all that this node kept is made anew".to_owned());
            steps = rules::first_boot::reset(&disk.table);
        }
        let tables = steps.iter().take_while(|step| **step != Step::MakeData).count();
        let (now, later) = steps.split_at(tables);
        for step in now {
            if let Err(error) = first_boot::write_table(&mut disk, step) {
                context.warn(format!("{error:#}"));
                return Ok(Vec::new());
            }
        }
        Ok(later.to_vec())
    })?;
    context.disk = Some(disk.clone());
    context.step("root", |_| root::mount(&disk, build))?;
    let data = context.step("data", |context| data::prepare(context, &mut disk, build, &rest))?;
    context.step("etc", |_| etc::prepare(&data.machine_id))?;
    context.disk = Some(disk.clone());
    context.step = "hand-over";
    if let Err(error) = hand_over::report(context, &disk, build, &data) {
        context.warn(format!("the page will not know how this boot went: {error:#}"));
    }
    say(Level::Info, &format!("build {build} in slot {} of {}: handing over to systemd", disk.slot, disk.device()));
    Err(hand_over::go())
}

/// The build of this initramfs, which must be the one that the boot loader's entry names.
fn build(line: &CommandLine) -> anyhow::Result<BuildId> {
    let text = read_to_string(INITRAMFS_BUILD)
        .with_context(|| format!("failed to read {INITRAMFS_BUILD}: the initramfs is not one of cloudy's"))?;
    let build: BuildId = text.trim().parse().with_context(|| format!("in {INITRAMFS_BUILD}"))?;
    match line.build {
        Some(named) if named != build => {
            anyhow::bail!("the boot loader's entry is of build {named}, its initramfs of build {build}: the slot's files are mixed up")
        }
        _ => Ok(build),
    }
}
