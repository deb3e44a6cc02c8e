//! Answers of the agent as people read them in a terminal.

use crate::doctor::{Check, Verdict};
use crate::status::{Docker, Services, Status, WifiState};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;

/// `cloudy status`
pub fn status(answer: &Value) -> Result<String> {
    let status = Status::deserialize(answer).context("the agent speaks another version's language; restart it")?;
    let mut out = format!("{} · cloudy {}\n", status.name, status.version);
    let gb = |bytes: u64| bytes / 1_000_000_000;
    if let Some(build) = &status.build {
        let slot = status.boot.as_ref().and_then(|b| b.slot.clone()).unwrap_or_default();
        writeln!(out, "system     build {build}, slot {slot}")?;
    }
    writeln!(out, "addresses  {}", status.addresses.join(", "))?;
    writeln!(out, "page       {}", status.pages.join(", "))?;
    let host = &status.host;
    writeln!(out, "machine    {} cpus, {:.0} % in use, load {:.2}", host.cpus, host.cpu_percent, host.load[0])?;
    writeln!(out, "memory     {} MB free of {}", host.memory_available_bytes / 1_000_000, host.memory_total_bytes / 1_000_000)?;
    writeln!(out, "storage    {} GB free of {}", gb(host.storage_available_bytes), gb(host.storage_total_bytes))?;
    if let Some(wifi) = &status.wifi {
        let state = match wifi.state {
            WifiState::Connected => "connected",
            WifiState::NotConnected => "not connected",
            WifiState::NoRadio => "no radio",
        };
        writeln!(
            out,
            "wi-fi      {}: {state}{}",
            wifi.network,
            wifi.interface.iter().map(|name| format!(" ({name})")).collect::<String>()
        )?;
    }
    match &status.docker {
        Docker::Running { version, containers_running, .. } => writeln!(out, "docker     {version}, {containers_running} containers run")?,
        Docker::Stopped { unit } => writeln!(out, "docker     {unit}")?,
        Docker::Silent { reason } | Docker::NoBroker { reason } => writeln!(out, "docker     unknown: {reason}")?,
    }
    match &status.services {
        Services::Known { system, failed, .. } if failed.is_empty() => writeln!(out, "units      {system}")?,
        Services::Known { system, failed, .. } => writeln!(out, "units      {system}; failed: {}", failed.join(", "))?,
        Services::Unknown { reason } => writeln!(out, "units      unknown: {reason}")?,
    }
    for problem in &status.problems {
        writeln!(out, "\n! {}", problem.what)?;
        if !problem.mend.is_empty() {
            writeln!(out, "  {}", problem.mend)?;
        }
    }
    Ok(out)
}

/// What comes in place of a node that is gone.
pub fn replaced(value: &Value) -> Result<String> {
    let (name, card) = (super::text(value, "name"), super::text(value, "card"));
    Ok(format!("`{name}` is removed; all members hear of it. In cloudy.toml of the new card, which lets one node in:\n\n{card}"))
}

/// `cloudy nodes`
pub fn nodes(answer: &Value) -> Result<String> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut out = String::new();
    match answer.get("community").filter(|c| !c.is_null()) {
        Some(community) => writeln!(out, "microcloud `{}`", text(community, "name"))?,
        None => writeln!(out, "This node belongs to no microcloud yet. Next: `cloudy join TOKEN`, or `cloudy found NAME`.")?,
    }
    let members = || answer.get("members").and_then(Value::as_array).into_iter().flatten();
    for member in members() {
        let me = member.get("me").and_then(Value::as_bool).unwrap_or(false);
        let heard = match member.get("last-heard-seconds").and_then(Value::as_u64) {
            _ if me => "this node".to_owned(),
            Some(seconds) => format!("heard {seconds} s ago"),
            None => "not heard yet".to_owned(),
        };
        let id = text(member, "id");
        let short = id.get(..8).unwrap_or(&id);
        let admin = if member.get("admin") == Some(&Value::Bool(true)) { ", admin" } else { "" };
        let through = member.pointer("/link/through").and_then(Value::as_str);
        let carrier = through.and_then(|id| members().find(|other| other.get("id").and_then(Value::as_str) == Some(id)));
        let through = carrier.map(|carrier| format!(", through {}", text(carrier, "name"))).unwrap_or_default();
        writeln!(out, "{:<24} {:<8} {short}  {heard}{through}{admin}", text(member, "name"), text(member, "state"))?;
    }
    if let Some(records) = answer.get("records").filter(|r| !r.is_null()) {
        let count = |key: &str| records.get(key).and_then(Value::as_u64).unwrap_or(0);
        let (root, plural) = (text(records, "root"), if count("members") == 1 { "node holds" } else { "nodes hold" });
        writeln!(out, "{} of {} {plural} this view ({})", count("holders"), count("members"), root.get(..8).unwrap_or("not open yet"))?;
    }
    if let Some(joining) = answer.get("joining").filter(|j| !j.is_null()) {
        writeln!(out, "joining {}", text(joining, "what"))?;
        for failure in joining.get("failures").and_then(Value::as_array).into_iter().flatten() {
            writeln!(out, "! {}: {}\n  {}", text(failure, "target"), text(failure, "seen"), text(failure, "mend"))?;
        }
    }
    Ok(out)
}

/// `cloudy doctor`
pub fn doctor(answer: &Value) -> Result<String> {
    let checks = Vec::<Check>::deserialize(answer).context("the agent speaks another version's language; restart it")?;
    let mut out = String::new();
    for check in checks {
        let mark = match check.verdict {
            Verdict::Well => "ok  ",
            Verdict::Note => "note",
            Verdict::Ill => "ILL ",
        };
        writeln!(out, "{mark} {:<10} {}", check.check, check.seen)?;
        if !check.mend.is_empty() {
            writeln!(out, "     {:<10} → {}", "", check.mend)?;
        }
    }
    Ok(out)
}
