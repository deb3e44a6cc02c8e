//! `cargo xtask bench boot`: from the kernel's start to a page that answers, stage by stage, beside a plain Debian.
//!
//! Both boot on the same virtual machine, turn by turn: our image as it is shipped, and a Debian of the same packages with the agent and its
//! units put in. What differs: Debian boots an ext4 root by the initrd of initramfs-tools with nothing but systemd-boot before it, its settings
//! lie in /etc (so it has neither our settings' unit nor a confirmation), and it carries all of its packages' files and no firmware.

mod debian;
mod times;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::plan::Profile;
use crate::stages::Workshop;
use crate::ui;
use crate::verbs::plan::DEFAULT_FLAVOUR;
use crate::vm::{self, Emulator, Lab, NodeSpec};
use times::{Seen, Times};

/// How long a boot may take until its page answers, and how long until it is done.
const BOOT_LIMIT: Duration = Duration::from_secs(900);
/// How long switching off may take.
const OFF_LIMIT: Duration = Duration::from_secs(300);
/// How long one attempt to reach the page may take: a packet that came too early is not sent again sooner.
const ATTEMPT: Duration = Duration::from_millis(1500);
/// The pause between attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// How often the console is looked at for the mark that ties the host's clock to the node's.
const CONSOLE_POLL: Duration = Duration::from_millis(2);
/// How many of the slowest units are named.
const SLOWEST: usize = 3;

/// Boots an image and a plain Debian of the same packages, turn by turn.
#[derive(Args)]
pub struct Boot {
    /// The board.
    #[arg(default_value = "x86-minipc")]
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// How many boots of each, after a first one that is shown apart; the median is what counts.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A system that is measured.
struct Side<'a> {
    name: &'static str,
    emulator: &'a Emulator,
    lab: Lab,
    boots: Vec<Times>,
}

impl Boot {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        ensure!(self.runs > 0, "--runs must be at least 1");
        let repo = crate::verbs::root()?;
        let image = repo.join("out").join(format!("cloudy-{}-{}.img", self.board, self.flavour));
        ensure!(image.is_file(), "there is no image `{}`: build it with `cargo xtask image {}`", image.display(), self.board);
        let plan = crate::verbs::plan::make(&repo, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(repo, None)?;
        let emulator = Emulator::new(shop.tools.clone())?;
        ui::say(&format!("virtual machines run on {}", emulator.accelerator()));
        let folder = shop.repo.join("target/vm/bench-boot");
        vm::prepare_folder(&folder)?;
        let (ours, theirs) = (folder.join("cloudy"), folder.join("debian"));
        for place in [&ours, &theirs] {
            fs::create_dir_all(place)?;
        }
        let key = vm::make_key(&emulator, &ours)?;
        for name in ["key", "key.pub"] {
            fs::copy(ours.join(name), theirs.join(name))?;
        }
        let disk = folder.join("debian.img");
        debian::make(&shop, &plan, &key, &disk)?;
        let spec = NodeSpec::new("node");
        let settings = format!("hostname = \"cloudy\"\nssh-keys = [\"{key}\"]\n");
        let with_settings = NodeSpec { cloudy_toml: Some(settings), ..spec.clone() };
        let mut sides = [("cloudy", &image, &ours, with_settings), ("Debian", &disk, &theirs, spec)]
            .into_iter()
            .map(|(name, image, folder, spec)| {
                Ok(Side { name, emulator: &emulator, lab: Lab::new(&emulator, image, folder, &[spec])?, boots: Vec::new() })
            })
            .collect::<Result<Vec<_>>>()?;
        fs::remove_file(&disk)?;
        for turn in 0..=self.runs {
            for side in &mut sides {
                let times = side.boot().with_context(|| format!("{} did not boot; its console: {}", side.name, folder.display()))?;
                ui::say(&format!("  {} {}: {}", side.name, if turn == 0 { "first".to_owned() } else { turn.to_string() }, times.line()));
                side.boots.push(times);
            }
        }
        for side in &sides {
            side.lab.remove_disks();
        }
        let [ours, theirs] = sides.as_slice() else { bail!("two sides were wanted") };
        if self.json {
            println!("{}", times::json(&ours.boots, &theirs.boots));
        } else {
            print!("{}", times::table(&self.board, &ours.boots, &theirs.boots));
        }
        Ok(())
    }
}

impl Side<'_> {
    /// One boot, from switching on to switching off.
    fn boot(&mut self) -> Result<Times> {
        let folder = self.lab.folder().to_owned();
        let node = self.lab.nodes.first_mut().context("the lab has no node")?;
        let (page, ssh) = (node.plan.host_port(vm::PAGE_PORT)?, node.plan.host_port(vm::SSH_PORT)?);
        let begun = Instant::now();
        node.start(self.emulator)?;
        let answered = loop {
            if answers(page).unwrap_or(false) {
                break Instant::now();
            }
            ensure!(node.is_on()?, "the node went off");
            ensure!(begun.elapsed() < BOOT_LIMIT, "its page did not answer in {} s", BOOT_LIMIT.as_secs());
            std::thread::sleep(PAUSE);
        };
        let said = loop {
            let ended = vm::run_by_ssh(self.emulator, &folder, ssh, times::QUESTIONS, None, BOOT_LIMIT)?;
            match ended.status {
                Some(0) => break ended.output,
                // sshd may come up later than the page.
                Some(255) if begun.elapsed() < BOOT_LIMIT => std::thread::sleep(PAUSE),
                status => bail!("asking it failed ({status:?}): {}", ended.errors.trim()),
            }
        };
        let seen = Seen::parse(&said)?;
        let (mark, uptime) = self.mark(&folder, ssh)?;
        let page_seconds = uptime - mark.duration_since(answered).as_secs_f64();
        let times = Times::new(&seen, page_seconds, answered.duration_since(begun).as_secs_f64(), SLOWEST);
        let (_, node) = self.lab.node("node")?;
        node.power_off(OFF_LIMIT)?;
        Ok(times)
    }

    /// A moment on both clocks: the host's, and seconds since the kernel's start. The node writes its own on its console, whose log is here
    /// at once.
    fn mark(&mut self, folder: &Path, ssh: u16) -> Result<(Instant, f64)> {
        let emulator = self.emulator;
        let (_, node) = self.lab.node("node")?;
        let log = node.log();
        let from = usize::try_from(fs::metadata(&log)?.len())?;
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| vm::run_by_ssh(emulator, folder, ssh, times::MARK, None, BOOT_LIMIT));
            let begun = Instant::now();
            loop {
                let at = Instant::now();
                let bytes = fs::read(&log)?;
                if let Some(uptime) = times::marked(&String::from_utf8_lossy(bytes.get(from..).unwrap_or_default())) {
                    return Ok((at, uptime));
                }
                if asked.is_finished() && begun.elapsed() > ATTEMPT * 10 || begun.elapsed() > BOOT_LIMIT {
                    bail!("its console did not show the time");
                }
                std::thread::sleep(CONSOLE_POLL);
            }
        })
    }
}

/// Whether the page behind a loopback port answers: with a page, not just with a connection.
fn answers(port: u16) -> Result<bool> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ATTEMPT)?;
    stream.set_read_timeout(Some(ATTEMPT))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200") && answer.contains("</html>"))
}
