//! A disk that is full in the middle of an install: Docker's data and the node's own lie on one small file system, as on a node, and what is
//! free there is less than the image needs.

use std::fs::{self, File};
use std::path::Path;
use std::process::Child;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::fcntl::posix_fallocate;
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

use super::DATA as DISK;
use super::docker::{must as run, start_dockerd};
use super::node::{DATA, Node, STATE, docker, has, is, json, must, said_refused, until};
use super::trial::Trial;

/// The small disk, as the kernel reads it.
const SIZE: &str = "size=1g";
/// What fills it.
const BALLAST: &str = "/var/lib/docker/ballast";
/// What a disk may have less of after an install that was undone: Docker's and the node's own notes of it.
const NOTES: u64 = 2 * 1024 * 1024;

fn free() -> Result<u64> {
    let disk = statvfs(DISK).context("failed to look at the small disk")?;
    Ok(disk.blocks_available() * disk.fragment_size())
}

/// Leaves so many bytes free.
fn leave(bytes: u64) -> Result<()> {
    let file = File::create(BALLAST).context("failed to make the ballast")?;
    let much = free()?.checked_sub(bytes).context("the small disk is too small")?;
    posix_fallocate(&file, 0, i64::try_from(much)?).context("failed to fill the small disk")
}

/// What Docker has of an app, and the node: containers, volumes, networks, images, files of its project.
fn leftovers(app: &str) -> Result<Vec<String>> {
    let label = format!("label=com.docker.compose.project=cloudy-{app}");
    let mut left = vec![format!("{:?}", has(app)?)];
    left.push(docker(&["network", "ls", "--quiet", "--filter", &label])?);
    left.push(docker(&["images", "--all", "--quiet"])?);
    left.push(json(&["app", "list"])?["apps"].as_array().into_iter().flatten().filter(|found| found["name"] == app).count().to_string());
    left.push(Path::new(STATE).join("projects").join(format!("cloudy-{app}")).exists().to_string());
    Ok(left)
}

/// Docker, anew and with nothing, on a small disk.
fn small_disk(dockerd: &mut Child) -> Result<()> {
    kill(Pid::from_raw(i32::try_from(dockerd.id())?), Signal::SIGTERM).context("failed to stop dockerd")?;
    dockerd.wait()?;
    mount(Some("tmpfs"), DISK, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(SIZE))
        .context("failed to mount a small disk")?;
    *dockerd = start_dockerd()?;
    Ok(())
}

impl Node {
    /// The node's own data on the same disk.
    fn move_there(&mut self) -> Result<()> {
        self.stop()?;
        let there = format!("{DISK}/node");
        run("cp", &["--archive", DATA, &there])?;
        mount(Some(there.as_str()), DATA, None::<&str>, MsFlags::MS_BIND, None::<&str>).context("failed to move the node's data")?;
        self.start_again()
    }

    /// Installs an app where its image does not fit, makes room, and installs it.
    pub fn on_a_full_disk(&mut self, trial: &Trial, dockerd: &mut Child) -> Result<()> {
        let begun = Instant::now();
        let name = trial.name.as_str();
        small_disk(dockerd)?;
        self.move_there()?;
        let settings: Vec<String> = trial.settings.iter().map(|(key, value)| format!("--set={key}={value}")).collect();
        let install = [&["app", "install", name], settings.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
        let nothing = leftovers(name)?;
        // Once before: what it takes, and what Docker writes of the first image at all.
        let at_first = free()?;
        must(&install)?;
        is(name, "running")?;
        let takes = at_first.saturating_sub(free()?);
        must(&["app", "remove", name, "--with-data"])?;
        for room in [takes / 2, takes / 8, 0] {
            leave(room)?;
            let before = free()?;
            let said = said_refused(&install)?;
            ensure!(said.contains("disk is full"), "it should be said that the disk is full: {said}");
            if room > 0 {
                let job = json(&["jobs"])?["jobs"][0].clone();
                ensure!(job["state"] == "undone" && job.to_string().contains("disk is full"), "the job should say it too: {job}");
            }
            ensure!(leftovers(name)? == nothing, "something stays: {:?}", leftovers(name)?);
            until("what was taken is free again", || Ok(free()? + NOTES >= before))?;
            fs::remove_file(BALLAST)?;
        }
        must(&install)?;
        is(name, "running")?;
        must(&["app", "remove", name, "--with-data"])?;
        ensure!(leftovers(name)? == nothing, "something stays: {:?}", leftovers(name)?);
        println!(
            "  {:5.1} s  on a disk with room for a half, an eighth and nothing of its {:.0} MB it was refused or undone, said so and left nothing; with room it was installed",
            begun.elapsed().as_secs_f32(),
            takes as f64 / 1e6
        );
        Ok(())
    }
}
