//! apt in a folder of its own: it sees our sources, our keys and our pins, and nothing of the machine it runs on.
//!
//! Where apt comes from is decided in one function, [`Apt::run`]: from the tools tree if there is one, else from the host
//! (which is needed for the very first lock of the tools tree alone).

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};

use super::cache::Cache;
use super::deb::{ControlFields, Deb};
use super::index::Index;
use super::lock::LockedPackage;
use super::sources::Place;
use crate::sandbox::Sandbox;

/// The priority of a pin that holds a version against any newer one (apt_preferences(5): above 1000 also downgrades).
const PIN_PRIORITY: u32 = 1001;

/// apt's folder, made for one architecture; gone when dropped.
pub struct Apt {
    folder: tempfile::TempDir,
    /// The tree that apt is run from; `None`: the host's.
    tools: Option<PathBuf>,
    /// A folder of copied indexes that it sees.
    copy: Option<PathBuf>,
}

/// What an apt command said.
pub struct Said {
    /// Its stdout.
    pub stdout: String,
    /// Its stderr.
    pub stderr: String,
    /// Whether it ended with status 0.
    pub good: bool,
}

impl Apt {
    /// Makes the folder: empty status, no Recommends, signatures needed, `pins` as (package, version), and `kept` as a
    /// folder with a `Packages` file of .debs that are trusted since their hashes are in a lock.
    pub fn new(places: &[Place], arch: &str, pins: &[(&str, &str)], tools: Option<&Path>) -> Result<Self> {
        let apt = Self { folder: tempfile::Builder::new().prefix("cloudy-apt-").tempdir()?, tools: tools.map(Path::to_owned), copy: None };
        apt.fill(places, arch, pins).context("failed to make apt's private folder")?;
        Ok(apt)
    }

    /// As [`Apt::new`], for an apt that reads indexes from a copy on disk too.
    pub fn with_copy(places: &[Place], arch: &str, pins: &[(&str, &str)], tools: Option<&Path>, copy: &Path) -> Result<Self> {
        Ok(Self { copy: Some(copy.to_owned()), ..Self::new(places, arch, pins, tools)? })
    }

    fn fill(&self, places: &[Place], arch: &str, pins: &[(&str, &str)]) -> Result<()> {
        let root = self.folder.path();
        for folder in [
            "etc/apt.conf.d",
            "etc/preferences.d",
            "etc/sources.list.d",
            "etc/trusted.gpg.d",
            "lists/partial",
            "cache/archives/partial",
            "keys",
            "kept",
        ] {
            std::fs::create_dir_all(root.join(folder))?;
        }
        for file in ["status", "etc/sources.list", "kept/Packages"] {
            std::fs::write(root.join(file), "")?;
        }
        let mut lists = String::new();
        for Place { key, source } in places {
            let mut keys = Vec::new();
            for file in &source.keys {
                let name = file.file_name().unwrap_or_default();
                let copy = root.join("keys").join(name);
                std::fs::copy(file, &copy).with_context(|| format!("failed to copy the key {}", file.display()))?;
                keys.push(copy.display().to_string());
            }
            let trust = if keys.is_empty() { "Trusted: yes".to_owned() } else { format!("Signed-By: {}", keys.join(", ")) };
            let _ = writeln!(
                lists,
                "# {key}\nTypes: deb\nURIs: {}\nSuites: {}\nComponents: {}\nArchitectures: {arch}\n{trust}\n",
                source.url,
                source.suites.join(" "),
                source.components.join(" "),
            );
        }
        std::fs::write(root.join("etc/sources.list.d/sources.sources"), lists)?;
        let mut preferences = String::new();
        for (name, version) in pins {
            let _ = writeln!(preferences, "Package: {name}\nPin: version {version}\nPin-Priority: {PIN_PRIORITY}\n");
        }
        std::fs::write(root.join("etc/preferences"), preferences)?;
        let at = root.display();
        let conf = format!(
            "Dir \"{at}/\";\nDir::Etc \"{at}/etc/\";\nDir::State \"{at}/\";\nDir::State::status \"{at}/status\";\nDir::State::lists \"{at}/lists/\";\n\
             Dir::Cache \"{at}/cache/\";\nDir::Log \"{at}/\";\n\
             APT::Architecture \"{arch}\";\nAPT::Architectures {{ \"{arch}\"; }};\n\
             APT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\nAPT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\nAcquire::GzipIndexes \"false\";\nAcquire::Retries \"3\";\nDpkg::Use-Pty \"false\";\n"
        );
        std::fs::write(root.join("apt.conf"), conf)?;
        Ok(())
    }

    /// The folder of index files.
    pub fn lists(&self) -> PathBuf {
        self.folder.path().join("lists")
    }

    /// The folder of kept packages.
    pub fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// Runs a program of apt (`apt-get`, `apt-cache`) and returns what it said.
    pub fn run(&self, program: &str, args: &[&str]) -> Result<Said> {
        let root = self.folder.path();
        let conf = root.join("apt.conf").display().to_string();
        let proxies = ["http_proxy", "no_proxy"].into_iter().filter_map(|name| Some((name, std::env::var(name).ok()?)));
        if let Some(tools) = &self.tools {
            let mut sandbox = Sandbox::new(tools).network().bind_writable(root, &root.display().to_string()).env("APT_CONFIG", &conf);
            if let Some(copy) = &self.copy {
                sandbox = sandbox.bind(copy, &copy.display().to_string());
            }
            for file in ["/etc/resolv.conf", "/etc/hosts"] {
                if Path::new(file).exists() {
                    sandbox = sandbox.bind(Path::new(file), file);
                }
            }
            for (name, value) in proxies {
                sandbox = sandbox.env(name, &value);
            }
            let command = sandbox.command(std::iter::once(program).chain(args.iter().copied()));
            let running = command.spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
            return said(running.child.wait_with_output().with_context(|| format!("failed to run {program} in the tools tree"))?);
        }
        #[expect(clippy::disallowed_methods, reason = "apt's stdout is needed also when it fails: it holds the reasons")]
        let mut command = std::process::Command::new(program);
        command.args(args.iter().map(OsString::from)).env("APT_CONFIG", conf).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
        said(command.output().with_context(|| {
            format!("failed to start {program}: for the first lock of the tools tree the host needs apt; later ones run it from that tree")
        })?)
    }

    /// Offers apt the packages of `pinned` that left the index but are in the cache, so that they can stay. Returns them.
    pub fn keep(&self, pinned: &[LockedPackage], index: &Index, cache: &Cache) -> Result<Vec<(LockedPackage, ControlFields)>> {
        let mut kept = Vec::new();
        let mut text = String::new();
        for package in pinned {
            let Some(deb) = (!index.has(&package.name, &package.version)).then(|| cache.deb(package)).flatten() else { continue };
            let control = Deb::open(&deb)?.control;
            for (name, value) in control.iter() {
                let _ = writeln!(text, "{name}: {}", value.replace('\n', "\n "));
            }
            let _ = writeln!(text, "filename: {0}.deb\nsize: {1}\nsha256: {0}\n", package.sha256, package.size);
            kept.push((package.clone(), control));
        }
        if !kept.is_empty() {
            let folder = self.kept();
            std::fs::write(folder.join("Packages"), text)?;
            let list = self.folder.path().join("etc/sources.list.d/kept.list");
            std::fs::write(list, format!("deb [trusted=yes] copy:{}/ ./\n", folder.display()))?;
            self.update()?;
        }
        Ok(kept)
    }

    /// Fetches the indexes and checks their signatures.
    ///
    /// # Errors
    /// [`UpdateError`], beside what keeps apt from running.
    pub fn update(&self) -> Result<()> {
        let said = self.run("apt-get", &["update", "--error-on=any"])?;
        if !said.good {
            return Err(UpdateError { text: explain_update(&said.stderr), unmatched: unmatched(&said.stderr) }.into());
        }
        Ok(())
    }
}

/// Why the indexes could not be had.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct UpdateError {
    text: String,
    /// Urls of the Packages files that do not match their signed list; empty where anything else is wrong too.
    pub unmatched: Vec<String>,
}

/// The urls of Packages files in apt's complaints, if those are all that it complains of.
fn unmatched(stderr: &str) -> Vec<String> {
    let mut urls = Vec::new();
    for line in complaints(stderr).into_iter().filter(|line| !line.starts_with(' ') && !line.starts_with("Some index files")) {
        let url = line.strip_prefix("Failed to fetch ").and_then(|rest| rest.split_whitespace().next());
        match url.filter(|url| url.contains("/dists/") && url.rsplit('/').next().is_some_and(|file| file.starts_with("Packages"))) {
            Some(url) => urls.push(url.to_owned()),
            None => return Vec::new(),
        }
    }
    urls
}

fn said(output: std::process::Output) -> Result<Said> {
    Ok(Said {
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        good: output.status.success(),
    })
}

/// apt's errors and warnings, without their `E:` and `W:`, each once.
fn complaints(stderr: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = Vec::new();
    for line in stderr.lines() {
        let text = line.strip_prefix("E: ").or_else(|| line.strip_prefix("W: ")).or_else(|| line.starts_with("  ").then_some(line));
        if let Some(text) = text.map(str::trim_end)
            && !text.trim().is_empty()
            && !lines.contains(&text)
        {
            lines.push(text);
        }
    }
    lines
}

/// Why the indexes could not be had, in apt's words, with the mend.
pub(super) fn explain_update(stderr: &str) -> String {
    let lines = complaints(stderr);
    let says = |words: &[&str]| lines.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let mend = if says(&["Hash Sum mismatch", "unexpected size", "Mirror sync in progress", "by-hash"]) {
        "the mirror is in the middle of a sync: the file named above does not match its signed list yet. Try again in some minutes, \
         or name another mirror in images/sources.toml; \
         if it lasts, `--unverified` makes the lock from the file as it is, marked so that no release is made from it"
    } else if says(&[
        "not signed",
        "NO_PUBKEY",
        "BADSIG",
        "EXPKEYSIG",
        "couldn't be verified",
        "signature",
        "Missing key",
        "not live until",
        "OpenPGP",
    ]) {
        "an index is refused unless a key of images/keys signed it: check `keys` and `url` in images/sources.toml"
    } else if says(&["not valid yet", "is expired", "Valid-Until"]) {
        "an index is too old or from the future: check this machine's clock, then the mirror in images/sources.toml"
    } else if says(&["Temporary failure resolving", "Could not resolve", "Could not connect", "Unable to connect", "connection"]) {
        "check the network, and http_proxy if there is a proxy"
    } else {
        "check `url`, `suites` and `components` in images/sources.toml"
    };
    format!("apt could not get the indexes of packages:\n  {}\n{mend}", lines.join("\n  "))
}

/// Why apt refuses a set of packages, in apt's own words.
pub(super) fn explain_refusal(said: &Said) -> String {
    // The reasons stand on stdout, after this line; what is before is progress and boilerplate.
    let reasons = said.stdout.find("The following packages have unmet dependencies:").and_then(|start| said.stdout.get(start..));
    let mut lines: Vec<&str> = reasons.map(|text| text.lines().collect()).unwrap_or_default();
    lines.extend(complaints(&said.stderr));
    format!("apt can't bring these packages together:\n  {}", lines.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_synced_mirror_is_named_with_its_file() {
        let stderr = "E: Failed to fetch http://m/d/dists/trixie/main/binary-armhf/Packages.xz  File has unexpected size (5 != 7). Mirror sync in progress?\n\
                      E: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        let text = explain_update(stderr);
        assert!(text.contains("binary-armhf/Packages.xz") && text.contains("middle of a sync"), "{text}");
    }

    #[test]
    fn an_unsigned_index_points_at_the_keys() {
        let text = explain_update("E: The repository 'http://m/d trixie InRelease' is not signed.\n");
        assert!(text.contains("'http://m/d trixie InRelease'") && text.contains("images/keys"), "{text}");
        let text = explain_update("W: GPG error: http://m/d trixie InRelease: NO_PUBKEY 6ED0E7B82643E131\n");
        assert!(text.contains("images/keys"), "{text}");
    }

    #[test]
    fn reasons_are_apts_own() {
        let said = Said {
            stdout: "Reading package lists...\nThe following packages have unmet dependencies:\n a : Conflicts: b\n".to_owned(),
            stderr: "E: Unable to correct problems, you have held broken packages.\n".to_owned(),
            good: false,
        };
        assert_eq!(
            explain_refusal(&said),
            "apt can't bring these packages together:\n  The following packages have unmet dependencies:\n   a : Conflicts: b\n  \
             Unable to correct problems, you have held broken packages."
        );
    }
}
