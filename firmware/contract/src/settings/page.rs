//! What the page asks of the root unit that applies settings: some of `cloudy.toml`'s keys, in a file that the agent writes.
//!
//! Architecture invariant: of what decides who is root on a node (`ssh-keys`) and how it comes into a microcloud (`join`), the agent can ask nothing:
//! it listens on the network, and whoever takes it over must not become root by it.

use super::read::{MAX_BYTES, Mistake, Parsed, parse, text};
use super::{Interface, Settings, Wifi};
use serde::{Deserialize, Serialize};

/// The file's name, in the agent's data folder.
pub const FILE: &str = "page-settings.json";

/// What may be set from the page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Asked {
    /// Another number each time, so that the same may be asked again after something else.
    pub change: u64,
    /// What shall be, as a `cloudy.toml` of the keys `time-zone`, `network` and `wifi`.
    #[serde(default)]
    pub toml: String,
    /// That there shall be no Wi-Fi.
    #[serde(default)]
    pub no_wifi: bool,
}

/// A file that asks for these settings.
///
/// # Errors
/// In words: what of them a node would not take.
pub fn ask(change: u64, settings: &Settings, no_wifi: bool) -> Result<Vec<u8>, String> {
    let toml = super::to_text(settings, "# From the page of this node.")?.unwrap_or_default();
    let asked = Asked { change, toml, no_wifi };
    let bytes = serde_json::to_vec(&asked).map_err(|error| error.to_string())?;
    match read(&bytes) {
        Ok(_) => Ok(bytes),
        Err(mistakes) => Err(mistakes.into_iter().map(|mistake| mistake.what).collect::<Vec<_>>().join("; ")),
    }
}

/// What brings these groups back to how they were: addresses by DHCP and no Wi-Fi, where nothing was set.
#[must_use]
pub fn back(before: &Settings, network: bool, wifi: bool) -> (Settings, bool) {
    let dhcp = || Interface { dhcp: Some(true), ..Interface::default() };
    let was: Option<Wifi> = before.wifi.clone().filter(|_| wifi);
    let no_wifi = wifi && was.is_none();
    let network = network.then(|| before.network.clone().unwrap_or_else(dhcp));
    (Settings { network, wifi: was, ..Settings::default() }, no_wifi)
}

/// Reads the file.
///
/// # Errors
/// It is none that the agent writes, or asks for more than a page may.
pub fn read(bytes: &[u8]) -> Result<(Parsed, bool), Vec<Mistake>> {
    let all = |what: String| vec![Mistake { line: 1, column: 1, what }];
    let asked: Asked = serde_json::from_str(text(bytes).map_err(|mistake| vec![mistake])?).map_err(|error| all(error.to_string()))?;
    if asked.toml.len() > MAX_BYTES {
        return Err(all("it is too long".to_owned()));
    }
    let mut parsed = parse(asked.toml.as_bytes())?;
    let Settings { time_zone, network, wifi, .. } = &parsed.settings;
    let may = Settings { time_zone: time_zone.clone(), network: network.clone(), wifi: wifi.clone(), ..Settings::default() };
    if parsed.settings != may || !parsed.masked.is_empty() {
        return Err(all(
            "from the page, time zone, network and Wi-Fi are set, and nothing else: write the rest into cloudy.toml".to_owned()
        ));
    }
    // They stand on data already.
    parsed.secrets.clear();
    Ok((parsed, asked.no_wifi))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(toml: &str) -> Settings {
        parse(toml.as_bytes()).unwrap().settings
    }

    #[test]
    fn what_a_page_may_set_is_read_back_and_the_rest_is_refused() {
        let may = settings(
            "time-zone = \"Europe/Madrid\"\nnetwork = { address = \"10.0.0.5/24\", gateway = \"10.0.0.1\" }\nwifi = { ssid = \"Casa\", passphrase = \"secret secret\", country = \"ES\" }",
        );
        let (parsed, no_wifi) = read(&ask(1, &may, false).unwrap()).unwrap();
        assert_eq!((parsed.settings, no_wifi, parsed.secrets.len()), (may, false, 0));
        assert!(read(&ask(1, &Settings::default(), true).unwrap()).unwrap().1);
        let key = "ssh-keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUaJYPKV4cVWVpcvt0l0RkJ5rWSKUqVFnFSPyxmEAlK x\"]";
        for toml in [
            key,
            "hostname = \"x\"",
            "join = { lan = true }",
            "join = { found = \"x\" }",
            "wifi = { ssid = \"a\", passphrase = \"********\", country = \"ES\" }",
        ] {
            let bytes = serde_json::to_vec(&Asked { change: 1, toml: toml.to_owned(), no_wifi: false }).unwrap();
            assert!(read(&bytes).unwrap_err()[0].what.contains("nothing else"), "{toml}");
        }
        for bytes in [&b"{}"[..], b"", b"{\"change\":1,\"keys\":[]}", b"\xff"] {
            assert!(read(bytes).is_err());
        }
    }

    #[test]
    fn the_way_back_sets_what_was_and_else_the_defaults() {
        let before = settings(
            "network = { address = \"10.0.0.5/24\" }\nwifi = { ssid = \"Casa\", country = \"ES\" }\ntime-zone = \"Europe/Madrid\"",
        );
        let (to, no_wifi) = back(&before, true, true);
        assert_eq!(
            (to.network.clone(), to.wifi.clone(), to.time_zone.clone(), no_wifi),
            (before.network.clone(), before.wifi.clone(), None, false)
        );
        let (to, no_wifi) = back(&Settings::default(), true, true);
        assert_eq!((to.network.unwrap().dhcp, to.wifi, no_wifi), (Some(true), None, true));
        assert_eq!(back(&before, false, false), (Settings::default(), false));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_ask_for_more(bytes in prop::collection::vec(any::<u8>(), 0..200), toml in ".*|(ssh-keys|join|hostname|wifi)[ =\\[\\]\"a-z.]*") {
            let _read = read(&bytes);
            let asked = serde_json::to_vec(&Asked { change: 1, toml, no_wifi: false }).unwrap();
            if let Ok((parsed, _)) = read(&asked) {
                prop_assert!(parsed.settings.ssh_keys.is_none() && parsed.settings.join == super::super::Join::default());
            }
        }
    }
}
