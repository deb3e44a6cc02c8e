//! From settings to the files that the machine's programs read. Pure.

use contract::settings::{Interface, Settings, Wifi};
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::PathBuf;

/// Runtime files of networkd.
pub const NETWORK_DIR: &str = "/run/systemd/network";
/// Names of our files there begin so.
pub const NETWORK_PREFIX: &str = "10-cloudy-";
/// What else is made for other programs.
pub const RUN_DIR: &str = "/run/cloudy-settings";

/// One file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedFile {
    /// Where it goes.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// Its content.
    pub text: String,
}

/// All files for these settings. `first_ethernet` is the interface that `[network]` means, where one is known.
pub fn files(settings: &Settings, first_ethernet: Option<&str>) -> Vec<RenderedFile> {
    let mut files = Vec::new();
    let mut file = |path: String, mode: u32, text: String| files.push(RenderedFile { path: path.into(), mode, text });
    if let Some(network) = &settings.network {
        // With no Ethernet seen yet, all of them: better an address on each than none.
        let matching = first_ethernet.map_or_else(|| "Type=ether\nKind=!*".to_owned(), |name| format!("Name={name}"));
        file(format!("{NETWORK_DIR}/{NETWORK_PREFIX}first.network"), 0o644, network_file(&matching, network));
    }
    for (name, interface) in settings.interfaces.iter().flatten() {
        // Sorts before "first": a named interface is meant by its name.
        let name = name.as_str();
        file(format!("{NETWORK_DIR}/{NETWORK_PREFIX}at-{name}.network"), 0o644, network_file(&format!("Name={name}"), interface));
    }
    if let Some(wifi) = &settings.wifi {
        file(format!("{RUN_DIR}/wpa_supplicant.conf"), 0o600, supplicant(wifi));
    }
    let keys: Vec<&str> = settings.ssh_keys.iter().flatten().map(|key| key.as_str()).collect();
    file(format!("{RUN_DIR}/authorized_keys/admin"), 0o644, keys.iter().map(|key| format!("{key}\n")).collect());
    files
}

/// A .network file of systemd-networkd (systemd.network(5)).
fn network_file(matching: &str, interface: &Interface) -> String {
    let mut text = format!("# From cloudy.toml, written at each boot.\n[Match]\n{matching}\n\n[Network]\nMulticastDNS=yes\n");
    match interface.address {
        None => text.push_str("DHCP=yes\n"),
        Some(address) => {
            // write! into a String can't fail.
            let _ = writeln!(text, "DHCP=no\nAddress={address}");
            if let Some(gateway) = interface.gateway {
                let _ = writeln!(text, "Gateway={gateway}");
            }
        }
    }
    for server in &interface.dns {
        let _ = writeln!(text, "DNS={server}");
    }
    if !interface.dns.is_empty() && interface.address.is_none() {
        text.push_str("\n[DHCPv4]\nUseDNS=no\n\n[DHCPv6]\nUseDNS=no\n\n[IPv6AcceptRA]\nUseDNS=no\n");
    }
    text
}

/// A configuration of wpa_supplicant. The name goes as hexadecimal digits, so that no character of it means anything.
fn supplicant(wifi: &Wifi) -> String {
    let ssid: String = wifi.ssid.as_str().bytes().map(|byte| format!("{byte:02x}")).collect();
    let key = match &wifi.passphrase {
        None => "  key_mgmt=NONE\n".to_owned(),
        // 64 hexadecimal digits are the key itself; WPA3 needs a passphrase.
        Some(pass) if pass.as_str().len() == 64 => format!("  key_mgmt=WPA-PSK WPA-PSK-SHA256\n  psk={}\n", pass.as_str()),
        // The program takes all up to the last quote of the line; line ends can't be in a checked passphrase.
        Some(pass) => format!("  key_mgmt=WPA-PSK WPA-PSK-SHA256 SAE\n  ieee80211w=1\n  psk=\"{}\"\n", pass.as_str()),
    };
    format!(
        "# From cloudy.toml, written at each boot.\nupdate_config=0\ncountry={}\nsae_pwe=2\n\nnetwork={{\n  ssid={ssid}\n  scan_ssid=1\n{key}}}\n",
        wifi.country.as_str()
    )
}

/// The node's name where none was given: from the machine's id, so that two nodes are told apart, and no id is given away.
pub fn default_hostname(machine_id: &str) -> String {
    let hash = Sha256::digest(format!("cloudy hostname {}", machine_id.trim()).as_bytes());
    let digits: String = hash.iter().take(2).map(|byte| format!("{byte:02x}")).collect();
    format!("cloudy-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        contract::settings::parse(text.as_bytes()).unwrap().settings
    }

    fn text(files: &[RenderedFile], name: &str) -> String {
        files.iter().find(|f| f.path.ends_with(name)).unwrap_or_else(|| panic!("{name} in {files:?}")).text.clone()
    }

    #[test]
    fn a_fixed_address_goes_to_the_first_ethernet() {
        let s = settings("[network]\naddress = \"192.168.1.20/24\"\ngateway = \"192.168.1.1\"\ndns = [\"1.1.1.1\"]\n");
        let file = text(&files(&s, Some("enp1s0")), "10-cloudy-first.network");
        assert_eq!(
            file,
            "# From cloudy.toml, written at each boot.\n[Match]\nName=enp1s0\n\n[Network]\nMulticastDNS=yes\n\
             DHCP=no\nAddress=192.168.1.20/24\nGateway=192.168.1.1\nDNS=1.1.1.1\n"
        );
        assert!(text(&files(&s, None), "10-cloudy-first.network").contains("Type=ether\nKind=!*\n"));
    }

    #[test]
    fn an_interface_named_comes_before_the_first() {
        let s = settings("[network]\ndhcp = true\n[interfaces.enp2s0]\naddress = \"10.0.0.1/24\"\n");
        let mut names: Vec<_> =
            files(&s, Some("enp1s0")).into_iter().filter_map(|f| Some(f.path.file_name()?.to_str()?.to_owned())).collect();
        names.sort();
        assert_eq!(names, ["10-cloudy-at-enp2s0.network", "10-cloudy-first.network", "admin"]);
    }

    #[test]
    fn a_wifi_name_can_hold_anything() {
        let s = settings("[wifi]\nssid = 'a\"}'\npassphrase = 'say \"hi\" }'\ncountry = \"ES\"\n");
        let files = files(&s, None);
        let conf = text(&files, "wpa_supplicant.conf");
        assert!(conf.contains("ssid=61227d\n") && conf.contains("psk=\"say \"hi\" }\"\n") && conf.contains("country=ES\n"), "{conf}");
        assert_eq!(files.iter().find(|f| f.path.ends_with("wpa_supplicant.conf")).unwrap().mode, 0o600);
    }

    #[test]
    fn names_by_default_differ_between_machines() {
        let (a, b) = (default_hostname("0123\n"), default_hostname("4567"));
        assert_ne!(a, b);
        assert_eq!(a, default_hostname("0123"));
        assert_eq!(a.len(), "cloudy-abcd".len());
    }
}
