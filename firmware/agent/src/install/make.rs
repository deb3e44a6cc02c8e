//! The root unit `cloudy-install@DISK.service`: judges, puts partitions together, writes them, says how far it is.

use super::{NEEDS, Phase, STATE, State, rules};
use crate::kept;
use crate::limits::{CONFIRMED_MARK, DATA_DIR, INSTALL_TELL_EVERY, INSTALL_WORK_DIR};
use crate::mounts::Mounted;
use crate::{notify, settings, uboot};
use anyhow::{Context, Result, bail, ensure};
use contract::erofs::{SUPERBLOCK_END, superblock};
use contract::gpt::SECTOR_BYTES;
use contract::partitions::{Layout, Role};
use contract::paths::{BOOT_REPORT, DEVICE_LINKS};
use contract::report::Report;
use disks::{Arranged, Content, Disk, Found, HELD_BACK_BYTES, Host, Part, TABLE_BYTES, parts};
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Who holds it writes; beside [`STATE`].
const LOCK: &str = "/run/cloudy-install/lock";
/// What is taken of the config partition; the settings come from data, secrets too.
const CONFIG_FILES: [&str; 2] = ["README.txt", "cloudy.toml.example"];
/// Deeper folders are none of an ESP of ours.
const DEPTH_MAX: usize = 8;

/// Does what the unit's instance asks for. How it ended stands in [`STATE`].
///
/// # Errors
/// When another one goes on, and when not even that could be written.
pub fn run(instance: &str) -> Result<()> {
    let request = rules::request(instance).with_context(|| format!("`{instance}` is no disk's name"))?;
    let unit = rules::unit(rules::name_of(&request.disk), request.erase).context("the disk's name is not plain")?;
    let lock = File::create(LOCK).with_context(|| format!("making `{LOCK}`"))?;
    let _lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).context("another installation goes on")?;
    let shown = request.disk.clone();
    let state = State { unit, shown, disk: request.disk, phase: Phase::Preparing, bytes: 0, of: 0, error: None, joins: None };
    let mut teller = Teller { state, told: Instant::now() };
    teller.tell()?;
    notify::send("READY=1");
    let ended = install(&mut teller, request.erase);
    match &ended {
        Ok(bytes) => {
            log::info!(disk:% = teller.state.shown, bytes:% = bytes; "this system was installed");
            teller.state.phase = Phase::Done;
        }
        Err(error) => {
            log::error!(disk:% = teller.state.shown; "the installation failed: {error:#}");
            teller.state.phase = Phase::Failed;
            teller.state.error = Some(format!("{error:#}"));
        }
    }
    teller.tell()
}

/// Keeps [`STATE`] true.
struct Teller {
    state: State,
    told: Instant,
}

impl Teller {
    fn tell(&mut self) -> Result<()> {
        self.told = Instant::now();
        settings::write_whole(Path::new(STATE), &serde_json::to_vec(&self.state)?, 0o644)
    }
}

impl disks::Progress for Teller {
    fn begin(&mut self, phase: disks::Phase, bytes: u64) {
        self.state.phase = match phase {
            disks::Phase::Writing => Phase::Writing,
            disks::Phase::ReadingBack => Phase::ReadingBack,
        };
        (self.state.bytes, self.state.of) = (0, bytes);
        // A word less does no harm: what follows says more.
        let _ = self.tell();
    }

    fn add(&mut self, bytes: u64) {
        self.state.bytes += bytes;
        if self.told.elapsed() >= INSTALL_TELL_EVERY {
            let _ = self.tell();
        }
    }
}

/// All of it; returns how many bytes were written.
fn install(teller: &mut Teller, erase: bool) -> Result<u64> {
    let report = kept::report(Path::new(BOOT_REPORT))?;
    let report = report.context("this system is no image of cloudy: nothing says which disk it was started from")?;
    ensure!(!uboot::is_here(), "this board starts from its card and from no other disk: flash another card instead");
    let confirmed = report.trial.is_none() || Path::new(CONFIRMED_MARK).exists();
    ensure!(confirmed, "this system has not proved good yet: try again when its page says so, ten minutes after its start at the latest");
    let disk = look(&teller.state.disk)?;
    teller.state.shown = disk.shown();
    let path = disk.path();
    let data = {
        let file = File::open(&path).with_context(|| format!("failed to open {path}"))?;
        rules::data(&disk, &bytes_at(&file, 0, HELD_BACK_BYTES)?, &bytes_at(&file, disk.bytes.saturating_sub(TABLE_BYTES), TABLE_BYTES)?)
    };
    disks::rules::judge_install(&disk, rules::name_of(&report.disk), NEEDS(), data.as_deref(), erase)?;
    // From here on nobody else mounts it.
    let exclusive = File::options().read(true).write(true).custom_flags(OFlag::O_EXCL.bits()).open(&path);
    let target = exclusive.with_context(|| format!("{path} can't be opened for writing: is it in use?"))?;
    let work = Work::begin()?;
    let kept = settings::load(Path::new(DATA_DIR)).values;
    teller.state.joins = Some(rules::joining(&kept));
    let parts = vec![(Role::Config, config(&kept, &work)?), (Role::Esp, esp(&report, &work)?), (Role::RootA, root(&report)?)];
    let mut arranged = Arranged::shipped(Layout::Uefi, &parts, Some(disk.bytes / SECTOR_BYTES as u64))?;
    let pieces = arranged.pieces();
    Ok(disks::write(&mut arranged, &pieces, &target, disk.bytes, teller)?.bytes)
}

fn look(path: &str) -> Result<Disk> {
    match Host::here().and_then(|host| host.look(Path::new(path))).with_context(|| format!("failed to look at `{path}`"))? {
        Found::Disk(disk) => Ok(disk),
        Found::Partition { disk, .. } => bail!("{path} is one partition; a system takes the whole disk: /dev/{disk}"),
        Found::File | Found::Nothing => bail!("there is no disk `{path}`"),
    }
}

fn bytes_at(file: &File, at: u64, len: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(len)?];
    // A disk that is shorter than that is refused for its size.
    match file.read_exact_at(&mut bytes, at) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(bytes),
        read => read.context("the disk can't be read: it is broken, or was pulled out").map(|()| bytes),
    }
}

/// A folder for file systems in the making; removed with all that is in it.
struct Work;

impl Work {
    fn begin() -> Result<Self> {
        let _ = std::fs::remove_dir_all(INSTALL_WORK_DIR);
        std::fs::create_dir_all(INSTALL_WORK_DIR).with_context(|| format!("making the folder `{INSTALL_WORK_DIR}`"))?;
        Ok(Self)
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new(INSTALL_WORK_DIR).join(name)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(INSTALL_WORK_DIR);
    }
}

/// A config partition as it is shipped, with the settings that hold here, secrets too: the new node moves these to its data.
fn config(values: &contract::settings::Settings, work: &Work) -> Result<Part> {
    let partition = Mounted::read_only("config", "umask=0077")?;
    let mut files = Vec::new();
    for name in CONFIG_FILES {
        let path = partition.path().join(name);
        if path.is_file() {
            files.push((name.to_owned(), content(&path)?));
        }
    }
    let header = "# Written when the system was installed, from the settings of the stick. Every key: cloudy.toml.example";
    if let Some(text) =
        contract::settings::to_text(values, header).map_err(|wrong| anyhow::anyhow!("the settings can't be written: {wrong}"))?
    {
        // Windows' editor knows its own line ends only.
        files.push(("cloudy.toml".to_owned(), Content::Bytes(text.replace('\n', "\r\n").into_bytes().into())));
    }
    parts::config_part(&files, &work.file("config")).context("failed to make the config partition")
}

/// An ESP with the slot that runs.
fn esp(report: &Report, work: &Work) -> Result<Part> {
    let partition = Mounted::read_only("esp", "umask=0077")?;
    let mut paths = Vec::new();
    walk(partition.path(), "", DEPTH_MAX, &mut paths)?;
    paths.sort();
    let files = rules::esp_files(&paths, report.build)?;
    let files: Vec<_> = files.into_iter().map(|(from, to)| Ok((to, content(&partition.path().join(from))?))).collect::<Result<_>>()?;
    parts::esp_part(&files, &work.file("esp")).context("failed to make the ESP: is this stick full?")
}

fn walk(top: &Path, below: &str, depth: usize, paths: &mut Vec<String>) -> Result<()> {
    ensure!(depth > 0, "the folders of the ESP are nested too deeply");
    let folder = top.join(below);
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading `{}`", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().into_string().map_err(|name| anyhow::anyhow!("the ESP has a file {name:?}, which is no text"))?;
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        if entry.file_type()?.is_dir() {
            walk(top, &path, depth - 1, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

fn content(path: &Path) -> Result<Content> {
    let len = path.metadata().with_context(|| format!("reading `{}`", path.display()))?.len();
    Ok(Content::Slice { file: Arc::new(path.to_owned()), offset: 0, len })
}

/// The root that runs, as long as its file system is.
fn root(report: &Report) -> Result<Part> {
    let path = Path::new(DEVICE_LINKS).join("root");
    let doing = || format!("failed to read the root `{}`", path.display());
    let mut start = [0; SUPERBLOCK_END];
    File::open(&path).with_context(doing)?.read_exact_at(&mut start, 0).with_context(doing)?;
    let root = superblock(&start).with_context(|| format!("`{}` holds no erofs", path.display()))?;
    ensure!(root.build == report.build, "the root of this slot is of build {}, and {} runs", root.build, report.build);
    Ok(Part { file: path, bytes: root.bytes, used: root.bytes })
}
