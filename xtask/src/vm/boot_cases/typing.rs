//! Nothing that is typed or floats on the serial line stops the boot.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Bench, LIMIT_BUILT_IN};
use crate::boot::uboot::environment;

/// What is typed, again and again: what U-Boot's prompt and its commands listen to.
const KEYS: [&[u8]; 5] = [b"\r", b"\x03", b" ", b"s", b"\x1b"];
/// Time between two keys: none is missed where a second is left to stop the boot.
const BETWEEN: Duration = Duration::from_millis(20);
/// What U-Boot shows when it was stopped.
const PROMPT: &str = "U-Boot> ";
const STARTING: &str = "cloudy: starting slot a: ";

/// Types from the first moment until the slot is started.
///
/// # Errors
/// When a key stops the shipped environment, and when none stops one that listens: then nothing was typed.
pub fn run(bench: &mut Bench<'_>) -> Result<()> {
    let shipped = environment::file(&environment::variables())?;
    bench.node()?.plan.oddities.typed_at = true;
    let said = typed(bench, STARTING).context("keys are typed while U-Boot starts")?;
    ensure!(!said.contains(PROMPT), "a key stopped U-Boot");
    // The proof that keys arrive: the same card with an environment that listens for a second.
    let mut listens = environment::variables();
    for (name, value) in &mut listens {
        match *name {
            "bootdelay" => *value = "1".to_owned(),
            "stdin" => *value = "serial".to_owned(),
            _ => {}
        }
    }
    bench.set_environment(Some(&environment::file(&listens)?))?;
    typed(bench, PROMPT).context("an environment that listens was not stopped: nothing was typed, so that the test proves nothing")?;
    bench.set_environment(Some(&shipped))?;
    bench.node()?.plan.oddities.typed_at = false;
    Ok(())
}

/// One start with keys all the time, until the console shows `text`.
fn typed(bench: &mut Bench<'_>, text: &str) -> Result<String> {
    let name = bench.node()?.plan.typing();
    let socket = bench.lab.folder().join(name);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let typist = scope.spawn(|| keep_typing(&socket, &over));
        let said = bench.start_until(text, LIMIT_BUILT_IN);
        over.store(true, Ordering::Relaxed);
        let typed = typist.join().map_err(|_| anyhow::anyhow!("the typing thread panicked"))??;
        let said = said?;
        ensure!(typed > 0, "no key was typed: QEMU's serial port could not be reached");
        Ok(said)
    })
}

/// Types until it is over; says how many keys QEMU took.
fn keep_typing(socket: &Path, over: &AtomicBool) -> Result<usize> {
    // A socket's address is short, and a checkout's folder may be deep: so it is reached by a link.
    let short = tempfile::tempdir().context("failed to make a folder for a socket")?;
    let link = short.path().join("s");
    std::os::unix::fs::symlink(socket, &link).context("failed to link to a socket")?;
    let mut line: Option<UnixStream> = None;
    let mut typed = 0;
    let mut heard = [0; 4096];
    for key in KEYS.iter().cycle() {
        if over.load(Ordering::Relaxed) {
            break;
        }
        // Not there yet, or gone: it is looked for until the start is over.
        if line.is_none() {
            line = UnixStream::connect(&link).ok();
            if let Some(line) = &line {
                line.set_nonblocking(true)?;
            }
        }
        let alive = line.as_mut().is_none_or(|line| {
            // What U-Boot says is read from the log; here it must not stop the line.
            let heard = !matches!(line.read(&mut heard), Ok(0));
            match line.write(key) {
                Ok(count) => {
                    typed += count;
                    heard
                }
                Err(error) => heard && error.kind() == ErrorKind::WouldBlock,
            }
        });
        if !alive {
            line = None;
        }
        std::thread::sleep(BETWEEN);
    }
    Ok(typed)
}
