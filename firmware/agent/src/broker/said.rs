//! What an app says, for those who follow it: each time what is new since the last.
//!
//! Docker is asked again and again, and no stream of its is kept: one would end with each container, so that containers had to be asked for
//! all the same, and it would hold one of the broker's few places, and keep the broker from ending, for as long as somebody looks. Where
//! it was is known by the last line that was given and not by a clock, which may be set back.

use super::Failure;
use super::container::SERVICE_LABEL;
use super::docker::{connect, failed, listed};
use super::run::plain;
use crate::limits::{DOCKER_TIMEOUT_SECS, LOG_LINE_BYTES, LOG_LOOK_LINES, LOG_MAX_BYTES, LOG_MAX_LINES};
use bollard::Docker;
use bollard::query_parameters::LogsOptions;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;

/// The longest that Docker's word for a moment can be.
const MOMENT_BYTES: usize = 40;

/// How far each container of an app was heard, by its number.
pub type Heard = BTreeMap<String, Mark>;

/// The last line that was given of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mark {
    /// When it was said, in Docker's own words; empty where it has said nothing.
    at: String,
    /// So many of those that were said then were given.
    lines: usize,
}

/// What an app has said since it was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Said {
    /// The lines, the newest at the end.
    pub lines: Vec<String>,
    /// Whether more was said than is given.
    pub missed: bool,
    /// What is to be shown the next time.
    pub heard: Heard,
}

/// A line with its moment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    at: String,
    text: String,
}

/// What a message of Docker's says. Docker writes when it was said, as it asked to, in front of what the app wrote.
fn line(message: &[u8]) -> Line {
    let text = String::from_utf8_lossy(message.get(..LOG_LINE_BYTES + MOMENT_BYTES).unwrap_or(message)).into_owned();
    let (at, said) = text.split_once(' ').filter(|(at, _)| at.len() <= MOMENT_BYTES).unwrap_or(("", &text));
    let mut said: String = plain(said).chars().filter(|c| *c != '\n').collect();
    if said.len() > LOG_LINE_BYTES {
        said.truncate(said.floor_char_boundary(LOG_LINE_BYTES));
        said.push('…');
    }
    Line { at: at.to_owned(), text: said }
}

/// How many of these lines were given before, or nothing where none of them was.
fn given(lines: &VecDeque<Line>, mark: &Mark) -> Option<usize> {
    let then = lines.iter().enumerate().filter(|(_, line)| line.at == mark.at).map(|(place, _)| place + 1);
    then.take(mark.lines).last()
}

/// Where the last of these lines stands; where there is none, it is as it was.
fn mark(lines: &VecDeque<Line>, before: Mark) -> Mark {
    let Some(last) = lines.back() else { return before };
    Mark { at: last.at.clone(), lines: lines.iter().filter(|line| line.at == last.at).count() }
}

/// The last lines of a container, as many as were asked for: not more bytes of them than that.
struct Tail {
    lines: VecDeque<Line>,
    bytes: usize,
    /// Lines that came.
    came: usize,
}

impl Tail {
    fn take(&mut self, line: Line, most: usize) {
        self.came += 1;
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.bytes > most {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes -= first.text.len();
        }
    }
}

async fn tail(docker: &Docker, container: &str, lines: u32, most: usize) -> Result<Tail, Failure> {
    let options = LogsOptions { stdout: true, stderr: true, timestamps: true, tail: lines.to_string(), ..LogsOptions::default() };
    let mut stream = std::pin::pin!(docker.logs(container, Some(options)));
    let mut tail = Tail { lines: VecDeque::new(), bytes: 0, came: 0 };
    while let Some(message) = stream.next().await {
        tail.take(line(message.map_err(failed("reading what the app says"))?.as_ref()), most);
    }
    Ok(tail)
}

/// What is new of a container, whether some of it is missing, and where it ends. `known` is where it ended before; a container of which nothing
/// is known is new, or, at the first look at its app, one whose last lines alone are wanted.
fn news(tail: Tail, asked: u32, known: Option<Mark>, first: bool) -> (VecDeque<Line>, bool, Mark) {
    let Tail { mut lines, came, .. } = tail;
    let cut = came >= usize::try_from(asked).unwrap_or(usize::MAX) || came > lines.len();
    let known = known.unwrap_or_default();
    let next = mark(&lines, known.clone());
    match given(&lines, &known) {
        Some(given) => {
            lines.drain(..given);
            (lines, false, next)
        }
        None => (lines, cut && !first, next),
    }
}

/// What an app says that was not heard. Few lines are asked for first: mostly what is new is among them.
async fn of_container(
    docker: &Docker,
    id: &str,
    known: Option<Mark>,
    first: bool,
    most: usize,
) -> Result<(VecDeque<Line>, bool, Mark), Failure> {
    if let Some(mark) = known.clone().filter(|mark| !mark.at.is_empty()) {
        let (lines, missed, next) = news(tail(docker, id, LOG_LOOK_LINES, most).await?, LOG_LOOK_LINES, Some(mark), first);
        if !missed {
            return Ok((lines, missed, next));
        }
    }
    Ok(news(tail(docker, id, LOG_MAX_LINES, most).await?, LOG_MAX_LINES, known, first))
}

/// All of it, by the moments at which it was said, which Docker writes so that they sort as words do.
fn together(mut all: Vec<(String, VecDeque<Line>)>, named: bool) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some((service, next)) = all.iter_mut().filter(|(_, lines)| !lines.is_empty()).min_by(|(_, one), (_, other)| {
        let at = |lines: &VecDeque<Line>| lines.front().map(|line| line.at.clone());
        at(one).cmp(&at(other))
    }) {
        let Some(line) = next.pop_front() else { break };
        lines.push(if named { format!("{service}: {}", line.text) } else { line.text });
    }
    lines
}

/// What a project's containers have said since they were heard. Where there are none, nothing was said.
pub async fn since(socket: &Path, project: &str, mut heard: Heard) -> Result<Said, Failure> {
    let docker = connect(socket, DOCKER_TIMEOUT_SECS).await.map_err(failed("Docker does not answer"))?;
    let mut containers = listed(&docker, project).await?;
    containers.sort_by(|one, other| one.names.cmp(&other.names));
    let (first, most) = (heard.is_empty(), LOG_MAX_BYTES / containers.len().max(1));
    let (mut said, mut all) = (Said::default(), Vec::new());
    for container in &containers {
        let Some(id) = &container.id else { continue };
        let (lines, missed, mark) = of_container(&docker, id, heard.remove(id), first, most).await?;
        said.missed |= missed;
        said.heard.insert(id.clone(), mark);
        let service = container.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
        all.push((service.unwrap_or(id).clone(), lines));
    }
    said.lines = together(all, containers.len() > 1);
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(messages: &[&str], most: usize) -> Tail {
        let mut tail = Tail { lines: VecDeque::new(), bytes: 0, came: 0 };
        messages.iter().for_each(|message| tail.take(line(message.as_bytes()), most));
        tail
    }

    fn texts(lines: &VecDeque<Line>) -> Vec<&str> {
        lines.iter().map(|line| line.text.as_str()).collect()
    }

    const ONE: &str = "2026-11-29T23:11:12.000000001Z one\n";
    const TWO: &str = "2026-11-29T23:11:12.000000002Z two\n";
    const MORE: &str = "2026-11-29T23:11:12.000000002Z more\n";

    #[test]
    fn each_line_is_given_once_also_where_several_were_said_at_once_or_a_clock_was_set_back() {
        let (lines, missed, mark) = news(tail_of(&[ONE, TWO], 100), 10, None, true);
        assert_eq!((texts(&lines), missed), (vec!["one", "two"], false));
        let (lines, _, mark) = news(tail_of(&[ONE, TWO], 100), 10, Some(mark), false);
        assert!(lines.is_empty());
        let (lines, missed, mark) = news(tail_of(&[ONE, TWO, MORE], 100), 10, Some(mark), false);
        assert_eq!((texts(&lines), missed), (vec!["more"], false));
        let back = "2020-01-01T00:00:00.000000000Z earlier\n";
        let (lines, _, mark) = news(tail_of(&[TWO, MORE, back], 100), 10, Some(mark), false);
        assert_eq!(texts(&lines), ["earlier"]);
        // One that says nothing, and then something.
        let (lines, _, nothing) = news(tail_of(&[], 100), 10, None, true);
        assert!(lines.is_empty() && nothing == Mark::default());
        let (lines, _, _) = news(tail_of(&[ONE], 100), 10, Some(nothing), false);
        assert_eq!(texts(&lines), ["one"]);
        // A log that was begun anew is new.
        let (lines, missed, _) = news(tail_of(&[ONE], 100), 10, Some(mark), false);
        assert_eq!((texts(&lines), missed), (vec!["one"], false));
    }

    #[test]
    fn what_was_more_than_is_given_is_said() {
        let known = Some(Mark { at: "2020".to_owned(), lines: 1 });
        assert!(news(tail_of(&[ONE, TWO], 100), 2, known.clone(), false).1, "the lines before these may be new too");
        assert!(!news(tail_of(&[ONE, TWO], 100), 2, None, true).1, "at first the last lines alone are wanted");
        let (lines, missed, _) = news(tail_of(&[ONE, TWO, MORE], 5), 10, known, false);
        assert_eq!((texts(&lines), missed), (vec!["more"], true), "bytes have an end too");
    }

    #[test]
    fn what_an_app_writes_is_no_more_than_a_line_and_changes_no_page() {
        let long = format!("2026-11-29T23:11:12.000000001Z {}\n", "é".repeat(LOG_LINE_BYTES));
        let long = line(long.as_bytes());
        assert!(long.text.len() <= LOG_LINE_BYTES + '…'.len_utf8() && long.text.ends_with('…'));
        assert_eq!(line(b"2026-11-29T23:11:12.000000001Z \x1b[31mred\r\n\xff\x00").text, "[31mred\u{fffd}");
        assert_eq!(line(b"").text, "");
        // A moment that is none is no reason to keep more.
        let odd = line(&[b'x'; 20_000]);
        assert!(odd.at.is_empty() && odd.text.len() <= LOG_LINE_BYTES + '…'.len_utf8());
        let nothing = line("x".repeat(MOMENT_BYTES + 1).as_bytes());
        assert!(nothing.at.is_empty());
    }

    #[test]
    fn several_containers_say_theirs_in_order_under_their_names() {
        let lines = |messages: &[&str]| tail_of(messages, 100).lines;
        let all = || vec![("web".to_owned(), lines(&[TWO])), ("db".to_owned(), lines(&[ONE, MORE]))];
        assert_eq!(together(all(), true), ["db: one", "web: two", "db: more"]);
        assert_eq!(together(all(), false), ["one", "two", "more"]);
    }
}
