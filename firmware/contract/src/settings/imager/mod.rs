//! What Raspberry Pi Imager writes on partition 1, as settings: `rpi-preseed.toml`, and of cloud-init `user-data`,
//! `network-config` and `meta-data` (the keys that Imager's `customization_generator.cpp` writes, and their near kin).
//!
//! What a node can't do is said with its line and changes nothing else: an image is flashed by people who can't know
//! which of Imager's choices mean something here.

mod cloud;
mod first_run;
mod node;
mod preseed;
#[cfg(test)]
mod tests;

use super::read::{Mistake, Parsed, text};
use super::{Country, Hostname, Passphrase, Settings, SshKey, Ssid, TimeZone, Wifi};
use node::Node;
use std::ops::Range;

/// The file of Imager's own format.
pub const PRESEED: &str = "rpi-preseed.toml";
/// cloud-init's user data.
pub const USER_DATA: &str = "user-data";
/// cloud-init's network configuration (netplan's version 2).
pub const NETWORK_CONFIG: &str = "network-config";
/// cloud-init's name for one flashing: nothing of it is a setting.
pub const META_DATA: &str = "meta-data";
/// The script of Imager's oldest format: never run, and its secrets are overwritten.
pub const FIRST_RUN: &str = "firstrun.sh";
/// All of them, in the order in which they are read; `cloudy.toml` comes after and has the last word.
pub const FILES: [&str; 5] = [PRESEED, USER_DATA, NETWORK_CONFIG, META_DATA, FIRST_RUN];

/// Reads one of [`FILES`].
///
/// # Errors
/// When it is no text, no TOML or YAML, or larger than settings can be.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Parsed, Vec<Mistake>> {
    let text = text(bytes).map_err(|mistake| vec![mistake])?;
    let mut found = Found::new(text);
    match name {
        PRESEED => preseed::read(&node::of_toml(text)?, &mut found),
        USER_DATA if !text.trim_start_matches('\u{feff}').starts_with("#cloud-config") => {
            found.note(0, "only `#cloud-config` is read: scripts and other kinds of user-data are not run");
        }
        USER_DATA => cloud::user(&node::of_yaml(text)?, &mut found),
        NETWORK_CONFIG => cloud::network(&node::of_yaml(text)?, &mut found),
        FIRST_RUN => {
            found.note(0, "this script is not run: flash the image by its .rpi-imager-manifest, or write cloudy.toml");
            found.secrets.extend(first_run::secrets(text));
        }
        _ => {}
    }
    Ok(found.finish())
}

/// What was found so far.
struct Found<'a> {
    text: &'a str,
    settings: Settings,
    wifi: WifiFound,
    notes: Vec<Mistake>,
    masked: Vec<(String, Mistake)>,
    secrets: Vec<Range<usize>>,
}

/// The parts of a Wi-Fi, which stand in several places.
#[derive(Default)]
struct WifiFound {
    /// Where the first network's name stands.
    at: Option<usize>,
    ssid: Option<Ssid>,
    passphrase: Option<Passphrase>,
    /// Where keys stand that are not masked, also such as are no passphrase.
    keys: Vec<Range<usize>>,
    country: Option<Country>,
}

impl<'a> Found<'a> {
    fn new(text: &'a str) -> Self {
        let (settings, wifi) = (Settings::default(), WifiFound::default());
        Self { text, settings, wifi, notes: Vec::new(), masked: Vec::new(), secrets: Vec::new() }
    }

    /// Says something about the text at a byte.
    fn note(&mut self, at: usize, what: impl Into<String>) {
        self.notes.push(super::read::mistake(self.text, at, what.into()));
    }

    /// A key that means nothing here.
    fn unsupported(&mut self, node: &Node, what: &str) {
        self.note(node.span.start, format!("{what}; everything else holds"));
    }

    /// A value checked by its type; what is wrong with it is said.
    fn checked<T: TryFrom<String, Error = String>>(&mut self, node: &Node) -> Option<T> {
        let Some(text) = node.scalar() else {
            self.note(node.span.start, "a single value is expected here");
            return None;
        };
        T::try_from(text.to_owned()).map_err(|refused| self.note(node.span.start, refused)).ok()
    }

    fn hostname(&mut self, node: &Node) {
        // A name with its domain is meant as the name.
        let short = node.scalar().map(|name| name.split('.').next().unwrap_or_default().to_owned());
        match short.map(Hostname::try_from) {
            Some(Ok(name)) => self.settings.hostname = Some(name),
            Some(Err(refused)) => self.note(node.span.start, refused),
            None => self.note(node.span.start, "a single name is expected here"),
        }
    }

    fn time_zone(&mut self, node: &Node) {
        if let Some(zone) = self.checked::<TimeZone>(node) {
            self.settings.time_zone = Some(zone);
        }
    }

    fn ssh_keys(&mut self, node: &Node) {
        for item in node.items() {
            if let Some(key) = self.checked::<SshKey>(item) {
                let keys = self.settings.ssh_keys.get_or_insert_default();
                if !keys.contains(&key) {
                    keys.push(key);
                }
            }
        }
    }

    /// A password of a user: there are none here, and it is not left lying about.
    fn password(&mut self, node: &Node) {
        if self.conceal(node) {
            self.unsupported(node, "nobody logs in by password here: give an ssh key instead");
        }
    }

    /// Overwrites a secret that nothing is done with. Whether there was one.
    fn conceal(&mut self, node: &Node) -> bool {
        let there = node.is_written() && !node.is_masked();
        if there {
            self.secrets.push(node.span.clone());
        }
        there
    }

    fn user_name(&mut self, node: &Node) {
        if node.scalar().is_some_and(|name| name != "admin") {
            self.unsupported(node, "the user is called `admin` here, whatever name is given");
        }
    }

    fn passphrase(&mut self, node: &Node) {
        if node.is_masked() {
            let lost = "`wifi.passphrase` was moved to another node and is not here: write it again";
            self.masked.push(("wifi.passphrase".to_owned(), super::read::mistake(self.text, node.span.start, lost.to_owned())));
            return;
        }
        if node.is_written() {
            self.wifi.keys.push(node.span.clone());
        }
        if let Some(passphrase) = self.checked::<Passphrase>(node) {
            self.wifi.passphrase = Some(passphrase);
        }
    }

    fn country(&mut self, node: &Node) {
        match node.scalar().map(|text| Country::try_from(text.to_ascii_uppercase())) {
            Some(Ok(country)) => self.wifi.country = Some(country),
            _ => self.note(node.span.start, "a country is two letters, as in \"ES\""),
        }
    }

    fn finish(mut self) -> Parsed {
        let WifiFound { at, ssid, passphrase, keys, country } = std::mem::take(&mut self.wifi);
        match (ssid, country) {
            // A key that was refused stays, so that it can be mended. Without it a network would be joined that has the same name and no key.
            (Some(_), Some(_)) if passphrase.is_none() && !keys.is_empty() => {
                self.note(at.unwrap_or_default(), "Wi-Fi is left off, since its key is none: mend it and start again");
            }
            (Some(ssid), Some(country)) => {
                self.secrets.extend(keys);
                self.settings.wifi = Some(Wifi { ssid, passphrase, country });
            }
            // The key stays where it is: it was not taken.
            (Some(_), None) => {
                let what = "Wi-Fi is left off, since no country is named, whose radio rules hold: name it and start again";
                self.note(at.unwrap_or_default(), what);
            }
            // Nothing but a name makes it of use, and whoever writes that can write the key again.
            (None, _) => {
                if let Some(key) = keys.first() {
                    self.note(
                        key.start,
                        "this key is overwritten, since it belongs to no Wi-Fi that can be joined: write name and key again",
                    );
                }
                self.secrets.extend(keys);
            }
        }
        if self.settings.wifi.is_none() {
            self.masked.clear();
        }
        self.notes.sort_by_key(|note| (note.line, note.column));
        self.secrets.sort_by_key(|range| range.start);
        Parsed { settings: self.settings, masked: self.masked, secrets: self.secrets, notes: self.notes }
    }
}
