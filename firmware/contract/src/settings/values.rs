//! The checked values of `cloudy.toml`: a value of one of these types is good.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Why a value is refused, with the mend.
pub type Refused = String;

/// A string that was checked by a function when it was made, also when it was read.
macro_rules! checked {
    ($(#[$doc:meta])* $name:ident, $check:path, $shown:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = Refused;

            fn try_from(text: String) -> Result<Self, Refused> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let shown: fn(&str) -> &str = $shown;
                write!(f, "{:?}", shown(&self.0))
            }
        }
    };
}

/// Open values show themselves.
const OPEN: fn(&str) -> &str = |text| text;
/// Secrets do not, so that none gets into a log.
const SECRET: fn(&str) -> &str = |_| "(secret)";

checked! {
    /// A host's name: one label of RFC 1123, 1 to 63 letters, digits and inner hyphens.
    Hostname, hostname, OPEN
}
checked! {
    /// The name of a time zone, such as `Europe/Madrid`. Whether it exists is known on the node only.
    TimeZone, time_zone, OPEN
}
checked! {
    /// A public key as in `authorized_keys`, without options: type, base64, comment.
    SshKey, ssh_key, OPEN
}
checked! {
    /// The kernel's name of a network interface: 1 to 15 characters.
    InterfaceName, interface_name, OPEN
}
checked! {
    /// A Wi-Fi's name: 1 to 32 bytes.
    Ssid, ssid, OPEN
}
checked! {
    /// A Wi-Fi's key: 8 to 63 printable ASCII characters, or 64 hexadecimal digits.
    Passphrase, passphrase, SECRET
}
checked! {
    /// A country by its two capital letters (ISO 3166-1).
    Country, country, OPEN
}
checked! {
    /// An invite's text. Whether it is good is judged by the network part.
    Token, token, SECRET
}
checked! {
    /// A recovery kit's text. Whether it is good is judged by the network part.
    Kit, kit, SECRET
}
checked! {
    /// A member and where it is: `ID@ADDRESS`. Whether it is there is seen by the network part.
    Member, member, OPEN
}
checked! {
    /// A community's name: 1 to 64 characters.
    CommunityName, community_name, OPEN
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hostname(text: &str) -> Result<(), Refused> {
    if text.contains('.') {
        return Err("a host's name has no dots: leave the domain out, as in \"garden\"".to_owned());
    }
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if text.is_empty() || text.len() > 63 || !plain || text.starts_with('-') || text.ends_with('-') {
        return Err("a host's name is 1 to 63 letters (a to z), digits and inner hyphens, as in \"garden-2\"".to_owned());
    }
    Ok(())
}

fn time_zone(text: &str) -> Result<(), Refused> {
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+-".contains(&b));
    if text.len() <= 64 && text.split('/').all(part) {
        return Ok(());
    }
    Err("a time zone is written as in \"Europe/Madrid\" or \"UTC\"".to_owned())
}

/// Types of keys that OpenSSH takes today.
const SSH_TYPES: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

fn ssh_key(text: &str) -> Result<(), Refused> {
    if text.contains("PRIVATE KEY") {
        return Err("this is a private key: never give it away; the public one is in the file that ends in .pub".to_owned());
    }
    let shape = || "an ssh key is one line of a .pub file, as in \"ssh-ed25519 AAAA… name\"".to_owned();
    if text.len() > 4096 || text.chars().any(char::is_control) {
        return Err(shape());
    }
    let mut fields = text.split(' ');
    let (Some(kind), Some(body)) = (fields.next(), fields.next()) else { return Err(shape()) };
    if !SSH_TYPES.contains(&kind) {
        return Err(format!("{}; it begins with one of: {}", shape(), SSH_TYPES.join(", ")));
    }
    // RFC 4253, 6.6: the body begins with its type as a string, a length of four bytes before it.
    let decoded =
        data_encoding::BASE64.decode(body.as_bytes()).map_err(|_| "the key is cut or changed: its base64 can't be read".to_owned())?;
    let inner = decoded.get(..4).and_then(|len| <[u8; 4]>::try_from(len).ok()).map(u32::from_be_bytes);
    let named = inner.and_then(|len| decoded.get(4..4_usize.checked_add(usize::try_from(len).ok()?)?));
    if named != Some(kind.as_bytes()) || decoded.len() < kind.len() + 24 {
        return Err(format!("the key is cut or changed: its inside is not of the type {kind}"));
    }
    Ok(())
}

fn interface_name(text: &str) -> Result<(), Refused> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if text.is_empty() || text.len() > 15 || !plain || text.starts_with('.') {
        return Err("an interface is named as `ip link` names it, as in \"enp1s0\"".to_owned());
    }
    Ok(())
}

fn ssid(text: &str) -> Result<(), Refused> {
    if text.is_empty() || text.len() > 32 || text.chars().any(char::is_control) {
        return Err("a Wi-Fi's name is 1 to 32 bytes".to_owned());
    }
    Ok(())
}

fn passphrase(text: &str) -> Result<(), Refused> {
    let printable = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    let key = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
    if key || (printable && (8..=63).contains(&text.len())) {
        return Ok(());
    }
    Err("a Wi-Fi key is 8 to 63 plain characters, or 64 hexadecimal digits".to_owned())
}

fn country(text: &str) -> Result<(), Refused> {
    if text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(());
    }
    Err("a country is two capital letters, as in \"ES\"".to_owned())
}

fn one_word(text: &str, max: usize) -> bool {
    !text.is_empty() && text.len() <= max && text.bytes().all(|b| b.is_ascii_graphic())
}

fn token(text: &str) -> Result<(), Refused> {
    if one_word(text, 4096) { Ok(()) } else { Err("an invite is one word, as `cloudy invite` printed it".to_owned()) }
}

fn kit(text: &str) -> Result<(), Refused> {
    let plain = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !text.is_empty() && text.len() <= 1024 && plain { Ok(()) } else { Err("a recovery kit is one line, as it was printed".to_owned()) }
}

fn member(text: &str) -> Result<(), Refused> {
    let (node, address) = text.split_once('@').unwrap_or_default();
    let is_id = node.len() == 64 && node.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id && (address.parse::<SocketAddr>().is_ok() || address.parse::<IpAddr>().is_ok()) {
        return Ok(());
    }
    Err("a member is its id of 64 digits, `@` and its address, as the page of its microcloud says".to_owned())
}

fn community_name(text: &str) -> Result<(), Refused> {
    if text.trim().is_empty() || text.chars().count() > 64 || text.chars().any(char::is_control) {
        return Err("a community's name is 1 to 64 characters".to_owned());
    }
    Ok(())
}

/// An address with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefixed {
    /// The address of a host.
    pub address: IpAddr,
    /// The prefix length in bits.
    pub prefix: u8,
}

impl FromStr for Prefixed {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        let shape = || "an address is written with its network's length, as in \"192.168.1.20/24\"".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(shape)?;
        let address: IpAddr = address.parse().map_err(|_| shape())?;
        let prefix: u8 = prefix.parse().map_err(|_| shape())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if !(1..=bits).contains(&prefix) {
            return Err(format!("the network's length is 1 to {bits}"));
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() || address == IpAddr::from([255; 4]) {
            return Err(format!("{address} is no address for a host"));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Prefixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Serialize for Prefixed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Prefixed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Whether newcomers of the local network are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Nobody without an invite.
    Closed,
    /// Everybody on the local network, always.
    Open,
    /// Everybody on the local network, for so many minutes after each start: 1 to 1440.
    Minutes(u32),
}

impl Serialize for Door {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Closed => serializer.serialize_str("closed"),
            Self::Open => serializer.serialize_str("open"),
            Self::Minutes(minutes) => serializer.serialize_u32(*minutes),
        }
    }
}

impl<'de> Deserialize<'de> for Door {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Door;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"open\", \"closed\", or minutes from 1 to 1440")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Door, E> {
                match text {
                    "open" => Ok(Door::Open),
                    "closed" => Ok(Door::Closed),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Door, E> {
                match u32::try_from(number) {
                    Ok(minutes @ 1..=1440) => Ok(Door::Minutes(minutes)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Door, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}
