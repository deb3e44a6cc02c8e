//! `cloudy https`: the page over HTTPS.

use super::{Local, text};
use crate::https::Choice;
use anyhow::Result;
use serde_json::Value;

/// `cloudy https`.
#[derive(clap::Args)]
pub struct HttpsArgs {
    /// Whether plain HTTP leads to HTTPS: `yes` or `no`.
    #[arg(long, value_parser = yes_or_no)]
    only: Option<bool>,
    #[command(flatten)]
    local: Local,
}

fn yes_or_no(word: &str) -> Result<bool, String> {
    match word {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("write `yes` or `no`".to_owned()),
    }
}

impl HttpsArgs {
    /// Shows how the page is reached, or says that plain HTTP leads there.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let client = self.local.client();
        let answer = match self.only {
            Some(only) => client.put("/api/v1/https", &Choice { only }).await?,
            None => client.get("/api/v1/https").await?,
        };
        self.local.show(&answer, |https| {
            let port = https.get("port").and_then(Value::as_u64).unwrap_or_default();
            let only = if https.get("only") == Some(&Value::Bool(true)) { "leads there" } else { "is open too" };
            let (fingerprint, root) = (text(https, "fingerprint"), text(https, "root"));
            Ok(format!("HTTPS on port {port}; plain HTTP {only}.\nWhat browsers are told to trust, SHA-256:\n{fingerprint}\n{root}"))
        })
    }
}
