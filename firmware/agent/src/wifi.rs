//! How this node is with the Wi-Fi of its settings, as the kernel shows its radios.

use crate::links;
use crate::status::{Wifi, WifiState};
use std::path::Path;

/// Where the kernel shows network interfaces.
const INTERFACES: &str = "/sys/class/net";

/// A radio.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Radio {
    name: String,
    /// Whether an access point let it in: the kernel holds it dormant until the keys are agreed upon.
    up: bool,
}

/// The Wi-Fi of that name.
pub fn look(network: &str) -> Wifi {
    judge(network, radios(Path::new(INTERFACES)), |interface| {
        links::addresses_of(Some(interface)).iter().map(ToString::to_string).collect()
    })
}

fn radios(folder: &Path) -> Vec<Radio> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let radios = entries.filter(|entry| entry.path().join("phy80211").exists()).filter_map(|entry| {
        let up = std::fs::read_to_string(entry.path().join("operstate")).is_ok_and(|state| state.trim() == "up");
        Some(Radio { name: entry.file_name().into_string().ok()?, up })
    });
    let mut radios: Vec<Radio> = radios.collect();
    radios.sort_by(|a, b| a.name.cmp(&b.name));
    radios
}

fn judge(network: &str, radios: Vec<Radio>, addresses: impl Fn(&str) -> Vec<String>) -> Wifi {
    let state = match &radios[..] {
        [] => WifiState::NoRadio,
        some if some.iter().any(|radio| radio.up) => WifiState::Connected,
        _ => WifiState::NotConnected,
    };
    let shown = radios.iter().find(|radio| radio.up).or(radios.first()).map(|radio| radio.name.clone());
    let addresses = shown.as_deref().map(addresses).unwrap_or_default();
    Wifi { network: network.to_owned(), state, interface: shown, addresses }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_radio_that_is_connected_is_shown() {
        let dir = tempfile::tempdir().unwrap();
        let made = |name: &str, radio: bool, state: &str| {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
            if radio {
                std::fs::create_dir(dir.path().join(name).join("phy80211")).unwrap();
            }
            std::fs::write(dir.path().join(name).join("operstate"), format!("{state}\n")).unwrap();
        };
        let look = || judge("Home", radios(dir.path()), |name| vec![format!("address of {name}")]);
        made("enp1s0", false, "up");
        assert_eq!((look().state, look().interface), (WifiState::NoRadio, None));
        made("wlan0", true, "dormant");
        made("wlan1", true, "down");
        assert_eq!((look().state, look().interface.as_deref()), (WifiState::NotConnected, Some("wlan0")));
        made_up(dir.path());
        let wifi = look();
        assert_eq!((wifi.state, wifi.interface.as_deref()), (WifiState::Connected, Some("wlan1")));
        assert_eq!(wifi.addresses, ["address of wlan1"]);
    }

    fn made_up(folder: &Path) {
        std::fs::write(folder.join("wlan1/operstate"), "up\n").unwrap();
    }
}
