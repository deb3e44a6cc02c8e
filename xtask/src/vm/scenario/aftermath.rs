//! What is shown and kept of the nodes of a scenario that failed.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use super::super::emulator::Emulator;
use super::super::lab::Lab;
use super::super::machine::SSH_PORT;
use super::super::node::Node;
use super::super::visit;
use crate::ui;

/// How many of a serial log's last lines are shown.
const TAIL_LINES: usize = 40;
/// How many of the last lines of an agent's own journal are shown.
const JOURNAL_LINES: usize = 30;
/// How long one node's journal is waited for.
const JOURNAL_LIMIT: Duration = Duration::from_secs(90);
const JOURNAL: &str = "sudo journalctl --boot --no-pager --output=short-monotonic";

/// Shows what each node said last. The journal of each that still answers is kept beside its serial log, and the end of what its
/// agent wrote is shown. Each line begins with `told_as`.
pub fn show(emulator: &Emulator, lab: &mut Lab, told_as: &str) {
    let say = |line: &str| ui::say(&format!("{told_as}{line}"));
    let folder = lab.folder().to_owned();
    for node in &mut lab.nodes {
        let name = node.plan.name.clone();
        say(&format!("  the last that {name} said:"));
        let said = node.said();
        // systemd's animation of what it waits for would fill it all.
        last(said.lines().filter(|line| !line.contains(" running (")), TAIL_LINES).for_each(|line| say(&format!("    {line}")));
        match journal(emulator, &folder, node) {
            Ok(Some(journal)) => {
                say(&format!("  the last that the agent of {name} wrote:"));
                last(journal.lines().filter(|line| line.contains(" cloudy[")), JOURNAL_LINES).for_each(|line| say(&format!("    {line}")));
            }
            Ok(None) => {}
            Err(error) => say(&format!("  there is no journal of {name}: {error:#}")),
        }
    }
}

/// The node's journal, which is kept; none of a node that is off.
fn journal(emulator: &Emulator, folder: &Path, node: &mut Node) -> Result<Option<String>> {
    if !node.is_on()? {
        return Ok(None);
    }
    let read = visit::run(emulator, folder, node.plan.host_port(SSH_PORT)?, JOURNAL, None, JOURNAL_LIMIT)?;
    if read.status != Some(0) {
        bail!("it can't be read: {}", read.errors.trim());
    }
    std::fs::write(folder.join(format!("{}.journal.log", node.plan.name)), &read.output)?;
    Ok(Some(read.output))
}

/// The last `count` of some lines.
fn last<'a>(lines: impl Iterator<Item = &'a str>, count: usize) -> impl Iterator<Item = &'a str> {
    let lines: Vec<_> = lines.collect();
    let skip = lines.len().saturating_sub(count);
    lines.into_iter().skip(skip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_the_last() {
        assert_eq!(last("a\nb\nc".lines(), 2).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(last("a".lines(), 2).collect::<Vec<_>>(), ["a"]);
    }
}
