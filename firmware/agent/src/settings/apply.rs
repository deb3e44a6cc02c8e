//! The root unit `cloudy-settings.service`: takes `cloudy.toml` from the config partition, then sets the machine up.
//!
//! It runs before the network at each boot, and again when it is restarted. Whatever fails is said on the console and
//! kept for the page; the boot goes on.

use super::ZONEINFO;
use super::render::{self, NETWORK_DIR, NETWORK_PREFIX, RUN_DIR};
use super::store::{self, INBOX};
use crate::kept;
use crate::limits::{DATA_DIR, SETTINGS_DIR, SETTLE_TIMEOUT_SECS};
use crate::mounts::Mounted;
use crate::text::Lang;
use anyhow::{Context, Result};
use contract::paths::BOOT_REPORT;
use contract::report::DataState;
use contract::settings::inbox::Stored;
use contract::settings::{Settings, page};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

/// What went wrong when the settings were applied: a JSON list of sentences.
const PROBLEMS: &str = "/run/cloudy-settings/problems.json";
/// What agetty shows before the login.
const ISSUE_DIR: &str = "/run/issue.d";
const DATA_ISSUE: &str = "50-cloudy-data.issue";
const SETTINGS_ISSUE: &str = "51-cloudy-settings.issue";
/// What a radio joins a Wi-Fi by, in [`RUN_DIR`].
const SUPPLICANT: &str = "wpa_supplicant.conf";
/// Who may read the settings, besides root: the agent's group.
const GROUP: &str = "cloudy";

/// What went wrong when the settings of that data folder were applied to this machine.
pub fn problems(data: &Path) -> Vec<String> {
    if data != Path::new(DATA_DIR) {
        return Vec::new();
    }
    std::fs::read(PROBLEMS).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// Takes the inbox and applies the settings.
///
/// # Errors
/// Only when not even the runtime folder can be made; all else is said and survived.
pub fn apply() -> Result<()> {
    folder(Path::new(RUN_DIR), 0o755)?;
    let mut problems = Vec::new();
    let keeps = match kept::report(Path::new(BOOT_REPORT)) {
        Ok(report) => {
            let lost = report.map(|report| report.data).filter(|state| !kept::keeps(*state));
            if let Some(state) = lost {
                say_not_kept(state, &mut problems);
            }
            lost.is_none()
        }
        Err(error) => {
            problems.push(format!("{error:#}: restart this node; until then nothing of it is kept"));
            false
        }
    };
    let stored = take(keeps, &mut problems);
    let mut mistakes = Vec::new();
    for (name, inbox) in stored.inboxes(INBOX) {
        mistakes.extend(inbox.mistakes.iter().map(|mistake| format!("{name}: {mistake}. The last good settings hold.")));
        for note in &inbox.notes {
            log::info!("{name}: {note}.");
        }
    }
    mistakes.iter().for_each(|mistake| announce(mistake));
    show_before_login(SETTINGS_ISSUE, &mistakes, &mut problems);
    let values = &stored.values;
    for (doing, result) in [
        ("the hostname", set_hostname(values)),
        ("the time zone", set_time_zone(values)),
        ("the network, Wi-Fi and ssh keys", write_files(values)),
    ] {
        if let Err(error) = result {
            problems.push(format!("setting {doing}: {error:#}"));
        }
    }
    for problem in &problems {
        announce(problem);
    }
    store::write_whole(Path::new(PROBLEMS), &serde_json::to_vec(&problems)?, 0o644)
}

/// Says it in the log and, through the kernel's log, on every console.
fn announce(sentence: &str) {
    log::error!("{sentence}");
    let _ = std::fs::write("/dev/kmsg", format!("<3>cloudy: {sentence}\n"));
}

/// Says on every console, and before every login there, that data is not kept, with the mend.
fn say_not_kept(state: DataState, problems: &mut Vec<String>) {
    let Some(problem) = crate::problems::of_data(state, Lang::En) else { return };
    let text = format!("{} {}", problem.what, problem.mend);
    announce(&text);
    show_before_login(DATA_ISSUE, &[text], problems);
}

/// Has every login show these sentences first: it clears the screen of what the kernel's log said. None takes them away.
fn show_before_login(name: &str, sentences: &[String], problems: &mut Vec<String>) {
    let path = Path::new(ISSUE_DIR).join(name);
    if sentences.is_empty() {
        let _ = std::fs::remove_file(path);
        return;
    }
    let shown = folder(Path::new(ISSUE_DIR), 0o755).and_then(|()| store::write_whole(&path, issue(sentences).as_bytes(), 0o644));
    if let Err(error) = shown {
        problems.push(format!("showing it before the login: {error:#}"));
    }
}

/// The sentences as agetty shows them: what follows a `\` means something to it (agetty(8)).
fn issue(sentences: &[String]) -> String {
    let lines = sentences.iter().map(|sentence| sentence.replace('\\', "\\\\").replace(char::is_control, " "));
    lines.map(|line| line + "\n").collect::<String>() + "\n"
}

/// The settings after a look into the inbox. Whatever fails, there are settings: the last good ones. `kept`: whether they outlive this run.
fn take(kept: bool, problems: &mut Vec<String>) -> Stored {
    let mut taken = read_partition(kept);
    // What the page asks is taken also where the partition can't be read: it is how a node gets back what it had.
    if kept {
        match read_page() {
            Ok(stored) => taken = taken.map(|_| stored),
            Err(error) => problems.push(format!("reading what the page asks: {error:#}")),
        }
    }
    if let Err(error) = share() {
        problems.push(format!("sharing the settings with the agent: {error:#}"));
    }
    taken.unwrap_or_else(|error| {
        problems.push(format!("reading {INBOX}: {error:#}"));
        store::load(Path::new(DATA_DIR))
    })
}

fn read_partition(kept: bool) -> Result<Stored> {
    let settings = Path::new(SETTINGS_DIR);
    folder(settings, 0o750)?;
    // FAT knows no owners: root's alone, since secrets may stand there.
    let partition = Mounted::read_only("config", "umask=0077")?;
    // Secrets leave the file once they are kept elsewhere.
    store::take_all(settings, partition.path(), || {
        anyhow::ensure!(kept, "this node's data is not kept in this run");
        partition.make_writable()
    })
}

/// Takes what the page asks for, which is no more than `contract::settings::page` lets through.
fn read_page() -> Result<Stored> {
    let file = Path::new(DATA_DIR).join(page::FILE);
    store::take_inbox(Path::new(SETTINGS_DIR), &file, || anyhow::bail!("what the page asks for holds no secret of a card"))
}

/// Lets the agent's group read the settings, which belong to root.
fn share() -> Result<()> {
    let group = nix::unistd::Group::from_name(GROUP)?.with_context(|| format!("there is no group `{GROUP}` on this machine"))?;
    let settings = Path::new(SETTINGS_DIR);
    for path in [settings.to_owned(), settings.join(store::FILE)] {
        match nix::unistd::chown(&path, None, Some(group.gid)) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("changing the group of `{}`", path.display())),
        }
    }
    Ok(())
}

fn folder(path: &Path, mode: u32) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.with_context(|| format!("making the folder `{}`", path.display()))
}

fn set_hostname(values: &Settings) -> Result<()> {
    let name = match &values.hostname {
        Some(name) => name.to_string(),
        None => render::default_hostname(&std::fs::read_to_string("/etc/machine-id").context("reading /etc/machine-id")?),
    };
    nix::unistd::sethostname(&name).context("telling the kernel")?;
    std::fs::write("/etc/hostname", format!("{name}\n")).context("writing /etc/hostname")
}

fn set_time_zone(values: &Settings) -> Result<()> {
    let zone = values.time_zone.as_ref().map_or("Etc/UTC", |zone| zone.as_str());
    let target = Path::new(ZONEINFO).join(zone);
    anyhow::ensure!(target.is_file(), "there is no time zone `{zone}`; it is written as in \"Europe/Madrid\"");
    let _ = std::fs::remove_file("/etc/localtime");
    symlink(&target, "/etc/localtime").context("linking /etc/localtime")?;
    std::fs::write("/etc/timezone", format!("{zone}\n")).context("writing /etc/timezone")
}

fn write_files(values: &Settings) -> Result<()> {
    let first = values.network.as_ref().and_then(|_| first_ethernet(values));
    let files = render::files(values, first.as_deref());
    let network = Path::new(NETWORK_DIR);
    folder(network, 0o755)?;
    // What earlier settings made and these do not.
    for entry in std::fs::read_dir(network).with_context(|| format!("reading `{NETWORK_DIR}`"))?.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(NETWORK_PREFIX)) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let supplicant = Path::new(RUN_DIR).join(SUPPLICANT);
    let wifi_before = std::fs::read(&supplicant).ok();
    let _ = std::fs::remove_file(&supplicant);
    for file in files {
        if let Some(parent) = file.path.parent() {
            folder(parent, 0o755)?;
        }
        store::write_whole(&file.path, file.text.as_bytes(), file.mode)?;
        // The umask of the unit must not decide.
        std::fs::set_permissions(&file.path, std::fs::Permissions::from_mode(file.mode))?;
    }
    reload_network(wifi_before != std::fs::read(&supplicant).ok());
    Ok(())
}

/// The Ethernet interface that `[network]` means: the first by name that is real and not named otherwise.
fn first_ethernet(values: &Settings) -> Option<String> {
    // Drivers may still be loading.
    run("udevadm", &["settle", &format!("--timeout={SETTLE_TIMEOUT_SECS}")]);
    let named: Vec<&str> = values.interfaces.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let entries = std::fs::read_dir("/sys/class/net").ok()?.flatten().filter(|entry| is_ethernet(&entry.path()));
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !named.contains(&name.as_str())).min()
}

/// Whether a folder of /sys/class/net is an Ethernet with hardware behind it: type 1 (ARPHRD_ETHER), a device, no radio.
fn is_ethernet(path: &Path) -> bool {
    let kind = std::fs::read_to_string(path.join("type")).unwrap_or_default();
    kind.trim() == "1" && path.join("device").exists() && !is_radio(path)
}

/// At boot networkd starts after this, and udev starts what joins a Wi-Fi; when this is restarted, they must read their files anew.
fn reload_network(other_wifi: bool) {
    if !Path::new("/run/systemd/netif/state").exists() {
        return;
    }
    run("networkctl", &["reload"]);
    if other_wifi {
        let radios = std::fs::read_dir("/sys/class/net").into_iter().flatten().flatten().filter(|entry| is_radio(&entry.path()));
        for name in radios.filter_map(|entry| entry.file_name().into_string().ok()) {
            let unit = format!("cloudy-wifi@{}.service", escaped(&name));
            // Stopped at any rate: what is started finds its condition anew, and stays down where there is no Wi-Fi any more.
            run("systemctl", &["stop", "--", &unit]);
            run("systemctl", &["start", "--no-block", "--", &unit]);
        }
    }
}

/// Whether a folder of /sys/class/net is a radio.
fn is_radio(path: &Path) -> bool {
    path.join("wireless").exists() || path.join("phy80211").exists()
}

/// A name as it stands in a unit's (systemd.unit(5), "String escaping").
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }).collect()
}

#[expect(clippy::disallowed_methods, reason = "two tools of systemd that have no other stable interface, with fixed arguments")]
fn run(program: &str, arguments: &[&str]) {
    match std::process::Command::new(program).args(arguments).status() {
        Ok(status) if status.success() => {}
        Ok(status) => log::warn!("`{program} {}` ended with {status}", arguments.join(" ")),
        Err(error) => log::warn!("`{program}` could not be run: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_login_shows_means_nothing_to_agetty() {
        let sentences = ["cloudy.toml: line 2: unknown key `a\\4`.\n".to_owned(), "Two.".to_owned()];
        assert_eq!(issue(&sentences), "cloudy.toml: line 2: unknown key `a\\\\4`. \nTwo.\n\n");
    }

    #[test]
    fn a_radio_s_name_is_a_unit_s_whatever_it_is() {
        assert_eq!(escaped("wlp2s0"), "wlp2s0");
        assert_eq!(escaped("wl-a@b"), "wl\\x2da\\x40b");
    }

    #[test]
    fn an_ethernet_is_told_from_radio_and_bridge() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str, kind: &str, inside: &[&str]| {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("type"), kind).unwrap();
            for item in inside {
                std::fs::create_dir(path.join(item)).unwrap();
            }
            is_ethernet(&path)
        };
        assert!(make("enp1s0", "1\n", &["device"]));
        assert!(!make("wlp2s0", "1\n", &["device", "phy80211"]));
        assert!(!make("docker0", "1\n", &[]));
        assert!(!make("lo", "772\n", &[]));
    }
}
