//! What a scenario's people bring: the key that logs in, the recovery kit of the community, its invites.

use anyhow::Result;

/// Texts that are filled into cloudy.toml.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Placeholder → what stands in its place.
    values: Vec<(&'static str, String)>,
}

impl People {
    /// The lab's owner, whose public key is `ssh_key`, and who founded `community`.
    pub fn new(ssh_key: &str, community: Option<&str>) -> Result<Self> {
        let values = vec![("{ssh-key}", ssh_key.to_owned())];
        let _ = community;
        Ok(Self { values })
    }

    /// The text with every placeholder filled in.
    pub fn fill(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
    }
}
