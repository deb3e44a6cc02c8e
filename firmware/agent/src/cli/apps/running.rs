//! `cloudy app logs`: what an app said, and goes on to say; and what apps use, as `list` and `show` say it.

use super::at;
use crate::apps::{LogNews, UseView};
use crate::cli::{Local, text};
use anyhow::Result;
use serde::Deserialize;
use serde_json::Value;
use std::io::{Error as IoError, ErrorKind, Write};

/// Shows the last lines of an app, and with `follow` each that comes.
pub async fn logs(name: &str, lines: u32, follow: bool, local: &Local) -> Result<()> {
    if !follow {
        let answer = local.client().get(&format!("{}/logs?lines={lines}", at(name))).await?;
        return local.show(&answer, |answer| Ok(text(answer, "logs")));
    }
    let mut told = Told { rest: Vec::new(), json: local.json, out: std::io::stdout(), note: std::io::stderr() };
    match local.client().download(&format!("{}/logs/events?lines={lines}", at(name)), &mut told).await {
        // Who reads it has seen enough.
        Err(error) if error.root_cause().downcast_ref::<IoError>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) => Ok(()),
        ended => ended,
    }
}

/// Takes the agent's events, and writes what they tell: an app's lines, or each event's JSON in a line. What the app did not say is noted aside.
struct Told<O, N> {
    rest: Vec<u8>,
    json: bool,
    out: O,
    note: N,
}

impl<O: Write, N: Write> Told<O, N> {
    fn tell(&mut self, line: &str) -> std::io::Result<()> {
        let Some(data) = line.strip_prefix("data: ") else { return Ok(()) };
        if self.json {
            writeln!(self.out, "{}", data.trim_end())?;
            return self.out.flush();
        }
        let news: LogNews = serde_json::from_str(data).map_err(|_| IoError::other(super::OTHER_VERSION))?;
        if news.missed {
            writeln!(self.note, "cloudy: it said more than could be read meanwhile")?;
        }
        for line in &news.lines {
            writeln!(self.out, "{line}")?;
        }
        if let Some(why) = &news.unknown {
            writeln!(self.note, "cloudy: what it says is not known now: {why}")?;
        }
        self.out.flush()
    }
}

impl<O: Write, N: Write> Write for Told<O, N> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.tell(&String::from_utf8_lossy(&line))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// Puts beside each app of an answer what it uses while it runs, as `use`; as far as the agent can say.
pub async fn with_uses(local: &Local, apps: &mut [Value]) {
    let Ok(uses) = local.client().list("/api/v1/app-uses", "apps").await else { return };
    for its in uses.get("apps").and_then(Value::as_array).into_iter().flatten() {
        let of = apps.iter_mut().find(|app| app.get("name") == its.get("name")).and_then(Value::as_object_mut);
        if let Some(app) = of {
            app.insert("use".to_owned(), its.clone());
        }
    }
}

/// What an app uses, in words; empty where that is not known.
pub fn used(app: &Value) -> String {
    let Ok(its) = UseView::deserialize(app.get("use").unwrap_or(&Value::Null)) else { return String::new() };
    let mb = |bytes: u64| bytes.saturating_add(500_000) / 1_000_000;
    let cpu = its.cpu_percent.map(|percent| format!("cpu {percent:.1} %, ")).unwrap_or_default();
    let limit = its.memory_limit_bytes.map(|limit| format!(" of {}", mb(limit))).unwrap_or_default();
    format!("{cpu}memory {}{limit} MB", mb(its.memory_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_app_says_is_written_line_by_line_however_it_comes() {
        let news = LogNews { lines: vec!["one".to_owned(), "ü".to_owned()], missed: true, ..LogNews::default() };
        let event = format!(": keep\n\nevent: log\ndata: {}\n\n", serde_json::to_string(&news).unwrap());
        let all = |json: bool| {
            let mut told = Told { rest: Vec::new(), json, out: Vec::new(), note: Vec::new() };
            event.as_bytes().chunks(3).for_each(|piece| told.write_all(piece).unwrap());
            (String::from_utf8(told.out).unwrap(), String::from_utf8(told.note).unwrap())
        };
        let (out, note) = all(false);
        assert!(out == "one\nü\n" && note.contains("more than could be read"), "{out} {note}");
        let (out, note) = all(true);
        assert!(serde_json::from_str::<LogNews>(&out).unwrap() == news && note.is_empty());
    }

    #[test]
    fn what_an_app_uses_is_said_where_it_is_known() {
        let its = UseView { cpu_percent: Some(3.0), memory_bytes: 11_500_000, memory_limit_bytes: Some(64_000_000), ..UseView::default() };
        assert_eq!(used(&json!({ "use": its })), "cpu 3.0 %, memory 12 of 64 MB");
        assert_eq!(used(&json!({ "use": UseView { cpu_percent: None, memory_limit_bytes: None, ..its } })), "memory 12 MB");
        assert!(used(&json!({})).is_empty() && used(&json!({ "use": "x" })).is_empty());
    }
}
