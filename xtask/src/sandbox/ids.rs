//! The user namespace's maps, written by newuidmap and newgidmap from outside it.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use nix::unistd::{User, getgid, getuid};
use xshell::{Shell, cmd};

use super::Owners;

pub(super) const VERB: &str = "__sandbox-map";

/// How many owners a Debian system counts on.
pub(super) const OWNERS: u32 = 65_536;

/// A caller's subordinate range: first id and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub first: u32,
    pub count: u32,
}

/// The first range in `text` (the format of /etc/subuid: `name-or-id:first:count`) that belongs to the caller and is large enough.
pub(super) fn find_range(text: &str, name: &str, id: u32) -> Option<Range> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let range = Range { first: fields.next()?.parse().ok()?, count: fields.next()?.parse().ok()? };
        let ours = owner == name || owner.parse() == Ok(id);
        (ours && fields.next().is_none() && range.count >= OWNERS - 1).then_some(range)
    })
}

/// The caller's range in `file` (/etc/subuid or /etc/subgid).
pub(super) fn range_of_caller(file: &Path) -> Option<Range> {
    let text = std::fs::read_to_string(file).ok()?;
    let uid = getuid();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name).unwrap_or_default();
    find_range(&text, &name, uid.as_raw())
}

/// The mapper: waits until its stdin ends (the namespace is there), then maps. `job` is `PID root` or `PID all`.
pub(super) fn run(job: &str) -> Result<i32> {
    let (pid, owners) = job.split_once(' ').context("a bad job for the mapper")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let (uid, gid) = (getuid().to_string(), getgid().to_string());
    if owners == Owners::Root.word() {
        // One id needs no helper program: the kernel lets the owner map itself, once setgroups is given up.
        std::fs::write(format!("/proc/{pid}/setgroups"), "deny").context("failed to give up setgroups")?;
        std::fs::write(format!("/proc/{pid}/uid_map"), format!("0 {uid} 1")).context("failed to map the user")?;
        std::fs::write(format!("/proc/{pid}/gid_map"), format!("0 {gid} 1")).context("failed to map the group")?;
        return Ok(0);
    }
    let shell = Shell::new()?;
    let rest = (OWNERS - 1).to_string();
    let users = range_of_caller(Path::new("/etc/subuid")).context("no line in /etc/subuid for this user")?.first.to_string();
    let groups = range_of_caller(Path::new("/etc/subgid")).context("no line in /etc/subgid for this user")?.first.to_string();
    crate::cmd::read(cmd!(shell, "newuidmap {pid} 0 {uid} 1 1 {users} {rest}"))?;
    crate::cmd::read(cmd!(shell, "newgidmap {pid} 0 {gid} 1 1 {groups} {rest}"))?;
    Ok(0)
}

impl Owners {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::All => "all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_callers_range_by_name_or_number() {
        let text = "alice:100000:65536\n1001:200000:65536\nbob:1:10\n";
        assert_eq!(find_range(text, "alice", 7), Some(Range { first: 100_000, count: 65_536 }));
        assert_eq!(find_range(text, "carol", 1001), Some(Range { first: 200_000, count: 65_536 }));
        assert_eq!(find_range(text, "bob", 8), None, "a range of ten owners is too small");
        assert_eq!(find_range("alice:x:y\nalice", "alice", 7), None);
    }
}
