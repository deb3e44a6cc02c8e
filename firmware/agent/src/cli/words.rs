//! `cloudy ask`, `newcomers`, `admit` and `deny`: coming in by four words that two people compare.

use super::{Local, text};
use crate::http::{AskRequest, NewcomerDecision, SameWords};
use anyhow::{Result, bail};
use clap::Args;
use serde_json::Value;
use std::fmt::Write;

/// What `cloudy ask` is told.
#[derive(Args)]
pub struct Ask {
    /// The node on this network to ask: its name, its id or the beginning of it, or ID@ADDRESS as its page says. Without: how asking
    /// goes, or who can be asked.
    node: Option<String>,
    /// These four words show on the other node's page too.
    #[arg(long, num_args = 4, value_name = "WORD", conflicts_with = "node")]
    same: Vec<String>,
    /// Ask no more.
    #[arg(long, conflicts_with_all = ["node", "same"])]
    stop: bool,
    #[command(flatten)]
    local: Local,
}

impl Ask {
    /// Asks, agrees, stops, or shows.
    ///
    /// # Errors
    /// The agent does not answer, or refuses; or no one node is called so.
    pub async fn run(self) -> Result<()> {
        let client = self.local.client();
        if self.stop {
            return self.local.show(&client.delete("/api/v1/asking").await?, |_| Ok("This node asks nobody.".to_owned()));
        }
        if !self.same.is_empty() {
            let answer = client.put("/api/v1/asking", &SameWords { words: self.same.join(" ") }).await?;
            return self.local.show(&answer, asking);
        }
        if let Some(node) = &self.node {
            let node = if node.contains('@') { node.clone() } else { seen(&client.nodes().await?, node)? };
            let answer = client.post("/api/v1/asking", &AskRequest { node }).await?;
            return self.local.show(&answer, asking);
        }
        let answer = client.get("/api/v1/asking").await?;
        if !self.local.json && answer.get("asking").is_none_or(Value::is_null) {
            let nodes = client.nodes().await?;
            return self.local.show(&nodes, whom);
        }
        self.local.show(&answer, asking)
    }
}

/// What `cloudy newcomers` is told.
#[derive(Args)]
pub struct Newcomers {
    #[command(flatten)]
    local: Local,
}

impl Newcomers {
    /// Shows who asks here.
    ///
    /// # Errors
    /// The agent does not answer.
    pub async fn run(self) -> Result<()> {
        self.local.show(&self.local.client().get("/api/v1/newcomers").await?, newcomers)
    }
}

/// What `cloudy admit` and `cloudy deny` are told.
#[derive(Args)]
pub struct Decide {
    /// The four words, as they show on the newcomer's page.
    #[arg(num_args = 4, required = true, value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    local: Local,
}

impl Decide {
    /// Lets the newcomer in that has these words, or turns it away.
    ///
    /// # Errors
    /// The agent does not answer, or nobody asks with these words.
    pub async fn run(self, admit: bool) -> Result<()> {
        let client = self.local.client();
        let words = self.words.join(" ").to_lowercase();
        let asking = client.get("/api/v1/newcomers").await?;
        let all = asking.get("newcomers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let Some(newcomer) = all.iter().find(|newcomer| text(newcomer, "words") == words) else {
            bail!(
                "no newcomer asks with these words; if others show on its page, somebody stands between the two nodes: let nobody in. `cloudy newcomers` lists those that ask"
            )
        };
        let path = format!("/api/v1/newcomers/{}", text(newcomer, "node"));
        let answer = client.put(&path, &NewcomerDecision { words, admit }).await?;
        self.local.show(&answer, |answer| {
            let name = text(answer, "name");
            Ok(if admit {
                format!("`{name}` is let in. It comes once the person there says that the words are the same.")
            } else {
                format!("`{name}` is turned away.")
            })
        })
    }
}

/// The nodes on the local network that can let others in.
fn admins(nodes: &Value) -> impl Iterator<Item = &Value> {
    let seen = nodes.get("lan").and_then(|lan| lan.get("seen")).and_then(Value::as_array).into_iter().flatten();
    seen.filter(|node| node.get("can-invite").and_then(Value::as_bool) == Some(true))
}

/// The id of the one node on the local network that is called so, or whose id begins so.
fn seen(nodes: &Value, called: &str) -> Result<String> {
    let all = nodes.get("lan").and_then(|lan| lan.get("seen")).and_then(Value::as_array).cloned().unwrap_or_default();
    let named: Vec<String> = all.iter().filter(|node| text(node, "name") == called).map(|node| text(node, "id")).collect();
    let begin = all.iter().map(|node| text(node, "id")).filter(|id| called.len() >= 4 && id.starts_with(called));
    let found = if named.is_empty() { begin.collect() } else { named };
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("no node on this network is called `{called}`, nor begins an id so: `cloudy ask` lists those that can be asked"),
        _ => bail!("several nodes on this network are called `{called}`: name one by its id (`cloudy nodes --json`)"),
    }
}

/// Who can be asked.
fn whom(nodes: &Value) -> Result<String> {
    let mut out = String::new();
    for node in admins(nodes) {
        let id = text(node, "id");
        writeln!(out, "{}  {}  of `{}`", id.get(..8).unwrap_or(&id), text(node, "name"), text(node, "community-name"))?;
    }
    if out.is_empty() {
        return Ok(
            "No node that could let this one in is seen on this network: connect both to the same network, or use an invite.".to_owned()
        );
    }
    write!(out, "\nNext: `cloudy ask NAME`")?;
    Ok(out)
}

/// How asking goes.
fn asking(answer: &Value) -> Result<String> {
    let Some(asking) = answer.get("asking").filter(|asking| !asking.is_null()) else {
        return Ok("This node asks nobody.".to_owned());
    };
    let (name, step) = (text(asking, "name"), asking.get("step").cloned().unwrap_or_default());
    let mut out = match text(&step, "state").as_str() {
        "compare" => {
            let words = text(&step, "words");
            let yes = |key: &str| step.get(key).and_then(Value::as_bool) == Some(true);
            let mut out =
                format!("{words}\n\nThe same four words must show at `{name}`: on its page of the microcloud, or by `cloudy newcomers`.\n");
            if yes("admitted") {
                writeln!(out, "The person there said that they are the same.")?;
            }
            if yes("agreed") {
                writeln!(out, "You said that they are the same; once the person there says so too, this node is in (`cloudy nodes`).")?;
            } else {
                writeln!(
                    out,
                    "If they are the same: `cloudy ask --same {words}`. If not: `cloudy ask --stop`, since somebody stands between."
                )?;
            }
            out
        }
        "ended" => {
            let why = step.get("why").cloned().unwrap_or_default();
            let names = why.get("names").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
            format!("`{name}` did not let this node in: {}.\n", ended(&text(&why, "end"), &names.join(", ")))
        }
        _ => format!("Asking `{name}`; `cloudy ask` shows the words once it has answered.\n"),
    };
    if let Some(trouble) = asking.get("trouble").filter(|trouble| !trouble.is_null()) {
        writeln!(out, "! {}; {}", text(trouble, "seen"), text(trouble, "mend"))?;
    }
    Ok(out)
}

/// Why nothing came of it, with the mend.
fn ended(end: &str, others: &str) -> String {
    match end {
        "denied" => "the person there said no; talk to them, and ask again in a minute".to_owned(),
        "late" => "nobody decided in ten minutes; ask again when somebody sits there".to_owned(),
        "forgotten" => "it does not know of it any more, since it was restarted or the time was over; ask again".to_owned(),
        "others" if others.is_empty() => "it can let nobody in, and knows of none that can; use an invite".to_owned(),
        "others" => format!("it can let nobody in; these can: {others}"),
        "nonsense" => "what it answered makes no sense; update both nodes, and if it happens again do not trust it".to_owned(),
        "removed" => {
            "an admin had removed this node from that microcloud; `cloudy leave` gives it a new identity, then ask again".to_owned()
        }
        "no-community" => "it belongs to no microcloud any more; ask another".to_owned(),
        _ => "it refused; ask again, or use an invite".to_owned(),
    }
}

/// `cloudy newcomers`
fn newcomers(answer: &Value) -> Result<String> {
    let mut out = String::new();
    for newcomer in answer.get("newcomers").and_then(Value::as_array).into_iter().flatten() {
        let yes = |key: &str| newcomer.get(key).and_then(Value::as_bool) == Some(true);
        let state = match (yes("admitted"), yes("agreed")) {
            (true, true) => "let in; it is coming in",
            (true, false) => "let in; the person there is to agree",
            (false, true) => "the person there agreed",
            (false, false) => "asks",
        };
        writeln!(out, "{}  {}  ({state})", text(newcomer, "words"), text(newcomer, "name").escape_debug())?;
    }
    if out.is_empty() {
        return Ok("No newcomer asks to be let in.".to_owned());
    }
    write!(out, "\nIf the same words show on the newcomer's page: `cloudy admit WORD WORD WORD WORD`. If not: `cloudy deny` with them.")?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_newcomer_that_was_let_in_is_said_to_come_however_long_it_is_silent() {
        let of = |admitted: bool, agreed: bool| {
            let newcomer = json!({ "words": "a b c d", "name": "attic", "admitted": admitted, "agreed": agreed, "silent-seconds": 99 });
            newcomers(&json!({ "newcomers": [newcomer] })).unwrap()
        };
        assert!(of(true, true).contains("(let in; it is coming in)") && of(true, false).contains("(let in; the person there is to agree)"));
        assert!(of(false, true).contains("(the person there agreed)") && of(false, false).contains("(asks)"));
    }

    #[test]
    fn what_is_asked_reads_as_what_to_do_next() {
        let of = |step: Value| asking(&json!({ "asking": { "name": "oven", "step": step, "trouble": null } })).unwrap();
        let compare = |agreed: bool| json!({ "state": "compare", "words": "a b c d", "agreed": agreed, "admitted": false });
        assert!(of(compare(false)).contains("`cloudy ask --same a b c d`"));
        assert!(of(compare(true)).contains("You said") && !of(compare(true)).contains("--same"));
        let others = json!({ "state": "ended", "why": { "end": "others", "names": ["roof", "attic"] } });
        assert!(of(others).contains("these can: roof, attic"));
        for end in ["denied", "late", "forgotten", "nonsense", "removed", "no-community", "refused"] {
            assert!(of(json!({ "state": "ended", "why": { "end": end } })).contains(';'), "{end} has no mend");
        }
        assert_eq!(asking(&json!({ "asking": null })).unwrap(), "This node asks nobody.");
    }

    #[test]
    fn who_can_be_asked_is_one_that_is_seen() {
        let node = |id: &str, name: &str| json!({ "id": id, "name": name, "can-invite": true, "community-name": "Home" });
        let nodes = json!({ "lan": { "seen": [node("aaaa1", "oven"), node("aaaa2", "roof"), node("bbbb3", "roof")] } });
        assert_eq!(seen(&nodes, "oven").unwrap(), "aaaa1");
        assert_eq!(seen(&nodes, "bbbb").unwrap(), "bbbb3");
        assert!(seen(&nodes, "roof").is_err() && seen(&nodes, "aaaa").is_err() && seen(&nodes, "cellar").is_err());
        assert!(whom(&nodes).unwrap().contains("aaaa1  oven  of `Home`") && whom(&json!({})).unwrap().contains("use an invite"));
    }
}
