//! `cloudy install-to`: asks the agent, then follows how far it is.

use super::{Local, say};
use crate::install::{Joining, Overview, Phase, Request, State};
use crate::limits::INSTALL_ASK_EVERY;
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::fmt::Write;
use std::process::ExitCode;

const PATH: &str = "/api/v1/install";
/// Steps in which progress is printed, in percent.
const STEP_PERCENT: u64 = 10;

/// Lists the disks, or installs onto one and waits for the end.
pub async fn install_to(disks: &[String], yes_erase: bool, local: &Local) -> Result<ExitCode> {
    let client = local.client();
    let Some(disk) = disks.first() else {
        local.show(&client.get(PATH).await?, |answer| Ok(list(&Overview::deserialize(answer).context(LANGUAGE)?)))?;
        return Ok(ExitCode::SUCCESS);
    };
    let twice = match disks.get(1) {
        Some(second) if second != disk => bail!("`{disk}` and `{second}` are two disks: one is written at a time"),
        second => second.is_some(),
    };
    let request = Request { disk: disk.clone(), erase: yes_erase || twice };
    let mut state = State::deserialize(client.post(PATH, &request).await?).context(LANGUAGE)?;
    let mut told = String::new();
    while !state.phase.is_end() {
        let line = progress(&state);
        if line != told && !local.json {
            say(&line);
            told = line;
        }
        tokio::time::sleep(INSTALL_ASK_EVERY).await;
        let overview = Overview::deserialize(client.get(PATH).await?).context(LANGUAGE)?;
        let next = overview.state.context("the agent knows nothing of the installation any more")?;
        ensure!(next.disk == state.disk, "another installation was begun meanwhile, onto {}", next.shown);
        state = next;
    }
    let failed = state.phase == Phase::Failed;
    local.show(&serde_json::to_value(&state)?, |_| Ok(ended(&state)))?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

const LANGUAGE: &str = "the agent speaks another version's language; restart it";

fn list(overview: &Overview) -> String {
    let mut out = String::from("disks of this machine\n");
    for offer in &overview.disks {
        let _ = writeln!(out, "  {}", offer.shown);
        match &offer.refused {
            Some(refused) => {
                let _ = writeln!(out, "      {refused}");
            }
            None => {
                let _ = writeln!(out, "      Next: cloudy install-to {}", offer.disk);
            }
        }
    }
    out
}

fn progress(state: &State) -> String {
    let percent = (state.bytes.saturating_mul(100)).checked_div(state.of).unwrap_or(0) / STEP_PERCENT * STEP_PERCENT;
    match state.phase {
        Phase::Preparing => format!("{}: making its partitions ready", state.shown),
        Phase::Writing => format!("{}: writing {} MB, {percent} %", state.shown, state.of / 1_000_000),
        Phase::ReadingBack => format!("{}: reading it back, {percent} %", state.shown),
        Phase::Done | Phase::Failed => String::new(),
    }
}

fn ended(state: &State) -> String {
    if let Some(error) = &state.error {
        return format!("{}: nothing was installed: {error}", state.shown);
    }
    let joins = match state.joins {
        Some(Joining::Invite) => {
            "It joins by the invite of this stick. If that let in one node only, it was this one: make another with `cloudy invite` on a \
             node of your microcloud, and use it there with `cloudy join`."
        }
        Some(Joining::Lan) => "It joins the microcloud on its network that lets newcomers in.",
        Some(Joining::Found) => "It comes into the microcloud that the settings found, by their recovery kit if they have one.",
        Some(Joining::Nothing) | None => "It belongs to no microcloud yet: `cloudy join` on it with an invite.",
    };
    format!(
        "{}: installed and read back.\nThe node on it is a new one, with these settings and an identity of its own. {joins}\n\n\
         Next: switch this machine off (sudo poweroff), take the stick out, and switch it on again.",
        state.shown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::Offer;

    fn state(phase: Phase) -> State {
        let (unit, disk) = ("cloudy-install@sda.service".to_owned(), "/dev/sda".to_owned());
        State { unit, disk, shown: "/dev/sda (x, 8.0 GB)".to_owned(), phase, bytes: 57, of: 100, error: None, joins: None }
    }

    #[test]
    fn each_end_says_what_comes_next() {
        assert!(progress(&state(Phase::Writing)).ends_with("50 %"));
        let done = ended(&State { joins: Some(Joining::Invite), ..state(Phase::Done) });
        assert!(done.contains("take the stick out") && done.contains("`cloudy invite`"), "{done}");
        let failed = ended(&State { error: Some("it is broken".to_owned()), ..state(Phase::Failed) });
        assert!(failed.contains("nothing was installed: it is broken") && !failed.contains("take the stick out"));
    }

    #[test]
    fn a_list_says_of_each_disk_what_can_be_done() {
        let offer = |disk: &str, refused: Option<&str>| Offer {
            disk: disk.to_owned(),
            shown: format!("{disk} (x)"),
            bytes: 1,
            refused: refused.map(str::to_owned),
            needs_erase: false,
        };
        let text = list(&Overview { disks: vec![offer("/dev/sda", None), offer("/dev/sdb", Some("it runs"))], state: None });
        assert!(text.contains("Next: cloudy install-to /dev/sda\n  /dev/sdb (x)\n      it runs\n"), "{text}");
    }
}
