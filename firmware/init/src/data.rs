//! The data partition: checked, mounted, and shown at /var, /home and /root.
//!
//! Data that can't be used stops no boot, since no other slot would mend it: the node comes up with what can be read,
//! or with nothing, keeps nothing, and says so on its page.

use std::fs::{create_dir_all, read_to_string, remove_file};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contract::boot::BuildId;
use contract::guid::Guid;
use contract::partitions::Role;
use contract::paths::{BOOT_STATE, DATA_FOLDERS, MACHINE_ID, REPAIR_REQUEST, SAVED_CLOCK};
use contract::report::{DataState, FsckReport};
use nix::mount::MsFlags;

use crate::child::run;
use crate::console::{Level, say};
use crate::context::Context;
use crate::disks::BootDisk;
use crate::first_boot::{make_file_system, random, write_table};
use crate::limits::CHECK_DATA;
use crate::mounts::{bind, mount_at, unmount};
use crate::root::SYSROOT;
use crate::rules::first_boot::Step;
use crate::rules::fsck::{Verdict, judge};
use crate::seed::{make_folder, seed, sync, write_whole};
use crate::time;

/// Where data is mounted while init works with it.
const DATA: &str = "/run/cloudy-boot/data";
/// Where damaged data is mounted, to be read only.
const DAMAGED: &str = "/run/cloudy-boot/damaged";
const CONFIG: &str = "/run/cloudy-boot/config";
/// How much memory a run without data may use.
const VOLATILE: &str = "mode=0755,size=50%";

/// What became of data.
pub struct Data {
    /// In what state it is.
    pub state: DataState,
    /// What e2fsck said.
    pub fsck: Option<FsckReport>,
    /// Whether it was made in this boot.
    pub made: bool,
    /// The node's machine-id: 32 hexadecimal digits.
    pub machine_id: String,
}

/// Does what is left of the plan, then mounts data; whatever goes wrong, something is mounted at the end.
pub fn prepare(context: &mut Context, disk: &mut BootDisk, build: BuildId, rest: &[Step]) -> anyhow::Result<Data> {
    let mut fsck = None;
    let made = rest.contains(&Step::MakeData);
    let mounted =
        if made { make(context, disk, build, rest).map(|()| DataState::Clean) } else { check_and_mount(context, disk, &mut fsck) };
    let state = mounted.unwrap_or_else(|error| {
        context.warn(format!("data can't be used, and nothing of this run is kept: {error:#}"));
        DataState::Lost
    });
    if state == DataState::Lost {
        unmount(DATA);
        mount_at("tmpfs", DATA, "tmpfs", MsFlags::empty(), VOLATILE)?;
    }
    // After a first boot this finds its own mark, and does nothing.
    if let Err(error) = seed(Path::new(SYSROOT), Path::new(DATA), build) {
        context.warn(format!("{error:#}: packages that ship files in /var may fail"));
    }
    let saved = time::of_file(&format!("{DATA}{SAVED_CLOCK}"));
    context.raise_clock(saved);
    let machine_id = machine_id(context)?;
    for folder in DATA_FOLDERS {
        create_dir_all(format!("{DATA}/{folder}"))?;
        bind(&format!("{DATA}/{folder}"), &format!("{SYSROOT}/{folder}"))?;
    }
    // The bound folders live on.
    unmount(DATA);
    Ok(Data { state, fsck, made: made && state == DataState::Clean, machine_id })
}

/// Makes data, puts into it what a node keeps from its first moment on, and only then calls it finished.
fn make(context: &mut Context, disk: &mut BootDisk, build: BuildId, rest: &[Step]) -> anyhow::Result<()> {
    for step in rest {
        if *step != Step::MakeData {
            write_table(disk, step)?;
            continue;
        }
        let device = make_file_system(context, disk)?;
        mount_at(&device, DATA, "ext4", MsFlags::MS_NOATIME, "errors=remount-ro")?;
        seed(Path::new(SYSROOT), Path::new(DATA), build)?;
        machine_id(context)?;
        sync(Path::new(DATA))?;
    }
    Ok(())
}

fn check_and_mount(context: &mut Context, disk: &BootDisk, fsck: &mut Option<FsckReport>) -> anyhow::Result<DataState> {
    let device = disk.need(Role::Data.label())?;
    // e2fsck finds fault with times in the future.
    context.raise_clock(time::of_data(&device));
    let mut verdict = check(context, &device, "-p", fsck);
    if verdict == Verdict::Damaged && take_request(disk, REPAIR_REQUEST) {
        context.warn(format!("data on {device} was repaired on request: files may be missing, or lie in lost+found on that partition"));
        verdict = check(context, &device, "-y", fsck);
    }
    if verdict == Verdict::Damaged {
        let mend =
            format!("put an empty file `{REPAIR_REQUEST}` on the config partition and start again, to have it repaired as well as can be");
        mount_damaged(&device).with_context(|| format!("it is damaged: {mend}"))?;
        context.warn(format!(
            "data on {device} is damaged, so it is only read, and nothing of this run is kept: save what you need, then {mend}"
        ));
        return Ok(DataState::ReadOnly);
    }
    mount_at(&device, DATA, "ext4", MsFlags::MS_NOATIME, "errors=remount-ro")?;
    Ok(if verdict == Verdict::Repaired { DataState::Repaired } else { DataState::Clean })
}

fn check(context: &mut Context, device: &str, how: &str, fsck: &mut Option<FsckReport>) -> Verdict {
    match run(context, SYSROOT, "/usr/sbin/e2fsck", &[how, device], CHECK_DATA) {
        Ok(ended) => {
            let verdict = judge(ended.status);
            if verdict != Verdict::Clean {
                *fsck = Some(FsckReport { status: ended.status.unwrap_or(-1), output: ended.output });
            }
            verdict
        }
        Err(error) => {
            context.warn(format!("data was not checked: {error:#}"));
            Verdict::Unknown
        }
    }
}

/// Takes what people ask for by a file of that name, so that it holds once: it is gone from the disk when this says that it was there.
/// Where nothing is asked, nothing is written: a FAT that is mounted to be written is marked unclean.
pub fn take_request(disk: &BootDisk, request: &str) -> bool {
    let Some(device) = disk.partition(Role::Config.label()) else { return false };
    let mounted = |flags| mount_at(&device, CONFIG, "vfat", MsFlags::MS_NOATIME | flags, "").is_ok();
    // A file that people make on Windows tends to get an ending.
    let names = [request.to_owned(), format!("{request}.txt")].map(|name| Path::new(CONFIG).join(name));
    if !mounted(MsFlags::MS_RDONLY) {
        return false;
    }
    let asked = names.iter().any(|name| name.exists());
    unmount(CONFIG);
    if !asked || !mounted(MsFlags::empty()) {
        return false;
    }
    let taken = names.iter().filter(|name| remove_file(name).is_ok()).count();
    if let Err(error) = sync(Path::new(CONFIG)) {
        say(Level::Warning, &format!("what was asked for can't be taken from the config partition: {error:#}"));
        unmount(CONFIG);
        return false;
    }
    unmount(CONFIG);
    taken > 0
}

/// Shows damaged data without writing to it: changes go to memory.
fn mount_damaged(device: &str) -> anyhow::Result<()> {
    mount_at(device, DAMAGED, "ext4", MsFlags::MS_RDONLY, "noload")?;
    mount_at("tmpfs", DATA, "tmpfs", MsFlags::empty(), VOLATILE)?;
    for folder in DATA_FOLDERS {
        let kept = format!("{DAMAGED}/{folder}");
        if Path::new(&kept).is_dir() {
            let (upper, work) = (format!("{DATA}/.upper/{folder}"), format!("{DATA}/.work/{folder}"));
            create_dir_all(&upper)?;
            create_dir_all(&work)?;
            let options = format!("lowerdir={kept},upperdir={upper},workdir={work}");
            mount_at("overlay", &format!("{DATA}/{folder}"), "overlay", MsFlags::empty(), &options)?;
        }
    }
    Ok(())
}

/// The node's machine-id, made if there is none.
fn machine_id(context: &mut Context) -> anyhow::Result<String> {
    let path: PathBuf = [DATA, BOOT_STATE.trim_start_matches('/'), MACHINE_ID].iter().collect();
    let valid = |id: &str| id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if let Ok(text) = read_to_string(&path)
        && valid(text.trim())
    {
        return Ok(text.trim().to_owned());
    }
    let id = format!("{:032x}", Guid::from_random(random()?).0);
    let kept = make_folder(path.parent().unwrap_or(Path::new(DATA)), 0o755);
    if let Err(error) = kept.and_then(|()| write_whole(&path, format!("{id}\n").as_bytes())) {
        context.warn(format!("the machine-id is not kept: {error:#}"));
    }
    Ok(id)
}
