//! `cloudy.toml`: what a person may set, how it is checked, and how it becomes the node's settings.
//!
//! [`parse`] reads and checks a file; [`inbox::decide`] merges it once into what the node keeps on data.
//! [`EXAMPLE`] names every key with its meaning.

pub mod imager;
pub mod inbox;
pub mod page;
mod read;
mod values;

pub use read::{MASK, MAX_BYTES, Mistake, Parsed, mask, parse};
pub use values::*;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A `cloudy.toml` with every key and its meaning, all commented out: as it is, it sets nothing.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A `cloudy.toml` with these settings, under a comment; none if nothing is set.
///
/// # Errors
/// When a node would not take it: what it would say.
pub fn to_text(settings: &Settings, header: &str) -> Result<Option<String>, String> {
    if *settings == Settings::default() {
        return Ok(None);
    }
    let body = toml::to_string(settings).map_err(|error| error.to_string())?;
    let text = format!("{header}\n{body}");
    match parse(text.as_bytes()) {
        Ok(_) => Ok(Some(text)),
        Err(mistakes) => Err(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    }
}

/// All that can be set. What is absent is not said, and the node's default holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Settings {
    /// The node's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The time zone, such as `Europe/Madrid`; UTC by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<TimeZone>,
    /// Public keys that may log in as `admin`; none by default, and there are no password logins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_keys: Option<Vec<SshKey>>,
    /// The first Ethernet interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Interface>,
    /// Ethernet interfaces by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<BTreeMap<InterfaceName, Interface>>,
    /// The Wi-Fi to join.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi: Option<Wifi>,
    /// How to come into a microcloud.
    pub join: Join,
}

/// Addresses of one interface: DHCP, or an address with what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Interface {
    /// DHCP; what also holds when no address is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<bool>,
    /// A fixed address with the length of its network's prefix, such as `192.168.1.20/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<Prefixed>,
    /// The router on that network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Name servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
}

/// The Wi-Fi to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wifi {
    /// The network's name.
    pub ssid: Ssid,
    /// Its key; absent for an open network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passphrase: Option<Passphrase>,
    /// The country that the node stands in, whose radio rules hold.
    pub country: Country,
}

/// How to come into a microcloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Join {
    /// An invite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// Without an invite, join a community on this network that lets newcomers in; false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lan: Option<bool>,
    /// Found a community of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<CommunityName>,
    /// The recovery kit to found with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kit: Option<Kit>,
    /// A member of the community that the kit brings this node back into, where none is seen on this network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member: Option<Member>,
    /// Whether newcomers of this network are let in; closed by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<Door>,
    /// Look and be seen on this network; true by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mdns: Option<bool>,
}
