//! Rules on files: what must not be there, what must, and their permissions.

use super::{LintError, Subject};
use crate::board::Compression;
use crate::tree::walk::Nowhere;
use crate::tree::{Entry, Kind};

const SETUID: u32 = 0o4000;
const SETGID: u32 = 0o2000;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_ENTER: u32 = 0o005;
const ANYONE_EXECUTES: u32 = 0o111;

/// What init hands over to or runs from the root, and what a node is for.
const ESSENTIALS: [&str; 7] = [
    "usr/lib/systemd/systemd",
    "usr/sbin/mke2fs",
    "usr/sbin/e2fsck",
    "usr/bin/cloudy",
    "usr/sbin/dockerd",
    "usr/bin/systemctl",
    "etc/passwd",
];
/// Folders whose content is made at run time: a link into one may lead nowhere in the image.
const RUN_TIME: [&str; 9] = ["boot", "dev", "etc", "home", "proc", "run", "sys", "tmp", "var"];
/// Programs that may be setuid or setgid, by path.
const PRIVILEGED: [&str; 22] = [
    "usr/bin/chage",
    "usr/bin/chfn",
    "usr/bin/chsh",
    "usr/bin/expiry",
    "usr/bin/fusermount3",
    "usr/bin/gpasswd",
    "usr/bin/mount",
    "usr/bin/newgidmap",
    "usr/bin/newgrp",
    "usr/bin/newuidmap",
    "usr/bin/passwd",
    "usr/bin/pkexec",
    "usr/bin/ssh-agent",
    "usr/bin/su",
    "usr/bin/sudo",
    "usr/bin/umount",
    "usr/bin/wall",
    "usr/bin/write",
    "usr/lib/dbus-1.0/dbus-daemon-launch-helper",
    "usr/lib/openssh/ssh-keysign",
    "usr/lib/polkit-1/polkit-agent-helper-1",
    "usr/sbin/unix_chkpwd",
];

type Found = Result<Vec<String>, LintError>;

pub fn essentials(subject: &Subject<'_>) -> Found {
    let absent = ESSENTIALS.iter().filter(|path| subject.tree.file(path).is_none());
    Ok(absent.map(|path| format!("/{path} is missing")).collect())
}

pub fn host_keys(subject: &Subject<'_>) -> Found {
    let keys = subject.tree.below("etc/ssh").filter(|(path, _)| path.starts_with("etc/ssh/ssh_host_"));
    Ok(keys.map(|(path, _)| format!("/{path}")).collect())
}

pub fn machine_id(subject: &Subject<'_>) -> Found {
    let mut found = Vec::new();
    for path in ["etc/machine-id", "var/lib/dbus/machine-id"] {
        if let Some(Kind::File(content)) = subject.tree.get(path).map(|entry| &entry.kind)
            && !content.is_empty()
        {
            found.push(format!("/{path} is not empty"));
        }
    }
    Ok(found)
}

pub fn world_writable(subject: &Subject<'_>) -> Found {
    let writable = |entry: &Entry| match entry.kind {
        Kind::Symlink(_) | Kind::Hardlink(_) | Kind::CharDevice(..) => false,
        Kind::Directory => entry.mode & OTHERS_WRITE != 0 && entry.mode & STICKY == 0,
        Kind::File(_) => entry.mode & OTHERS_WRITE != 0,
    };
    let entries = subject.tree.iter().filter(|(_, entry)| writable(entry));
    Ok(entries.map(|(path, entry)| format!("/{path} has mode {:o}", entry.mode)).collect())
}

pub fn closed_folders(subject: &Subject<'_>) -> Found {
    let closed = |entry: &Entry| matches!(entry.kind, Kind::Directory) && entry.mode & OTHERS_ENTER != OTHERS_ENTER;
    let all = subject.tree.iter().filter(|(path, _)| path.is_empty() || *path == "usr" || path.starts_with("usr/"));
    Ok(all.filter(|(_, entry)| closed(entry)).map(|(path, entry)| format!("/{path} has mode {:o}", entry.mode)).collect())
}

pub fn dangling_links(subject: &Subject<'_>) -> Found {
    let mut found = Vec::new();
    for (path, entry) in subject.tree.iter() {
        let Kind::Symlink(target) = &entry.kind else { continue };
        match subject.tree.resolve(path) {
            Ok(_) => {}
            Err(Nowhere::TooManyLinks) => found.push(format!("/{path} leads to itself")),
            Err(Nowhere::Absent(end)) => {
                let first = end.split('/').next().unwrap_or_default();
                if !RUN_TIME.contains(&first) {
                    found.push(format!("/{path} → {target}: there is no /{end}"));
                }
            }
        }
    }
    Ok(found)
}

pub fn setuid(subject: &Subject<'_>) -> Found {
    let privileged = |entry: &Entry| {
        let file = matches!(entry.kind, Kind::File(_) | Kind::Hardlink(_));
        // A setgid folder only hands its group down.
        file && entry.mode & (SETUID | SETGID) != 0 && entry.mode & ANYONE_EXECUTES != 0
    };
    let entries = subject.tree.iter().filter(|(path, entry)| privileged(entry) && !PRIVILEGED.contains(&path.as_str()));
    Ok(entries.map(|(path, entry)| format!("/{path} has mode {:o}", entry.mode)).collect())
}

/// Of a root that is stored plain the size is known beforehand: whole blocks for each file, and an inode for each entry.
pub fn slot_size(subject: &Subject<'_>) -> Found {
    const INODE_BYTES: u64 = 64;
    if subject.plan.root.compression != Compression::None {
        return Ok(Vec::new());
    }
    let block = u64::from(subject.plan.root.block_bytes);
    let bytes: u64 = subject
        .tree
        .iter()
        .map(|(_, entry)| match &entry.kind {
            Kind::File(content) => INODE_BYTES + content.len().div_ceil(block) * block,
            _ => INODE_BYTES,
        })
        .sum();
    let max = subject.plan.root.max_bytes;
    let told = || {
        format!(
            "the root has about {} MB, at most {} are allowed; the flavour's `prune` leaves things out",
            bytes / 1_000_000,
            max / 1_000_000
        )
    };
    Ok(if bytes > max { vec![told()] } else { Vec::new() })
}
