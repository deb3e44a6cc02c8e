//! `cloudy check`: a cloudy.toml, before it is on a card.

use super::say;
use anyhow::{Context, Result};
use serde_json::Value;
use std::process::ExitCode;

/// Checks a cloudy.toml and says each mistake with its place.
///
/// # Errors
/// It can't be read.
pub fn check(file: &std::path::Path, json: bool) -> Result<ExitCode> {
    let bytes = std::fs::read(file).with_context(|| format!("reading `{}`", file.display()))?;
    let mistakes = contract::settings::parse(&bytes).err().unwrap_or_default();
    if json {
        let shown = |m: &contract::settings::Mistake| serde_json::json!({ "line": m.line, "column": m.column, "what": m.what });
        let shown: Vec<Value> = mistakes.iter().map(shown).collect();
        say(&serde_json::json!({ "file": file, "good": mistakes.is_empty(), "mistakes": shown }).to_string());
    } else if mistakes.is_empty() {
        say(&format!("{}: good", file.display()));
    } else {
        mistakes.iter().for_each(|mistake| say(&format!("{}: {mistake}", file.display())));
    }
    Ok(if mistakes.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
