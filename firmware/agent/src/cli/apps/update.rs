//! What an update of an app changes, as the command line says it.

use super::OTHER_VERSION;
use crate::apps::{Change, UpdateView};
use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// All of it, and how it is made.
pub fn show(answer: &Value) -> Result<String> {
    let name = super::text(answer, "name");
    Ok(format!("{}\nNext: `cloudy app set {name} --update`", said(answer)?))
}

/// All of it, the gravest first.
pub fn said(answer: &Value) -> Result<String> {
    let update = UpdateView::deserialize(answer).context(OTHER_VERSION)?;
    let mut lines: Vec<String> = Vec::new();
    if update.asks_for_more() {
        lines.push("IT ASKS FOR MORE than what is installed:".to_owned());
    }
    lines.extend(update.changes.iter().map(line));
    if update.changes.is_empty() {
        lines.push("Nothing changes: what there is, is what is installed.".to_owned());
    }
    if let Some(bytes) = update.new_bytes.filter(|bytes| *bytes > 0) {
        lines.push(format!("{} MB of its image are new", bytes.div_ceil(1_000_000)));
    }
    if update.again {
        lines.push("Its images are asked for anew: what a tag leads to may be another image by now.".to_owned());
    }
    Ok(lines.join("\n"))
}

fn line(change: &Change) -> String {
    let what = format!("{:<10} {}", super::word(&change.part), change.name);
    let value = |value: &str| if value.is_empty() { String::new() } else { format!(": {value}") };
    match (&change.was, &change.becomes) {
        (None, Some(becomes)) => format!("{what} is new{}", value(becomes)),
        (Some(was), None) => format!("{what} goes{}", value(was)),
        (Some(was), Some(becomes)) if was != becomes => format!("{what} changes: {was} -> {becomes}"),
        _ => format!("{what} changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::an_update;

    #[test]
    fn what_asks_for_more_comes_first_and_nothing_is_said_too() {
        let said = show(&serde_json::to_value(an_update()).unwrap()).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("IT ASKS FOR MORE") && lines[1] == "privilege  host-path=/srv/<i> is new", "{said}");
        assert!(said.contains("changes: nginx:1.26 -> nginx:1.27") && said.contains("port       web goes: 80/tcp http"), "{said}");
        assert!(said.contains("40 MB of its image are new") && said.ends_with("`cloudy app set wiki --update`"), "{said}");
        let none = UpdateView { name: "wiki".to_owned(), ..UpdateView::default() };
        assert!(show(&serde_json::to_value(none).unwrap()).unwrap().starts_with("Nothing changes"));
    }
}
