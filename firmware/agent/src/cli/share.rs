//! `cloudy publish`, `withdraw` and `search`.

use super::{Local, text};
use crate::http::encode;
use crate::net::{Draft, Search};
use anyhow::Result;
use serde_json::Value;
use std::fmt::Write;

/// What `cloudy publish` is told.
#[derive(clap::Args)]
pub struct Publish {
    /// The service's name in addresses and on command lines, such as `wiki`.
    key: String,
    /// What it is in a few words [default: the name].
    #[arg(long)]
    title: Option<String>,
    /// What it is in some sentences.
    #[arg(long, default_value = "")]
    description: String,
    /// A word to find it by, such as `storage`.
    #[arg(long, default_value = "")]
    category: String,
    /// Where it is, as a whole address.
    #[arg(long, conflicts_with_all = ["port", "path"])]
    url: Option<String>,
    /// Where it is on this node: the port.
    #[arg(long)]
    port: Option<u16>,
    /// The path there.
    #[arg(long, requires = "port")]
    path: Option<String>,
    /// What is spoken on that port, such as mqtt [default: http].
    #[arg(long, requires = "port")]
    scheme: Option<String>,
    /// A language that it speaks to people, such as ca; may be given more than once.
    #[arg(long)]
    language: Vec<String>,
    #[command(flatten)]
    local: Local,
}

impl Publish {
    /// Publishes.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let Self { key, title, description, category, url, port, path, scheme, language, local } = self;
        let draft = Draft { title, description, category, url, port, path, scheme, languages: language };
        let answer = local.client().put(&format!("/api/v1/services/{}", encode(&key)), &draft).await?;
        local.show(&answer, |answer| {
            let told = if answer.get("published").and_then(Value::as_bool) == Some(true) {
                "the neighbours are told"
            } else {
                "the neighbours are told once this node has found its place"
            };
            Ok(format!("Published `{}`: it is on this node's disk, and {told}.\nNext: `cloudy search` on any node.", text(answer, "key")))
        })
    }
}

/// What `cloudy withdraw` is told.
#[derive(clap::Args)]
pub struct Withdraw {
    /// The service's name.
    key: String,
    #[command(flatten)]
    local: Local,
}

impl Withdraw {
    /// Takes it back.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let answer = self.local.client().delete(&format!("/api/v1/services/{}", encode(&self.key))).await?;
        self.local.show(&answer, |answer| Ok(format!("`{}` is not published any more.", text(answer, "key"))))
    }
}

/// What `cloudy search` is told.
#[derive(clap::Args)]
pub struct Find {
    /// Words that all must be there; case and accents do not matter.
    words: Vec<String>,
    /// Only of this category.
    #[arg(long, default_value = "")]
    category: String,
    /// Only of this node: its name, or the beginning of its id.
    #[arg(long, default_value = "")]
    node: String,
    /// Most services to show.
    #[arg(long, default_value_t = 50)]
    limit: usize,
    /// Show what admins hide from all, too.
    #[arg(long)]
    hidden: bool,
    /// Go on after what the page before gave.
    #[arg(long, default_value = "")]
    after: String,
    #[command(flatten)]
    local: Local,
}

impl Find {
    /// Searches.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let Self { words, category, node, limit, hidden, after, local } = self;
        let search = Search { text: words.join(" "), category, node, limit: Some(limit), after, hidden, muted: false };
        let answer = local.client().get(&format!("/api/v1/services?{}", serde_urlencoded::to_string(&search)?)).await?;
        local.show(&answer, services)
    }
}

/// How a service is and is reached, in a few words.
fn how(service: &Value) -> String {
    let said = |field, but| service.get(field).and_then(Value::as_str).filter(|said| *said != but);
    let word = said("state", "alive").or_else(|| said("health", "well")).map(str::to_owned);
    let quality = |field| service.pointer(&format!("/quality/{field}")).and_then(Value::as_u64);
    let percent = quality("percent").map(|percent| format!("{percent} %"));
    let rtt = quality("rtt-ms").map(|ms| format!("{ms} ms"));
    let known: Vec<String> = [word, percent, rtt].into_iter().flatten().collect();
    if known.is_empty() { "not measured yet".to_owned() } else { known.join(", ") }
}

fn services(answer: &Value) -> Result<String> {
    let mut out = String::new();
    let found = answer.get("services").and_then(Value::as_array).cloned().unwrap_or_default();
    if found.is_empty() {
        out.push_str("Nothing was found. Next: `cloudy publish NAME` on a node shares something.\n");
    }
    for service in &found {
        writeln!(out, "{:<24} {:<20} {:<22} {}", text(service, "key"), text(service, "node-name"), how(service), text(service, "title"))?;
        let more = [text(service, "category"), text(service, "address"), text(service, "description").replace('\n', " ")];
        for line in more.iter().filter(|line| !line.is_empty()) {
            writeln!(out, "    {line}")?;
        }
        if let Some(mark) = service.get("hidden").filter(|mark| mark.is_object()) {
            writeln!(out, "    {}", super::hide::words(mark))?;
        }
    }
    if let Some(next) = answer.get("next").and_then(Value::as_str) {
        writeln!(out, "There is more. Next: the same with `--after {next}`")?;
    }
    Ok(out)
}
