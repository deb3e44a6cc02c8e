//! What a person sees while the builder works: steps with their time, progress of long ones. All of it on stderr,
//! so that stdout stays for results. Seconds per stage are collected for `--json`.

use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a progress line is written where stderr is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Seconds per stage, in the order in which the stages ended. One list per process: a process runs one verb.
static STAGES: Mutex<Vec<(String, f64)>> = Mutex::new(Vec::new());

/// Seconds of every stage that has ended so far: (key, seconds).
pub fn stages() -> Vec<(String, f64)> {
    STAGES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A piece of work that a person can follow: says its text now and its seconds when it is dropped.
#[must_use = "the step ends when this is dropped"]
pub struct Step {
    text: String,
    key: Option<&'static str>,
    started: Instant,
}

/// Starts a step: prints `» text`.
pub fn step(text: impl Into<String>) -> Step {
    begin(None, text.into())
}

/// Starts a step whose seconds are also kept under `key` for `--json`.
pub fn stage(key: &'static str, text: impl Into<String>) -> Step {
    begin(Some(key), text.into())
}

fn begin(key: Option<&'static str>, text: String) -> Step {
    say(&format!("» {text}"));
    Step { text, key, started: Instant::now() }
}

impl Drop for Step {
    fn drop(&mut self) {
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(key) = self.key {
            STAGES.lock().unwrap_or_else(PoisonError::into_inner).push((key.to_owned(), seconds));
        }
        say(&format!("  {}: {seconds:.1} s", self.text));
    }
}

/// Lines that tests made the builder say.
#[cfg(test)]
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Whether a line with these words was said.
#[cfg(test)]
pub fn said(words: &str) -> bool {
    SAID.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|line| line.contains(words))
}

/// Prints a line on stderr.
pub fn say(line: &str) {
    #[cfg(test)]
    SAID.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    eprintln!("{line}");
}

/// Progress in bytes: a bar on a terminal, a plain line every few seconds elsewhere. May be used by many threads.
pub struct Progress {
    bar: ProgressBar,
    label: String,
    total: u64,
    /// When the last plain line was written; `None` on a terminal.
    plain: Option<Mutex<Instant>>,
}

/// Starts a progress of `total_bytes`.
pub fn progress(total_bytes: u64, label: &str) -> Progress {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total_bytes), target);
    if let Ok(style) = ProgressStyle::with_template("  {msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(label.to_owned());
    let plain = (!terminal).then(|| Mutex::new(Instant::now()));
    Progress { bar, label: label.to_owned(), total: total_bytes, plain }
}

impl Progress {
    /// `bytes` more are done.
    pub fn add(&self, bytes: u64) {
        self.bar.inc(bytes);
        self.plain_line();
    }

    /// `bytes` that were counted have to be done again.
    pub fn take_back(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    /// Prints a line without tearing the bar.
    pub fn note(&self, line: &str) {
        if self.plain.is_some() {
            say(line);
        } else {
            self.bar.println(line);
        }
    }

    fn plain_line(&self) {
        let Some(last) = &self.plain else { return };
        // Whoever finds the lock taken leaves the line to the one who holds it.
        let Ok(mut last) = last.try_lock() else { return };
        if last.elapsed() < PLAIN_EVERY {
            return;
        }
        *last = Instant::now();
        say(&format!("  {}: {} of {}", self.label, HumanBytes(self.bar.position()), HumanBytes(self.total)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_collected_and_a_step_is_not() {
        drop(step("a step of the test"));
        drop(stage("stage-of-the-test", "a stage of the test"));
        let kept = stages();
        assert_eq!(kept.iter().filter(|(key, _)| key == "stage-of-the-test").count(), 1);
        assert!(kept.iter().all(|(_, seconds)| *seconds >= 0.0));
    }

    #[test]
    fn progress_counts_back_and_forth() {
        let progress = progress(100, "test");
        progress.add(60);
        progress.take_back(20);
        assert_eq!(progress.bar.position(), 40);
    }
}
