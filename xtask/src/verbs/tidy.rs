//! `cargo xtask tidy`: the repository's own rules, those that no compiler knows.

use anyhow::{Result, bail};
use clap::Args;

mod rules;

/// Checks the repository's own rules: layout, documentation, facts that parse, no strays.
#[derive(Args)]
pub struct TidyVerb {}

impl TidyVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = rules::Repo::read(&super::root()?)?;
        let mut broken = 0;
        for rule in rules::RULES {
            let found = (rule.check)(&repo);
            if !found.is_empty() {
                broken += 1;
                println!("{}: {}", rule.name, rule.description);
                found.iter().for_each(|finding| println!("  {finding}"));
            }
        }
        if broken > 0 {
            bail!("{broken} of {} rules are broken; mend what stands above, then `cargo xtask tidy` again", rules::RULES.len());
        }
        println!("{} files keep {} rules\n\nNext: cargo xtask test", repo.files.len(), rules::RULES.len());
        Ok(())
    }
}
