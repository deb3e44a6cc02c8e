//! `cargo xtask bench core`: the figures that the microcloud's core is held to, each by what proves it, in one table that says won or LOST.
//!
//! A test prints a figure as a line `figure: WHAT: FOUND of at most MOST UNIT` before it asserts it, so that what is lost is shown too. Of a
//! figure that comes more than once the worst counts. What prints none is won if it passes. It takes hours; `--only` takes a part.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::Serialize;
use xshell::{Shell, cmd};

use super::inputs::passed;
use crate::{cmd, ui};

/// What a figure's line begins with.
const FIGURE: &str = "figure: ";

/// What is held to, and by what it is proven.
struct Proof {
    what: &'static str,
    how: How,
}

enum How {
    /// Tests of a target, and what they are told by variables.
    Tests { target: &'static [&'static str], tests: &'static [&'static str], told: &'static [(&'static str, &'static str)] },
    /// This program with other words: won if it ends well and says of no figure that it is lost. What it says of figures is shown.
    Itself(&'static [&'static str]),
}

const fn tests(what: &'static str, target: &'static [&'static str], tests: &'static [&'static str]) -> Proof {
    told(what, target, tests, &[])
}

const fn told(
    what: &'static str,
    target: &'static [&'static str],
    tests: &'static [&'static str],
    told: &'static [(&'static str, &'static str)],
) -> Proof {
    Proof { what, how: How::Tests { target, tests, told } }
}

const fn itself(what: &'static str, words: &'static [&'static str]) -> Proof {
    Proof { what, how: How::Itself(words) }
}

/// In the order of their cost.
const PROOFS: &[Proof] = &[
    tests(
        "writes over power cuts, and that the sync is what keeps them",
        SIM,
        &["power::no_acknowledged_write_is_lost_over_250_power_cuts", "power::the_sync_is_what_keeps_them"],
    ),
    tests(
        "directed messages over kills and partitions, and that the sync and the one commit are what keeps them",
        SIM,
        &[
            "messages::of_10000_messages_none_is_lost_and_none_takes_effect_twice",
            "messages::the_sync_and_the_one_commit_are_what_keeps_them",
        ],
    ),
    tests(
        "directed messages of real processes over kills and partitions",
        CLOUDY,
        &["net::tests::messages::of_10_000_messages_none_is_lost_and_none_takes_effect_twice_over_200_kills"],
    ),
    tests(
        "a restored, a copied and a damaged card, a full disk, a liar: nothing is harmed, and it is told",
        SIM,
        &[
            "records::a_restored_old_card_gets_its_later_records_back_and_keeps_what_it_writes_meanwhile",
            "records::of_a_copied_card_all_choose_alike_and_it_is_told",
            "records::a_damaged_database_is_put_aside_and_rebuilt_from_the_neighbours",
            "records::on_a_full_disk_reads_go_on_and_writes_are_refused_with_the_reason",
            "records::a_liar_harms_only_what_is_its_own",
            "membership::a_restored_old_card_goes_beyond_its_later_life",
        ],
    ),
    tests(
        "an invite used on both sides of a partition, revoked nodes, strangers under false names",
        SIM,
        &[
            "membership::a_token_used_on_both_sides_of_a_partition_suspends_its_users_when_they_meet",
            "membership::who_is_revoked_is_gone_everywhere_also_where_it_was_let_in_meanwhile",
            "membership::datagrams_of_strangers_and_under_false_names_change_nothing",
        ],
    ),
    tests(
        "partitions of a minute to three days",
        SIM,
        &[
            "figures::both_sides_of_a_partition_meet_within_half_a_minute",
            "figures::both_sides_of_a_partition_of_three_days_meet_within_half_a_minute",
        ],
    ),
    told("seeds with all faults, clock steps among them", SIM, &[SEEDS], &[("CLOUDY_RUNS", "5000")]),
    tests("a day of loss", SIM, &["membership::nobody_who_lives_is_given_up_in_a_day_of_loss"]),
    told("60 nodes at 20 % loss", SIM, &["figures::sixty_nodes_at_a_fifth_lost"], &[("CLOUDY_SEEDS", "24")]),
    tests("writes over kills of real agents", &["--test", "records"], &["no_acknowledged_write_of_10_000_is_lost_over_200_kills"]),
    tests(
        "strangers and revoked nodes at each protocol, each role at each route of the API",
        CLOUDY,
        &[
            "net::tests::strangers::strangers_reach_hello_only",
            "net::tests::strangers::the_gate_starts_closed",
            "net::tests::blobs::members_get_what_is_shared_and_nothing_else",
            "net::tests::blobs::who_is_no_member_any_more_gets_no_further",
            "net::tests::tunnels::strangers_are_not_let_in_and_who_is_removed_is_cut_off",
            "net::tests::ways::who_is_no_member_is_not_brought",
            "http::tests::each_role_passes_each_route_as_the_table_says",
        ],
    ),
    tests(
        "what strangers and removed nodes say at each protocol of a real agent, and a flood of it",
        &["--test", "protocols"],
        &[
            "whatever_strangers_and_removed_members_say_by_each_protocol_is_refused_before_it_has_an_effect",
            "a_flood_of_strangers_by_each_protocol_takes_a_bounded_amount_of_memory_and_members_are_served_all_the_while",
        ],
    ),
    tests(
        "a removed node at real agents",
        &["--test", "revoked"],
        &["a_removed_node_is_out_everywhere_and_comes_in_again_as_another_alone"],
    ),
    itself("idle memory of real agents, 60 nodes with 200 services of 4 KB each", &["bench", "memory"]),
    itself("writes at the block device at rest", &["vm", "x86-minipc", "--scenario", "rest"]),
    tests("1,000 nodes", SIM, &["figures::a_thousand_nodes_at_rest", "figures::a_thousand_nodes_after_a_mass_restart"]),
    itself("cloudy beside Serf", &["bench", "cluster"]),
    itself("made-up inputs for each parser", &["bench", "inputs"]),
];

const SIM: &[&str] = &["--test", "sim"];
const CLOUDY: &[&str] = &["--bin", "cloudy"];
const SEEDS: &str = "seeds::whatever_goes_wrong_in_between_all_end_with_what_was_acknowledged";

/// Proves the figures of the microcloud's core.
#[derive(Args)]
pub struct Core {
    /// Only what has this text in its description (may be given more than once).
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Not what has this text in its description (may be given more than once).
    #[arg(long, value_name = "TEXT")]
    without: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A line of the table.
#[derive(Debug, PartialEq, Serialize)]
struct Row {
    what: String,
    /// None where it is passed or not.
    figure: Option<Figure>,
    won: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Figure {
    found: f64,
    most: f64,
    unit: String,
}

/// What became of a proof.
#[derive(Debug, Serialize)]
struct Outcome {
    what: &'static str,
    rows: Vec<Row>,
    /// What it printed, where it is no test.
    said: String,
    seconds: f64,
}

impl Core {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        let is_meant = |proof: &&Proof| {
            let has = |text: &String| proof.what.contains(text);
            (self.only.is_empty() || self.only.iter().any(has)) && !self.without.iter().any(has)
        };
        let chosen: Vec<&Proof> = PROOFS.iter().filter(is_meant).collect();
        ensure!(
            !chosen.is_empty(),
            "no figure is of that; there are: {}",
            PROOFS.iter().map(|proof| proof.what).collect::<Vec<_>>().join("; ")
        );
        let shell = Shell::new()?;
        shell.change_dir(crate::verbs::root()?);
        let mut outcomes = Vec::new();
        for proof in chosen {
            let _stage = ui::stage("core", proof.what);
            let begun = Instant::now();
            let (rows, said) = proof.run(&shell)?;
            let outcome = Outcome { what: proof.what, rows, said, seconds: begun.elapsed().as_secs_f64() };
            // Whatever ends this run, what was found is on the terminal.
            ui::say(&outcome.lines(std::io::stderr().is_terminal()));
            outcomes.push(outcome);
        }
        let rows = || outcomes.iter().flat_map(|outcome| &outcome.rows);
        let lost = rows().filter(|row| !row.won).count();
        if self.json {
            println!("{}", serde_json::to_string_pretty(&outcomes)?);
        } else {
            outcomes.iter().for_each(|outcome| print!("{}", outcome.lines(std::io::stdout().is_terminal())));
            println!("\n{} won, {lost} LOST", rows().count() - lost);
        }
        if lost > 0 {
            bail!("{lost} of {} figures are lost", rows().count());
        }
        Ok(())
    }
}

impl Proof {
    fn run(&self, shell: &Shell) -> Result<(Vec<Row>, String)> {
        let command = match &self.how {
            How::Tests { target, tests, told } => {
                let (target, tests) = (*target, *tests);
                let run = cmd!(
                    shell,
                    "cargo test --workspace --locked --profile inputs {target...} -- --exact --include-ignored --nocapture --test-threads 2 {tests...}"
                );
                run.envs(told.iter().copied()).quiet()
            }
            How::Itself(words) => {
                let words = *words;
                let program = std::env::current_exe().context("this program has no place")?;
                cmd!(shell, "{program} {words...}")
            }
        };
        let (ended_well, said, told) = listened(command.into())?;
        Ok(match &self.how {
            How::Tests { tests, .. } => (rows(self.what, &said, ended_well && passed(&said) == tests.len())?, String::new()),
            // Some say of their figures that they are lost and end well, and some say them where they say what they do.
            How::Itself(_) => {
                let figures: Vec<&str> = told.lines().filter(|line| is_verdict(line)).collect();
                let said = format!("{said}{}", figures.join("\n"));
                (rows(self.what, "", ended_well && !is_lost(&said))?, said)
            }
        })
    }
}

/// Whether a line says how a figure came out.
fn is_verdict(line: &str) -> bool {
    line.contains("won") || is_lost(line)
}

/// Whether somebody says of a figure of theirs that it is lost; `0 rows are lost` says that of none.
fn is_lost(said: &str) -> bool {
    said.contains("LOST") || said.contains(": lost)")
}

/// Runs a command that says what it does on its stderr, which is passed on: whether it ended well, its stdout and its stderr.
fn listened(mut command: Command) -> Result<(bool, String, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut told = String::new();
    let child = command.spawn().context("failed to start a proof")?;
    let (status, said, _) = cmd::listen("a proof", child, |line| {
        ui::say(line);
        let _ = writeln!(told, "{line}");
    })?;
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned(), told))
}

/// What a proof's output says: its figures, and that it passed or did not, where no figure says so.
fn rows(what: &str, said: &str, passed: bool) -> Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    for line in said.lines() {
        // The runner writes a test's name before what the test writes, on the same line.
        let Some((_, text)) = line.split_once(FIGURE) else { continue };
        let (what, figure) = figure(text).with_context(|| format!("`{text}` is no figure"))?;
        match rows.iter_mut().find(|row| row.what == what) {
            Some(row) if row.figure.as_ref().is_some_and(|known| known.found >= figure.found) => {}
            Some(row) => *row = Row::of(what, figure),
            None => rows.push(Row::of(what, figure)),
        }
    }
    if rows.is_empty() || !passed {
        rows.push(Row { what: what.to_owned(), figure: None, won: passed });
    }
    Ok(rows)
}

/// `WHAT: FOUND of at most MOST UNIT`.
fn figure(text: &str) -> Option<(String, Figure)> {
    let (what, numbers) = text.rsplit_once(": ")?;
    let (found, most) = numbers.split_once(" of at most ")?;
    let (most, unit) = most.split_once(' ')?;
    Some((what.to_owned(), Figure { found: found.parse().ok()?, most: most.parse().ok()?, unit: unit.trim().to_owned() }))
}

impl Row {
    fn of(what: String, figure: Figure) -> Self {
        let won = figure.found <= figure.most;
        Self { what, figure: Some(figure), won }
    }
}

impl Outcome {
    fn lines(&self, coloured: bool) -> String {
        let mut out = String::new();
        for Row { what, figure, won } in &self.rows {
            let verdict = match (won, coloured) {
                (true, _) => "won ",
                (false, true) => "\x1b[31mLOST\x1b[0m",
                (false, false) => "LOST",
            };
            let found =
                figure.as_ref().map(|Figure { found, most, unit }| format!(": {found} (at most {most}) {unit}")).unwrap_or_default();
            let _ = writeln!(out, "{verdict}  {what}{}", found.trim_end());
        }
        for line in self.said.lines().filter(|line| !line.trim().is_empty()) {
            let _ = writeln!(out, "      {line}");
        }
        let _ = writeln!(out, "      ({}: {:.0} s)", self.what, self.seconds);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(what: &str, found: f64, most: f64) -> Row {
        Row::of(what.to_owned(), Figure { found, most, unit: "s".to_owned() })
    }

    #[test]
    fn the_worst_of_a_figure_counts_and_what_is_too_much_is_lost() {
        let said = "running 2 tests\ntest a ... figure: a join: known: 2.5 of at most 10 s\nfigure: power: 31.0 of at most 30 s\n\
                    figure: a join: known: 3.5 of at most 10 s\nfigure: a join: known: 1.0 of at most 10 s\n";
        assert_eq!(rows("x", said, true).unwrap(), [of("a join: known", 3.5, 10.0), of("power", 31.0, 30.0)]);
        assert_eq!([of("", 30.0, 30.0).won, of("", 30.1, 30.0).won, of("", f64::NAN, 30.0).won], [true, false, false]);
    }

    #[test]
    fn what_has_no_figure_is_won_if_it_passes_and_a_failure_is_never_hidden_by_figures() {
        let verdicts =
            |said, passed| rows("proof", said, passed).unwrap().iter().map(|row| (row.what.clone(), row.won)).collect::<Vec<_>>();
        assert_eq!(verdicts("ok", true), [("proof".to_owned(), true)]);
        assert_eq!(verdicts("", false), [("proof".to_owned(), false)]);
        let good = "figure: writes lost: 0 of at most 0 \n";
        assert_eq!(verdicts(good, true), [("writes lost".to_owned(), true)]);
        assert_eq!(verdicts(good, false), [("writes lost".to_owned(), true), ("proof".to_owned(), false)]);
        assert!(rows("proof", "figure: writes lost: none of at most 0 ", true).is_err());
    }

    #[test]
    fn who_ends_well_and_says_that_a_figure_is_lost_has_lost_it() {
        assert!(is_lost("at rest   3.20  LOST\n") && is_lost("1.40 by the files of agent and broker (at most 1: lost)"));
        assert!(!is_lost("less is better; 0 of 14 rows are lost") && !is_lost("0.10 (at most 1: won)"));
        assert!(is_verdict("a (at most 1: won), b") && !is_verdict("waiting for the node"));
    }

    #[test]
    fn what_a_proof_says_is_heard_on_both_sides() {
        let shell = Shell::new().unwrap();
        let mut command = Command::from(cmd!(shell, "sh"));
        command.args(["-c", "echo out; echo err >&2; exit 3"]);
        assert_eq!(listened(command).unwrap(), (false, "out\n".to_owned(), "err\n".to_owned()));
    }

    #[test]
    fn the_table_says_won_or_lost() {
        let rows = vec![of("join", 2.3, 10.0), of("power", 31.0, 30.0)];
        let outcome = Outcome { what: "60 nodes", rows, said: "more\n\n".to_owned(), seconds: 7.4 };
        assert_eq!(
            outcome.lines(false),
            "won   join: 2.3 (at most 10) s\nLOST  power: 31 (at most 30) s\n      more\n      (60 nodes: 7 s)\n"
        );
    }

    #[test]
    fn each_test_that_is_named_is_there() {
        let root = crate::verbs::root().unwrap();
        for proof in PROOFS {
            let How::Tests { target, tests, .. } = &proof.how else { continue };
            for test in *tests {
                // A module's file, or the one of tests that a module has.
                let (modules, name) = test.rsplit_once("::").unwrap_or(("", test));
                let modules = modules.replace("::", "/");
                let files = match target {
                    ["--bin", _] => [format!("firmware/agent/src/{modules}.rs"), format!("firmware/agent/src/{modules}/mod.rs")],
                    [_, "sim"] => [format!("firmware/cluster/tests/sim/{modules}.rs"), String::new()],
                    [_, target] => [format!("firmware/agent/tests/{target}.rs"), String::new()],
                    _ => panic!("{target:?} is no target"),
                };
                let text = files.iter().find_map(|file| std::fs::read_to_string(root.join(file)).ok()).unwrap();
                let declared = format!("fn {name}()");
                let before = text.find(&declared).map(|at| text[..at].trim_end_matches("async ").lines().next_back().unwrap_or_default());
                assert!(before.is_some_and(|line| line.starts_with("#[")), "{files:?}: no test {name}");
            }
        }
    }
}
