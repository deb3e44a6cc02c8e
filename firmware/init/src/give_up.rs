//! The end of a boot that can't go on: one clear line, the reason kept, and the rule of `rules::failure`.

use std::time::Duration;

use contract::boot::EntryName;
use contract::report::Failure;
use nix::sys::reboot::{RebootMode, reboot};

use crate::console::{Level, say};
use crate::context::{Context, since_start};
use crate::esp::Esp;
use crate::limits::{BEFORE_REBOOT, LOOK_AGAIN, STAY};
use crate::rules::failure::{Action, decide};
use crate::time;
use crate::uboot::Uboot;

/// Says what is wrong, does what the rule says, and starts the machine again.
pub fn give_up(mut context: Context, error: &anyhow::Error) -> ! {
    let reason = format!("{error:#}");
    say(Level::Failure, &format!("the boot stopped at \"{}\": {reason}", context.step));
    let action = apply(&mut context, &reason);
    let (what, wait) = match action {
        Action::Reboot => {
            ("this slot is on trial: starting again, so that the other one takes over once its tries are used up", BEFORE_REBOOT)
        }
        Action::PutOnTrial { .. } => ("this slot is put on trial: it has one more try, then the other one takes over", BEFORE_REBOOT),
        Action::Stay => ("no other slot would help: this machine tries again in a few minutes", STAY),
    };
    say(Level::Failure, what);
    restart_after(&context, wait)
}

/// Waits while the watchdog is fed, then starts the machine again.
fn restart_after(context: &Context, wait: Duration) -> ! {
    let start = since_start();
    while since_start() - start < wait {
        context.watchdog.feed();
        std::thread::sleep(LOOK_AGAIN);
    }
    nix::unistd::sync();
    loop {
        let _ = reboot(RebootMode::RB_AUTOBOOT);
        std::thread::sleep(LOOK_AGAIN);
    }
}

fn apply(context: &mut Context, reason: &str) -> Action {
    let esp = context.disk.as_ref().and_then(|disk| disk.boot_partition()).map(|device| Esp::mount(&device, true));
    let esp = match esp {
        Some(Ok(esp)) => Some(esp),
        Some(Err(error)) => {
            say(Level::Warning, &format!("the reason is not kept: {error:#}"));
            None
        }
        None => None,
    };
    let uboot = context.disk.as_ref().and_then(Uboot::read);
    let (own, others) = known(context, esp.as_ref(), uboot.as_ref());
    let mut action = if context.blameless { Action::Stay } else { decide(own, &others) };
    if let (Some(esp), Some(build)) = (&esp, context.build) {
        let failure = Failure { build, time: time::now(), step: context.step.to_owned(), reason: reason.to_owned() };
        if let Err(error) = esp.keep(&failure) {
            say(Level::Warning, &format!("{error:#}"));
        }
        if let Action::PutOnTrial { from, to } = action
            && let Err(error) = uboot.map_or_else(|| esp.rename(from, to), |uboot| uboot.put_on_trial())
        {
            say(Level::Warning, &format!("{error:#}"));
            action = Action::Stay;
        }
    }
    action
}

/// The booted slot as the boot loader knows it, and the others that it could start.
fn known(context: &Context, esp: Option<&Esp>, uboot: Option<&Uboot>) -> (Option<EntryName>, Vec<EntryName>) {
    if let (Some(uboot), Some(build)) = (uboot, context.build) {
        // What it could not start a moment ago it can't start next time.
        let other = if context.line.skipped.is_some() { None } else { uboot.other() };
        return (Some(uboot.own(build)), other.into_iter().collect());
    }
    let entries = esp.map(Esp::entries).unwrap_or_default();
    // A confirmation that was cut may have left two names of it: the one that was started counts.
    let mut names = entries.iter().map(|entry| entry.name).filter(|name| Some(name.build) == context.build);
    let own = context.counted.or_else(|| names.find(|name| name.tries.is_none()));
    // Without its kernel another slot is no way back.
    let others = entries.iter().filter(|entry| entry.can_start()).map(|entry| entry.name);
    (own, others.filter(|name| Some(name.build) != context.build).collect())
}

/// A mistake in init itself ends here, not in a kernel panic that nobody can read.
pub fn on_panic() {
    std::panic::set_hook(Box::new(|info| {
        say(Level::Failure, &format!("a mistake in init itself, please report it: {info}"));
        restart_after(&Context::default(), BEFORE_REBOOT)
    }));
}
