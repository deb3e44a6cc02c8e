//! `cargo xtask bench mutations`: whether each safety property's test fails when the code is broken (`ci/mutations.toml`).
//!
//! The code is broken in a copy of the repository. A test must pass there as it is, and fail, compiled, with the mutation.

mod checkout;
mod data;
mod outcome;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use checkout::Checkout;
use data::Mutation;
use outcome::Outcome;

/// Breaks the code in every way that is written down, and looks whether the named test notices.
#[derive(Args)]
pub struct Mutations {
    /// Only those whose property or file has this word.
    #[arg(long, value_name = "WORD")]
    only: Option<String>,
}

/// How many came out in which way.
#[derive(Debug, Default)]
struct Tally {
    caught: usize,
    survived: usize,
    /// Of whose data nothing follows.
    wrong: usize,
}

impl Mutations {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let begun = Instant::now();
        let repo = crate::verbs::root()?;
        let read = |file: &str| std::fs::read_to_string(repo.join(file));
        let text = read(data::FILE).with_context(|| format!("failed to read `{}`", data::FILE))?;
        let mut planned = data::plan(&text, |file| read(file).ok())?;
        if let Some(word) = &self.only {
            planned.retain(|mutation| mutation.is_meant(word));
            ensure!(!planned.is_empty(), "no mutation's property or file has `{word}`");
        }
        let checkout = Checkout::of(&repo)?;
        let good = unmutated(&checkout, &planned)?;
        let mut tally = Tally::default();
        for mutation in &planned {
            let begun = Instant::now();
            let (verdict, why) = match good.get(&mutation.test) {
                Some(Some(why)) => ("WRONG", why.clone()),
                _ => judge(&mutated(&checkout, mutation)?),
            };
            match verdict {
                CAUGHT => tally.caught += 1,
                SURVIVED => tally.survived += 1,
                _ => tally.wrong += 1,
            }
            println!("{verdict:8}  {}  ({why})  {:.0} s", mutation.property, begun.elapsed().as_secs_f64());
        }
        let Tally { caught, survived, wrong } = tally;
        let minutes = begun.elapsed().as_secs_f64() / 60.0;
        println!(
            "\n{} mutations in {minutes:.0} min: {caught} caught, {survived} survived, {wrong} that nothing follows from",
            planned.len()
        );
        if survived + wrong > 0 {
            bail!("not every mutation was caught: strengthen the test, or mend `{}`", data::FILE);
        }
        Ok(())
    }
}

const CAUGHT: &str = "caught";
const SURVIVED: &str = "SURVIVED";
const WRONG: &str = "WRONG";

/// What follows from how a test ended with the code broken.
fn judge(outcome: &Outcome) -> (&'static str, String) {
    match outcome {
        Outcome::Failed(names) => {
            let more = if names.len() > 1 { format!(" and {} more", names.len() - 1) } else { String::new() };
            (CAUGHT, format!("{}{more}", names.first().map_or("", String::as_str)))
        }
        Outcome::Passed(count) => (SURVIVED, format!("{count} passed")),
        Outcome::NotCompiled(why) => (WRONG, format!("it does not compile: {why}")),
        Outcome::Neither(why) => (WRONG, format!("the test {why}")),
    }
}

/// Why nothing follows from a test, which fails as the code is or is none; `None` if it is good.
fn unfit(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Passed(0) => Some("its words name no test".to_owned()),
        Outcome::Passed(_) => None,
        Outcome::Failed(names) => Some(format!("fails without a mutation: {}", names.join(", "))),
        Outcome::NotCompiled(why) => Some(format!("does not compile without a mutation: {why}")),
        Outcome::Neither(why) => Some(format!("without a mutation it {why}")),
    }
}

/// Every test as the code is, once each, before anything is broken: then each mutation costs one compilation.
fn unmutated<'m>(checkout: &Checkout, planned: &'m [Mutation]) -> Result<BTreeMap<&'m Vec<String>, Option<String>>> {
    let mut good = BTreeMap::new();
    for mutation in planned {
        if !good.contains_key(&mutation.test) {
            let step = crate::ui::step(format!("as it is: cargo test {}", mutation.test.join(" ")));
            good.insert(&mutation.test, unfit(&checkout.test(&mutation.test)?));
            drop(step);
        }
    }
    Ok(good)
}

fn mutated(checkout: &Checkout, mutation: &Mutation) -> Result<Outcome> {
    let text = checkout.read(&mutation.file)?;
    checkout.write(&mutation.file, &mutation.applied(&text))?;
    let outcome = checkout.test(&mutation.test);
    checkout.write(&mutation.file, &text)?;
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_test_that_failed_has_caught_something() {
        let failed = Outcome::Failed(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(judge(&failed), (CAUGHT, "a and 1 more".to_owned()));
        assert_eq!(judge(&Outcome::Passed(3)).0, SURVIVED);
        assert_eq!(judge(&Outcome::NotCompiled("error: x".to_owned())), (WRONG, "it does not compile: error: x".to_owned()));
        assert_eq!(judge(&Outcome::Neither("did not end within 9 s".to_owned())), (WRONG, "the test did not end within 9 s".to_owned()));
    }

    #[test]
    fn a_test_that_is_none_or_fails_anyway_proves_nothing() {
        assert_eq!(unfit(&Outcome::Passed(1)), None);
        assert_eq!(unfit(&Outcome::Passed(0)).unwrap(), "its words name no test");
        for outcome in [Outcome::Failed(vec!["a".to_owned()]), Outcome::NotCompiled(String::new()), Outcome::Neither(String::new())] {
            assert!(unfit(&outcome).is_some(), "{outcome:?}");
        }
    }
}
