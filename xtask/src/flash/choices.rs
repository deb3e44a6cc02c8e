//! What a person wants on the card from the start, as a checked `cloudy.toml`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use contract::settings::{Country, Hostname, Join, MAX_BYTES, Passphrase, Settings, SshKey, Ssid, TimeZone, Token, Wifi, parse, to_text};

/// Options that end up in `cloudy.toml` on the card. Secrets come from files, since others see command lines.
#[derive(Args, Clone, Debug, Default)]
pub struct Choices {
    /// A whole cloudy.toml, instead of the options below.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["hostname", "time_zone", "ssh_key", "wifi", "token_file", "lan", "found"])]
    settings: Option<PathBuf>,
    /// The node's name.
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Its time zone, such as Europe/Madrid.
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// A file with public ssh keys (as ~/.ssh/id_ed25519.pub) that may log in as `admin`; may be given more than once.
    #[arg(long, value_name = "FILE")]
    ssh_key: Vec<PathBuf>,
    /// The Wi-Fi to join.
    #[arg(long, value_name = "NAME", requires = "wifi_country")]
    wifi: Option<String>,
    /// Where the node will stand: two letters, such as ES.
    #[arg(long, value_name = "COUNTRY", requires = "wifi")]
    wifi_country: Option<String>,
    /// A file with the Wi-Fi's key (`-`: standard input); without it, the Wi-Fi is an open one.
    #[arg(long, value_name = "FILE", requires = "wifi")]
    wifi_key_file: Option<PathBuf>,
    /// A file with an invite, as `cloudy invite` prints it (`-`: standard input).
    #[arg(long, value_name = "FILE", conflicts_with = "found")]
    token_file: Option<PathBuf>,
    /// Join a community on the local network that lets newcomers in.
    #[arg(long)]
    lan: bool,
    /// Found a community of this name.
    #[arg(long, value_name = "NAME")]
    found: Option<String>,
}

impl Choices {
    /// The text for the card; `None` when nothing was chosen.
    ///
    /// # Errors
    /// When a file can't be read or a value is none that a node would take, with the option's name.
    pub fn text(&self) -> Result<Option<String>> {
        if let Some(path) = &self.settings {
            let text = read(path)?;
            if let Err(mistakes) = parse(text.as_bytes()) {
                let lines: Vec<String> = mistakes.iter().map(|mistake| format!("{}: {mistake}", path.display())).collect();
                bail!("the settings are not right:\n    {}", lines.join("\n    "));
            }
            return Ok(Some(text));
        }
        // What a node would refuse is not put on a card.
        to_text(&self.values()?, "# Written when the card was flashed; every key: cloudy.toml.example")
            .map_err(|wrong| anyhow::anyhow!("these options can't stand together: {wrong}"))
    }

    fn values(&self) -> Result<Settings> {
        let mut keys = Vec::new();
        for path in &self.ssh_key {
            let text = read(path)?;
            let before = keys.len();
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                keys.push(checked::<SshKey>(line, &format!("`{}`", path.display()))?);
            }
            ensure!(keys.len() > before, "`{}` holds no key", path.display());
        }
        let wifi = match (&self.wifi, &self.wifi_country) {
            (Some(name), Some(country)) => {
                let secret = self.wifi_key_file.as_deref().map(read_line).transpose()?;
                Some(Wifi {
                    ssid: checked::<Ssid>(name, "--wifi")?,
                    passphrase: secret.map(|secret| checked::<Passphrase>(&secret, "--wifi-key-file")).transpose()?,
                    country: checked::<Country>(country, "--wifi-country")?,
                })
            }
            _ => None,
        };
        let token = self.token_file.as_deref().map(read_line).transpose()?;
        Ok(Settings {
            hostname: self.hostname.as_deref().map(|name| checked::<Hostname>(name, "--hostname")).transpose()?,
            time_zone: self.time_zone.as_deref().map(|zone| checked::<TimeZone>(zone, "--time-zone")).transpose()?,
            ssh_keys: (!keys.is_empty()).then_some(keys),
            wifi,
            join: Join {
                token: token.map(|token| checked::<Token>(&token, "--token-file")).transpose()?,
                lan: self.lan.then_some(true),
                found: self.found.as_deref().map(|name| checked(name, "--found")).transpose()?,
                ..Join::default()
            },
            ..Settings::default()
        })
    }
}

fn checked<T: TryFrom<String, Error = String>>(text: &str, option: &str) -> Result<T> {
    T::try_from(text.to_owned()).map_err(|refused| anyhow::anyhow!("{option}: {refused}"))
}

/// The first line of a file.
fn read_line(path: &Path) -> Result<String> {
    let text = read(path)?;
    let line = text.lines().next().unwrap_or_default().to_owned();
    ensure!(!line.is_empty(), "the first line of `{}` is empty", path.display());
    Ok(line)
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let doing = || format!("cannot read `{}`", path.display());
    let limit = MAX_BYTES as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().take(limit).read_to_string(&mut text).with_context(doing)?;
    } else {
        std::fs::File::open(path).with_context(doing)?.take(limit).read_to_string(&mut text).with_context(doing)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfXZ9mNAvkXo1MlMq1vT3Zc9ck1yH0dXdXyXyXyXyX me@home";

    fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn choices_become_what_a_node_reads() {
        let dir = tempfile::tempdir().unwrap();
        let choices = Choices {
            hostname: Some("garden".to_owned()),
            time_zone: Some("Europe/Madrid".to_owned()),
            ssh_key: vec![file(dir.path(), "id.pub", &format!("{KEY}\n\n"))],
            wifi: Some("Casa \"gran\"".to_owned()),
            wifi_country: Some("ES".to_owned()),
            wifi_key_file: Some(file(dir.path(), "key", "correct horse\n")),
            token_file: Some(file(dir.path(), "invite", "cloudy1-invite-x\n")),
            ..Choices::default()
        };
        let text = choices.text().unwrap().unwrap();
        let read = parse(text.replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(read.settings, choices.values().unwrap());
        assert_eq!(read.secrets.len(), 2, "both secrets will be moved: {text}");
    }

    #[test]
    fn nothing_chosen_writes_nothing() {
        assert_eq!(Choices::default().text().unwrap(), None);
    }

    #[test]
    fn what_a_node_would_refuse_is_refused_here() {
        let dir = tempfile::tempdir().unwrap();
        let said = |choices: Choices| format!("{:#}", choices.text().unwrap_err());
        let hostname = Choices { hostname: Some("a.b".to_owned()), ..Choices::default() };
        assert!(said(hostname).starts_with("--hostname: a host's name has no dots"));
        let private = file(dir.path(), "id", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        assert!(said(Choices { ssh_key: vec![private], ..Choices::default() }).contains("never give it away"));
        let short = file(dir.path(), "short", "short\n");
        let wifi =
            Choices { wifi: Some("x".to_owned()), wifi_country: Some("ES".to_owned()), wifi_key_file: Some(short), ..Choices::default() };
        assert!(said(wifi).starts_with("--wifi-key-file: "));
        let whole = file(dir.path(), "c.toml", "hostnam = \"x\"\n");
        assert!(said(Choices { settings: Some(whole), ..Choices::default() }).contains("line 1, column 1: unknown key `hostnam`"));
        assert!(said(Choices { token_file: Some(dir.path().join("absent")), ..Choices::default() }).starts_with("cannot read"));
    }
}
