//! `cargo xtask bench inputs`: so many made-up inputs for each parser of what others send, by the property tests that look at a few hundred
//! in each run of the suite. They ask for no panic, no overflow (the profile `inputs` stops at one), and that nothing forged is taken.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use xshell::{Shell, cmd};

use crate::{cmd as commands, ui};

/// The tests' own variable for how many cases each has.
const CASES: &str = "PROPTEST_CASES";

/// A parser: what it reads, from whom, and the tests that feed it.
struct Parser {
    reads: &'static str,
    from: &'static str,
    /// Cargo's words for where its tests are.
    target: &'static [&'static str],
    tests: &'static [&'static str],
}

const CLOUDY: &[&str] = &["--bin", "cloudy"];
const CONTRACT: &[&str] = &["--lib"];

const PARSERS: &[Parser] = &[
    Parser {
        reads: "tokens, certificates, revocations, cards, requests to join, rosters",
        from: "strangers and members",
        target: &["--test", "formats"],
        tests: &["mutated_inputs_are_refused", "cut_and_lengthened_inputs_are_refused", "any_bytes_are_read_without_panic"],
    },
    Parser {
        reads: "heads, forks, records, exchanges, summaries, goodbyes",
        from: "members",
        target: &["--test", "sim"],
        tests: &["records::nearly_right_inputs_never_panic_nor_pass"],
    },
    Parser {
        reads: "datagrams of the membership",
        from: "members",
        target: &["--test", "sim"],
        tests: &["membership::mutated_datagrams_never_panic_and_admit_nobody"],
    },
    Parser {
        reads: "samples of nodes' health",
        from: "members",
        target: &["--test", "health"],
        tests: &["a_liar_speaks_for_itself_only", "whatever_a_member_says_is_bounded"],
    },
    Parser {
        reads: "what nodes say on the local network",
        from: "strangers",
        target: CLOUDY,
        tests: &["net::event::tests::whatever_is_said_on_the_local_network_is_read_without_harm"],
    },
    Parser { reads: "messages", from: "members", target: &["--test", "messages"], tests: &["any_bytes_are_read_or_refused"] },
    Parser {
        reads: "offers and leases",
        from: "members",
        target: &["--test", "leases"],
        tests: &["any_bytes_are_read_or_refused", "mutated_words_never_panic_and_never_verify"],
    },
    Parser {
        reads: "entries and manifests of apps' stores",
        from: "members",
        target: &["--test", "appstore"],
        tests: &["shares_from_anywhere_are_read_or_refused", "a_changed_manifest_is_no_manifest"],
    },
    Parser {
        reads: "published services",
        from: "members' records",
        target: CLOUDY,
        tests: &["net::registry::service::tests::no_value_of_others_panics_or_shows_control_characters"],
    },
    Parser {
        reads: "blobs that are held",
        from: "members' records",
        target: CLOUDY,
        tests: &["net::registry::blobs::tests::no_value_of_others_panics_or_names_a_place"],
    },
    Parser {
        reads: "signed catalogs of apps",
        from: "members and files",
        target: &["--test", "catalog"],
        tests: &[
            "a_changed_catalog_is_no_catalog",
            "any_bytes_are_read_without_panic_and_are_no_catalog",
            "what_is_signed_by_whoever_keeps_limits_or_is_refused",
        ],
    },
    Parser {
        reads: "catalogs that are told of",
        from: "members' records",
        target: CLOUDY,
        tests: &["net::registry::catalogs::tests::no_value_of_others_panics_or_shows_control_characters"],
    },
    Parser {
        reads: "what admins hide",
        from: "members' records",
        target: CLOUDY,
        tests: &["net::registry::hidden::tests::hostile_records_hide_nothing_that_they_may_not_and_show_nothing_that_harms"],
    },
    Parser {
        reads: "packets of ways",
        from: "members",
        target: CLOUDY,
        tests: &["net::ways::pump::tests::hostile_bytes_are_packets_within_the_limit_or_an_error"],
    },
    Parser {
        reads: "openings of tunnels",
        from: "members",
        target: CLOUDY,
        tests: &["tunnels::wire::tests::hostile_bytes_are_a_key_or_refused_and_take_no_more_than_a_head"],
    },
    Parser {
        reads: "what is said of a lease's app",
        from: "members",
        target: CLOUDY,
        tests: &["leases::about::tests::any_bytes_are_read_or_refused"],
    },
    Parser {
        reads: "headers of ranges",
        from: "browsers",
        target: CLOUDY,
        tests: &["blobs::parts::tests::no_header_panics_or_asks_for_more_than_there_is"],
    },
    Parser {
        reads: "cookies and authorizations",
        from: "browsers",
        target: CLOUDY,
        tests: &["users::secret::tests::any_cookies_are_read_without_harm", "users::secret::tests::any_authorization_is_read_without_harm"],
    },
    Parser { reads: "uploads of forms", from: "browsers", target: CLOUDY, tests: &["http::multipart::tests::nothing_is_too_much"] },
    Parser {
        reads: "names in apps' tars",
        from: "files",
        target: CLOUDY,
        tests: &["apps::catalog::receive::tests::no_name_leads_out", "apps::catalog::receive::tests::no_message_shows_control_characters"],
    },
    Parser {
        reads: "backups",
        from: "members and files",
        target: CLOUDY,
        tests: &["apps::backup::format_tests::whatever_is_read_never_panics_and_a_changed_byte_is_noticed"],
    },
    Parser { reads: "compose files", from: "forms", target: CONTRACT, tests: &["apps::own::tests::no_text_is_too_much"] },
    Parser {
        reads: "manifests of images",
        from: "files",
        target: CONTRACT,
        tests: &["oci::documents::tests::nothing_that_is_read_panics_or_shows_control_characters"],
    },
    Parser {
        reads: "cloudy.toml",
        from: "cards",
        target: CONTRACT,
        tests: &[
            "settings::read::tests::any_bytes_are_survived",
            "settings::read::tests::any_text_near_a_good_one_is_survived_and_places_lie_inside",
        ],
    },
];

/// Feeds the parsers of what others send.
#[derive(Args)]
pub struct Inputs {
    /// Inputs for each test.
    #[arg(long, default_value_t = 1_000_000)]
    cases: u32,
    /// Only parsers whose description has this text.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Fed {
    reads: &'static str,
    from: &'static str,
    tests: usize,
    inputs: u64,
    seconds: f64,
}

impl Inputs {
    /// Runs it.
    pub fn run(self) -> Result<()> {
        ensure!(self.cases > 0, "--cases must be at least 1");
        let shell = Shell::new()?;
        shell.change_dir(crate::verbs::root()?);
        let only = self.only.unwrap_or_default();
        let chosen: Vec<&Parser> = PARSERS.iter().filter(|parser| parser.reads.contains(&only)).collect();
        ensure!(!chosen.is_empty(), "no parser reads `{only}`");
        let stage = ui::stage("inputs", "compiling the tests as quick as a release");
        let targets: BTreeSet<&[&str]> = chosen.iter().map(|parser| parser.target).collect();
        let targets = targets.into_iter().flatten();
        commands::read(cmd!(shell, "cargo test --workspace --locked --profile inputs --no-run --quiet {targets...}"))?;
        drop(stage);
        let mut all = Vec::new();
        for Parser { reads, from, target, tests } in chosen {
            let begun = Instant::now();
            let _stage = ui::stage("inputs", format!("{reads}, from {from}: {} inputs for each of {} tests", self.cases, tests.len()));
            let (target, tests) = (*target, *tests);
            let run = cmd!(shell, "cargo test --workspace --locked --profile inputs --quiet {target...} -- --exact {tests...}")
                .env(CASES, self.cases.to_string());
            let said = commands::read(run)?;
            // A name that fits no test would be passed over in silence.
            ensure!(passed(&said) == tests.len(), "of {reads}, {} of {} tests were found:\n{said}", passed(&said), tests.len());
            let inputs = u64::from(self.cases) * tests.len() as u64;
            all.push(Fed { reads, from, tests: tests.len(), inputs, seconds: begun.elapsed().as_secs_f64() });
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            for Fed { reads, from, inputs, seconds, .. } in &all {
                println!("{inputs:>10} inputs, all its tests passed, in {seconds:6.0} s: {reads}, from {from}");
            }
        }
        Ok(())
    }
}

/// How many tests cargo says have passed, in all targets.
pub(super) fn passed(said: &str) -> usize {
    said.lines().filter_map(|line| line.strip_prefix("test result: ok. ")?.split_once(" passed")?.0.parse::<usize>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn tests_that_passed_are_counted_over_all_targets() {
        let said = "running 2 tests\ntest result: ok. 2 passed; 0 failed; 0 ignored\n\ntest result: ok. 0 passed; 0 failed\ntest result: ok. 1 passed; 0 failed";
        assert_eq!(passed(said), 3);
        assert_eq!(passed("test result: FAILED. 2 passed; 1 failed"), 0);
    }

    fn rust_below(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.fold(String::new(), |all, path| match path.extension() {
            _ if path.is_dir() => all + &rust_below(&path),
            Some(extension) if extension == "rs" => all + &fs::read_to_string(&path).unwrap(),
            _ => all,
        })
    }

    #[test]
    fn each_test_that_is_named_is_there_and_obeys_the_variable() {
        let texts = ["firmware/cluster/tests", "firmware/agent/src", "firmware/contract/src"]
            .map(|folder| rust_below(&crate::verbs::root().unwrap().join(folder)));
        let all = texts.concat();
        for test in PARSERS.iter().flat_map(|parser| parser.tests) {
            let name = test.rsplit("::").next().unwrap();
            let declared = format!("fn {name}(");
            let places: Vec<usize> = all.match_indices(&declared).map(|(at, _)| at).collect();
            assert!(!places.is_empty(), "{test}");
            for at in places {
                const OBEYS: &str = "ProptestConfig::default().cases.max(";
                let block = &all[all[..at].rfind("proptest! {").unwrap()..at];
                let counts = all[at..].split("\n}\n").next().unwrap().contains(OBEYS);
                let obeys = counts || !block.contains("proptest_config") || block.contains(&format!("cases: {OBEYS}"));
                assert!(obeys, "a {test} has cases of its own");
            }
        }
    }
}
