//! `cargo xtask flash BOARD DEVICE`: an image onto a card, stick or disk.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use disks::{Disk, Found, Host, Written};
use nix::fcntl::OFlag;

use super::plan::DEFAULT_FLAVOUR;
use crate::flash::{self, Choices, Load};
use crate::trees::{Trees, command};

/// Writes a board's image onto a card, stick or disk, and reads it back. All that was on it is lost.
#[derive(Args)]
pub struct FlashVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The disk, such as /dev/sdb; without it, the disks of this computer are listed. A disk that is mounted or
    /// larger than a card is written only if it is named twice.
    #[arg(value_name = "DEVICE", num_args = 0..=2)]
    devices: Vec<PathBuf>,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// An image (.img or .img.xz) instead of the board's newest.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// DEVICE is a plain file, to be written as if it were a disk; one that exists must be named twice.
    #[arg(long)]
    to_file: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choices: Choices,
}

impl FlashVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        let board = Trees::of(&repo).catalog()?.board(&self.board)?.clone();
        let image = match &self.image {
            Some(path) => path.clone(),
            None => repo.join(super::image::OUT).join(format!("cloudy-{}-{}.img", board.name, self.flavour)),
        };
        ensure!(image.is_file(), "there is no image `{}`: build it with `cargo xtask image {}`", image.display(), board.name);
        let Some(device) = self.devices.first() else { return self.list() };
        let twice = match self.devices.get(1) {
            Some(second) if second != device => {
                bail!("`{}` and `{}` are two disks: one is written at a time", device.display(), second.display())
            }
            second => second.is_some(),
        };
        let settings = self.choices.text()?;
        crate::ui::say(&format!("an image for {}", board.title));
        let load = flash::prepare(&image, settings.as_deref())?;
        load.check_board(&board)?;
        let (card, bytes, shown) = if self.to_file { open_file(device, &load, twice)? } else { self.open_disk(device, &load, twice)? };
        let written = flash::write(&load, &card, bytes)?;
        self.report(device, &image, &shown, settings.is_some(), written)
    }

    /// What there is to write to.
    fn list(&self) -> Result<()> {
        println!("disks of this computer");
        for disk in Host::here()?.disks()? {
            println!("  {}", line(&disk));
        }
        println!("\nNext: {}", command(&format!("flash {} /dev/DISK", self.board)));
        Ok(())
    }

    fn open_disk(&self, device: &Path, load: &Load, twice: bool) -> Result<(File, u64, String)> {
        let host = Host::here().context("failed to read which disks are in use")?;
        let disk = match host.look(device).with_context(|| format!("failed to look at `{}`", device.display()))? {
            Found::Disk(disk) => disk,
            Found::Partition { name, disk } => bail!("{name} is one partition; an image takes the whole disk: /dev/{disk}"),
            Found::File => bail!("`{}` is a plain file or folder, no disk; if that is meant, add --to-file", device.display()),
            Found::Nothing => {
                let known: Vec<String> = host.disks()?.iter().map(line).collect();
                bail!("there is no `{}`; plug it in, or is it one of these?\n    {}", device.display(), known.join("\n    "))
            }
        };
        let mounts = disks::rules::judge(&disk, load.needs(), twice)?;
        crate::ui::say(&disk.shown());
        // Opened before anybody is asked, so that what can't be done is said first.
        let open = || File::options().read(true).write(true).custom_flags(OFlag::O_EXCL.bits()).open(device);
        if let Err(error) = File::options().read(true).write(true).open(device) {
            return Err(self.cannot_open(error, device));
        }
        self.confirm(&disk)?;
        for at in mounts {
            nix::mount::umount(&at)
                .with_context(|| format!("`{}` is in use: close what has files open there, then try again", at.display()))?;
        }
        let card = open().map_err(|error| self.cannot_open(error, device))?;
        Ok((card, disk.bytes, disk.shown()))
    }

    fn confirm(&self, disk: &Disk) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        ensure!(io::stdin().is_terminal(), "nobody can be asked here whether {} may be written: add --yes", disk.path());
        eprint!("All that is on it will be lost. Write it? [y/N] ");
        let mut answer = String::new();
        io::stdin().read_line(&mut answer)?;
        ensure!(matches!(answer.trim(), "y" | "Y" | "yes"), "nothing was written");
        Ok(())
    }

    /// What a disk that can't be opened means, with the mend.
    fn cannot_open(&self, error: io::Error, device: &Path) -> anyhow::Error {
        let shown = device.display();
        let mend = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_else(|_| "xtask".to_owned());
                format!("only root may write to disks here: sudo {program} flash {} {shown} …", self.board)
            }
            io::ErrorKind::ResourceBusy => format!("{shown} is in use by another program: `lsblk {shown}` and `fuser {shown}` show what"),
            io::ErrorKind::ReadOnlyFilesystem => format!("{shown} is write-protected: move the switch at the card's side away from LOCK"),
            _ if error.raw_os_error() == Some(nix::errno::Errno::ENOMEDIUM as i32) => format!("{shown} is empty: put the card in"),
            _ => format!("{shown} can't be opened for writing"),
        };
        anyhow::Error::new(error).context(mend)
    }

    fn report(&self, device: &Path, image: &Path, shown: &str, settings: bool, written: Written) -> Result<()> {
        if self.json {
            let report = serde_json::json!({
                "device": device, "image": image, "written-bytes": written.bytes, "verified-bytes": written.verified, "settings": settings,
            });
            println!("{report}");
            return Ok(());
        }
        println!("{shown}: written and read back, {} MB", written.bytes / 1_000_000);
        if settings {
            println!("cloudy.toml is on it; secrets in it move to the node at its first start, but a card's flash may keep copies");
        }
        if self.to_file {
            println!("\nNext: cargo xtask vm {} --image {}", self.board, device.display());
        } else {
            println!("\nNext: put it into the board, connect the network and switch on; the node's page answers after a few minutes");
        }
        Ok(())
    }
}

fn line(disk: &Disk) -> String {
    let used = if disk.uses.is_empty() { "" } else { ", in use" };
    format!("{}{used}", disk.shown())
}

/// A plain file: one that is there is taken with the size that it has.
fn open_file(path: &Path, load: &Load, twice: bool) -> Result<(File, u64, String)> {
    let doing = || format!("failed to open `{}`", path.display());
    if path.symlink_metadata().is_ok() {
        ensure!(path.is_file(), "`{}` is no plain file; leave --to-file out to write to a disk", path.display());
        ensure!(twice, "`{0}` is there already and would be written over; if that is meant, name it twice: {0} {0}", path.display());
    }
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path).with_context(doing)?;
    let bytes = file.metadata().with_context(doing)?.len().max(load.needs().image_bytes);
    file.set_len(bytes).with_context(doing)?;
    Ok((file, bytes, path.display().to_string()))
}
