//! `rpi-preseed.toml`, version 1.0: tables system, user, ssh, wlan, locale, connect, interfaces.

use super::super::{Refused, Ssid};
use super::Found;
use super::node::Node;
use data_encoding::HEXLOWER_PERMISSIVE;

/// Reads it.
pub fn read(root: &Node, found: &mut Found<'_>) {
    for (name, key, value) in root.pairs() {
        match name {
            "config_version" => {
                if value.scalar().is_none_or(|version| !version.starts_with("1.")) {
                    found.note(value.span.start, "this version of the format is not known: it is read as 1.0");
                }
            }
            "system" | "user" | "ssh" | "wlan" | "locale" | "connect" if value.is_table() => {
                for (inner, inner_key, inner_value) in value.pairs() {
                    one(name, inner, inner_key, inner_value, found);
                }
            }
            "interfaces" => found.unsupported(key, "I2C, SPI, 1-Wire, serial and USB gadget are not set by this file"),
            _ => found.unsupported(key, &format!("`{}` is not known here", shown(name))),
        }
    }
}

fn one(table: &str, name: &str, key: &Node, value: &Node, found: &mut Found<'_>) {
    match (table, name) {
        ("system", "hostname") => found.hostname(value),
        ("user", "name") => found.user_name(value),
        ("user", "password") => found.password(value),
        // Every admin is one who may sudo.
        ("user", "password_encrypted" | "groups" | "passwordless_sudo") => {}
        ("ssh", "authorized_keys") => found.ssh_keys(value),
        ("ssh", "enabled") if !value.is_true() => found.unsupported(key, "ssh is always on, for those whose key is known"),
        ("ssh", "password_authentication") if value.is_true() => found.unsupported(key, "nobody logs in by password here"),
        ("ssh", "enabled" | "password_authentication") => {}
        ("wlan", "ssid") => {
            found.wifi.at = Some(value.span.start);
            if let Some(ssid) = found.checked::<Ssid>(value) {
                found.wifi.ssid = Some(ssid);
            }
        }
        // Imager writes this in the place of `ssid` when a name is not UTF-8.
        ("wlan", "ssid_hex") => match ssid_of_hex(value.scalar().unwrap_or_default()) {
            Ok(ssid) => {
                found.wifi.at.get_or_insert(value.span.start);
                found.wifi.ssid.get_or_insert(ssid);
            }
            Err(refused) => found.note(value.span.start, refused),
        },
        ("wlan", "password") => {
            if value.scalar() != Some("") {
                found.passphrase(value);
            }
        }
        // Whether it is hashed is seen by its form; a hidden network is asked for by name in any case.
        ("wlan", "password_encrypted" | "hidden") => {}
        ("wlan", "key_mgmt") => {}
        ("wlan", "country") => found.country(value),
        ("locale", "timezone") => found.time_zone(value),
        ("locale", "keymap") => found.unsupported(key, "keyboards are not set up: a node has none"),
        ("connect", "token") => {
            found.conceal(value);
        }
        ("connect", "enabled") if value.is_true() => found.unsupported(key, "Raspberry Pi Connect is not part of this system"),
        ("connect", _) => {}
        _ => found.unsupported(key, &format!("`{}` in [{table}] is not known here", shown(name))),
    }
}

/// A Wi-Fi's name of the hexadecimal digits of its bytes.
fn ssid_of_hex(text: &str) -> Result<Ssid, Refused> {
    let bytes = HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|_| "`ssid_hex` is a Wi-Fi's name as hexadecimal digits, two a byte, as in \"43617361\"; or write `ssid`".to_owned())?;
    let name = String::from_utf8(bytes)
        .map_err(|_| "a Wi-Fi whose name is not UTF-8 can't be joined: give it a name in UTF-8 at its access point".to_owned())?;
    Ssid::try_from(name)
}

fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}
