//! QMP, by which QEMU is told to press the power button or to take a picture, over QEMU's own stdin and stdout.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

/// How long QEMU may take to answer; a hang limit.
const ANSWER_SECONDS: u64 = 60;

/// The control line of one running QEMU.
pub struct Qmp {
    to: ChildStdin,
    answers: Receiver<Value>,
}

impl Qmp {
    /// Takes over the line and leaves QMP's capabilities mode.
    pub fn start(to: ChildStdin, from: ChildStdout) -> Result<Self> {
        let (sender, answers) = channel();
        // It ends with QEMU, whose stdout then closes.
        std::thread::Builder::new().name("qmp".to_owned()).spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str::<Value>(&line)
                    && sender.send(value).is_err()
                {
                    return;
                }
            }
        })?;
        let mut qmp = Self { to, answers };
        qmp.command("qmp_capabilities", json!({}))?;
        Ok(qmp)
    }

    /// Waits until QEMU, which was killed, is really gone: it holds the other end of the line as long as it lives.
    pub fn wait_gone(self) -> Result<()> {
        drop(self.to);
        loop {
            match self.answers.recv_timeout(Duration::from_secs(ANSWER_SECONDS)) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => bail!("QEMU was killed and is still there after {ANSWER_SECONDS} s"),
            }
        }
    }

    /// Gives a command and waits for its answer.
    pub fn command(&mut self, name: &str, arguments: Value) -> Result<Value> {
        let line = json!({ "execute": name, "arguments": arguments });
        writeln!(self.to, "{line}").with_context(|| format!("QEMU does not take the command `{name}` any more"))?;
        self.to.flush()?;
        loop {
            match self.answers.recv_timeout(Duration::from_secs(ANSWER_SECONDS)) {
                Ok(mut answer) => {
                    if let Some(result) = answer.get_mut("return") {
                        return Ok(result.take());
                    }
                    if let Some(error) = answer.get("error") {
                        bail!("QEMU refused `{name}`: {error}");
                    }
                    // The greeting, or an event: not the answer.
                }
                Err(RecvTimeoutError::Timeout) => bail!("QEMU did not answer `{name}` in {ANSWER_SECONDS} s"),
                Err(RecvTimeoutError::Disconnected) => return Err(anyhow!("QEMU ended before it answered `{name}`")),
            }
        }
    }
}
