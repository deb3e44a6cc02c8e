//! What the runs say: median and worst of both sides, and their ratio. A lost row is red.

use std::io::IsTerminal as _;

use serde::Serialize;

use super::{Rest, Run, Side, Spec};
use crate::verbs::bench::median;

/// All rows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    nodes: usize,
    runs: usize,
    serf_profile: String,
    rows: Vec<Row>,
}

/// A row; less is better in all of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Row {
    what: &'static str,
    unit: &'static str,
    loss: u32,
    serf: Numbers,
    cloudy: Numbers,
    /// cloudy's median as a share of Serf's; none where Serf's is zero.
    ratio: Option<f64>,
    lost: bool,
}

/// One side's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
struct Numbers {
    count: usize,
    median: f64,
    worst: f64,
    /// How often it did not happen at all.
    never: usize,
}

impl Numbers {
    fn of(values: &[Option<f64>]) -> Self {
        let seen: Vec<f64> = values.iter().flatten().copied().collect();
        let worst = seen.iter().copied().fold(0.0, f64::max);
        let median = if seen.is_empty() { 0.0 } else { median(&seen) };
        Self { count: values.len(), median, worst, never: values.len() - seen.len() }
    }

    /// Worse than the peer: more often not at all, or else a greater median.
    fn loses_to(&self, peer: &Self) -> bool {
        let share = |numbers: &Self| numbers.never as f64 / numbers.count.max(1) as f64;
        share(self) > share(peer) || (share(self) == share(peer) && self.median > peer.median)
    }
}

type Look = fn(&Run) -> Vec<Option<f64>>;

fn rest(run: &Run, of: fn(&Rest) -> f64) -> Vec<Option<f64>> {
    run.rest.iter().map(|rest| Some(of(rest))).collect()
}

/// What is looked at: in words, its unit, and how it is found in a run.
const LOOKS: [(&str, &str, Look); 7] = [
    ("time until all know a join", "s", |run| vec![run.joined]),
    ("an event at all nodes", "s", |run| run.events.clone()),
    ("events lost, of 100 at a node", "", |run| vec![Some(100.0 * run.lost as f64 / run.expected.max(1) as f64)]),
    ("at rest: received, a node", "bytes/s", |run| rest(run, |rest| rest.bytes_in)),
    ("at rest: sent, a node", "bytes/s", |run| rest(run, |rest| rest.bytes_out)),
    ("at rest: processor, a node", "ms/s", |run| rest(run, |rest| rest.cpu)),
    ("resident memory, a node", "MB", |run| rest(run, |rest| rest.rss)),
];

impl Figures {
    /// Of all runs.
    pub fn of(spec: &Spec, runs: &[Run]) -> Self {
        let mut losses = vec![0, spec.loss];
        losses.dedup();
        let rows = losses.into_iter().flat_map(|loss| LOOKS.map(|(what, unit, look)| row(runs, loss, what, unit, look)));
        Self { nodes: spec.nodes, runs: spec.runs, serf_profile: spec.serf_profile.clone(), rows: rows.collect() }
    }

    /// For people.
    pub fn table(&self) -> String {
        let (red, plain) = if std::io::stdout().is_terminal() { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("{} nodes, {} runs of each side; Serf encrypted, profile {}", self.nodes, self.runs, self.serf_profile));
        line(format!("{:<32} {:>5} {:>8} {:>20} {:>20} {:>7}", "median (worst)", "loss", "", "Serf", "cloudy", "ratio"));
        for row in &self.rows {
            let numbers = |numbers: &Numbers| {
                let never = if numbers.never > 0 { format!(", {}x never", numbers.never) } else { String::new() };
                format!("{:.2} ({:.2}{never})", numbers.median, numbers.worst)
            };
            let ratio = row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
            let (begin, end) = if row.lost { (red, format!("  LOST{plain}")) } else { ("", String::new()) };
            let (what, loss, unit) = (row.what, row.loss, row.unit);
            line(format!(
                "{begin}{what:<32} {loss:>3} % {unit:>8} {:>20} {:>20} {ratio:>7}{end}",
                numbers(&row.serf),
                numbers(&row.cloudy)
            ));
        }
        let lost = self.rows.iter().filter(|row| row.lost).count();
        line(format!("\nless is better; {lost} of {} rows are lost", self.rows.len()));
        out
    }
}

fn row(runs: &[Run], loss: u32, what: &'static str, unit: &'static str, look: Look) -> Row {
    let of = |side| {
        let values: Vec<Option<f64>> = runs.iter().filter(|run| run.side == side && run.loss == loss).flat_map(look).collect();
        Numbers::of(&values)
    };
    let (serf, cloudy) = (of(Side::Serf), of(Side::Cloudy));
    let ratio = (serf.median > 0.0).then(|| cloudy.median / serf.median);
    Row { what, unit, loss, serf, cloudy, ratio, lost: cloudy.loses_to(&serf) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(side: Side, joined: Option<f64>, lost: usize) -> Run {
        Run { side, loss: 20, formed: 1.0, joined, events: vec![Some(1.0), None], lost, expected: 50, rest: None }
    }

    fn figures(cloudy: Option<f64>) -> Figures {
        let spec = Spec { runs: 3, nodes: 12, loss: 20, events: 2, rest_seconds: 1, rests: 0, serf_profile: "wan".to_owned() };
        let serf = [4.0, 2.0, 9.0].map(|seconds| run(Side::Serf, Some(seconds), 5));
        let ours = [Some(1.0), Some(2.0), cloudy].map(|seconds| run(Side::Cloudy, seconds, 0));
        Figures::of(&spec, &[serf.as_slice(), ours.as_slice()].concat())
    }

    fn find(figures: &Figures, what: &str) -> (f64, f64, Option<f64>, bool) {
        let row = figures.rows.iter().find(|row| row.loss == 20 && row.what.contains(what)).unwrap();
        (row.serf.median, row.cloudy.worst, row.ratio, row.lost)
    }

    #[test]
    fn rows_say_median_worst_and_ratio() {
        let won = figures(Some(3.0));
        assert_eq!(find(&won, "join"), (4.0, 3.0, Some(0.5), false));
        assert_eq!(find(&won, "lost"), (10.0, 0.0, Some(0.0), false));
        assert!(
            !won.table()
                .contains("time until all know a join          20 %        s          4.00 (9.00)          2.00 (3.00)    0.50  LOST")
        );
    }

    #[test]
    fn a_greater_median_and_what_never_happened_are_lost() {
        let never = figures(None);
        assert!(find(&never, "join").3, "{never:?}");
        assert!(never.table().contains("LOST") && never.table().contains("1x never"));
    }
}
