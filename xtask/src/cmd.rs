//! Running host commands, so that an error keeps the command and the tail of its stderr.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};

use anyhow::{Context, Result, bail};

/// How many of the last lines of stderr an error keeps.
pub const STDERR_TAIL_LINES: usize = 30;

/// Runs a host command to its end and returns what it printed on stdout.
///
/// # Errors
/// When it can't be started, and when it ends with a status other than 0: with the command and the tail of its stderr.
pub fn read(command: xshell::Cmd<'_>) -> Result<String> {
    let shown = command.to_string();
    let output = command.quiet().ignore_status().output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    check(&shown, output.status, stderr.lines().rev().take(STDERR_TAIL_LINES).collect::<Vec<_>>().into_iter().rev())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Turns an exit status into a result; the error names the command and shows `tail`.
pub fn check<'a>(shown: &str, status: ExitStatus, tail: impl Iterator<Item = &'a str>) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    let mut text = format!("`{shown}` ended with {status}");
    let mut any = false;
    for line in tail {
        if !any {
            text.push_str("; the end of what it said:");
            any = true;
        }
        let _ = write!(text, "\n    {line}");
    }
    bail!(text)
}

/// Reads a started child's stdout whole, then waits for it to end well. `each` sees every line of stderr.
///
/// # Errors
/// As [`read`].
pub fn finish(shown: &str, child: Child, each: impl FnMut(&str) + Send) -> Result<Vec<u8>> {
    let (status, stdout, tail) = listen(shown, child, each)?;
    check(shown, status, tail.iter().map(String::as_str))?;
    Ok(stdout)
}

/// Reads a started child's stdout whole and the last lines of its stderr, then waits for it, however it ends. `each` sees every line of stderr.
///
/// # Errors
/// Its output can't be read.
pub fn listen(shown: &str, mut child: Child, mut each: impl FnMut(&str) + Send) -> Result<(ExitStatus, Vec<u8>, VecDeque<String>)> {
    let stderr = child.stderr.take();
    let mut stdout = Vec::new();
    let tail = std::thread::scope(|scope| -> Result<VecDeque<String>> {
        let reader = scope.spawn(move || {
            let mut tail = VecDeque::new();
            if let Some(stderr) = stderr {
                let mut reader = BufReader::new(stderr);
                let mut line = Vec::new();
                while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    line.clear();
                    each(&text);
                    if tail.len() == STDERR_TAIL_LINES {
                        tail.pop_front();
                    }
                    tail.push_back(text);
                }
            }
            tail
        });
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_end(&mut stdout)?;
        }
        reader.join().map_err(|_| anyhow::anyhow!("the reader of `{shown}`'s stderr broke"))
    })?;
    Ok((child.wait()?, stdout, tail))
}

/// Resident memory of a process in megabytes (of 1,000,000 bytes).
pub fn rss_mb(process: u32) -> Result<f64> {
    memory_mb(process, "VmRSS:")
}

/// The most resident memory that a process ever had, in megabytes.
pub fn peak_mb(process: u32) -> Result<f64> {
    memory_mb(process, "VmHWM:")
}

fn memory_mb(process: u32, what: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).context("a process has ended")?;
    let line = text.lines().find_map(|line| line.strip_prefix(what)).context("a process has ended")?;
    let kibibytes: f64 = line.split_whitespace().next().context("no figure")?.parse()?;
    Ok(kibibytes * 1024.0 / 1e6)
}
