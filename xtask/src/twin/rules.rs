//! What of a twin's delta goes into an image, as a table of rules, each with its reason.

use anyhow::{Context, Result};

use crate::tree::{Content, Kind, Tree};

/// The file that keeps maintainer scripts from starting services; bound over the twin, so it leaves an empty file behind.
pub const POLICY_RC_D: &str = "/usr/sbin/policy-rc.d";

/// Paths of the delta that are left out, with all below them.
const LEFT_OUT: &[(&str, &str)] = &[
    ("usr/sbin/policy-rc.d", "the builder's own, against services that would start"),
    ("overlay", "the builder's own mount point"),
    ("proc", "mounted by the sandbox"),
    ("sys", "mounted by the sandbox"),
    ("dev", "mounted by the sandbox"),
    ("run", "mounted by the sandbox"),
    ("tmp", "mounted by the sandbox"),
    ("var/lib/dpkg", "dpkg's database: the image is not changed by dpkg; the SBOM says what is in it"),
    ("var/cache", "made again by whoever needs it"),
    ("var/log", "logs of the build"),
    ("var/tmp", "left over"),
    ("var/backups", "copies of what is in /etc"),
    ("var/lib/systemd/random-seed", "every node makes its own"),
    ("etc/ld.so.cache", "of the twin's architecture; the loader finds the multiarch folders by itself"),
    ("etc/machine-id", "every node makes its own"),
    ("var/lib/dbus/machine-id", "every node makes its own"),
    ("etc/ssh/ssh_host_ecdsa_key", "every node makes its own"),
    ("etc/ssh/ssh_host_ecdsa_key.pub", "every node makes its own"),
    ("etc/ssh/ssh_host_ed25519_key", "every node makes its own"),
    ("etc/ssh/ssh_host_ed25519_key.pub", "every node makes its own"),
    ("etc/ssh/ssh_host_rsa_key", "every node makes its own"),
    ("etc/ssh/ssh_host_rsa_key.pub", "every node makes its own"),
    ("etc/passwd-", "a copy"),
    ("etc/group-", "a copy"),
    ("etc/shadow-", "a copy"),
    ("etc/gshadow-", "a copy"),
    ("var/lib/sgml-base/supercatalog.old", "a copy"),
    ("etc/.pwd.lock", "a lock"),
    ("etc/hostname", "set by cloudy.toml at boot"),
];

/// Whether a path of the delta is left out, and why.
pub fn left_out(path: &str) -> Option<&'static str> {
    LEFT_OUT
        .iter()
        .find(|(rule, _)| path.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
        .map(|(_, reason)| *reason)
}

/// Makes what depends on the day of the build independent of it: the day of the last password change in shadow(5).
pub fn normalise(tree: &mut Tree, epoch: u64) -> Result<()> {
    const SECONDS_PER_DAY: u64 = 86_400;
    let Some(entry) = tree.get("etc/shadow").cloned() else { return Ok(()) };
    let Kind::File(content) = &entry.kind else { return Ok(()) };
    let bytes = content.read().context("failed to read the delta's /etc/shadow")?;
    let text = shadow_at_day(&String::from_utf8_lossy(&bytes), epoch / SECONDS_PER_DAY);
    let mut normal = entry;
    normal.kind = Kind::File(Content::Bytes(text.into_bytes().into()));
    tree.insert("etc/shadow".into(), normal);
    Ok(())
}

fn shadow_at_day(text: &str, day: u64) -> String {
    text.lines()
        .map(|line| {
            let mut words: Vec<String> = line.split(':').map(str::to_owned).collect();
            if let Some(changed) = words.get_mut(2).filter(|changed| !changed.is_empty()) {
                *changed = day.to_string();
            }
            words.join(":") + "\n"
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_for_a_path_and_below_it_only() {
        assert!(left_out("var/log").is_some());
        assert!(left_out("var/log/dpkg.log").is_some());
        assert!(left_out("var/logs").is_none());
        assert!(left_out("etc/ssh/sshd_config").is_none());
    }

    #[test]
    fn shadow_bears_the_epochs_day() {
        assert_eq!(shadow_at_day("root:*:20781:0:99999:7:::\nx:!*:::::::\n", 20_000), "root:*:20000:0:99999:7:::\nx:!*:::::::\n");
    }
}
