//! What an owner wishes of the node's settings on the page or by the API → what is asked of the root unit. All of it pure.

use contract::settings::{Country, Interface, Passphrase, Prefixed, Settings, Ssid, TimeZone, Wifi};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Other settings: `PUT /api/v1/settings`. What is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewSettings))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Wish {
    /// The time zone, such as `Europe/Madrid`.
    pub time_zone: Option<String>,
    /// How the first Ethernet gets its address.
    pub network: Option<NetworkWish>,
    /// The Wi-Fi to join.
    pub wifi: Option<WifiWish>,
    /// No Wi-Fi any more.
    pub no_wifi: bool,
}

/// Addresses of the first Ethernet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NetworkSettings))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NetworkWish {
    /// An address with its network's length, such as `192.168.1.20/24`; DHCP without.
    pub address: Option<String>,
    /// The router.
    pub gateway: Option<String>,
    /// Name servers.
    pub dns: Vec<String>,
}

/// A Wi-Fi.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WifiSettings))]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WifiWish {
    /// The network's name.
    pub ssid: String,
    /// Its key. Without, that of this network stays; a network that was not set yet is open then.
    pub passphrase: Option<String>,
    /// The country that the node stands in, such as `ES`.
    pub country: String,
}

/// What is asked of the root unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What shall be.
    pub settings: Settings,
    /// That there shall be no Wi-Fi.
    pub no_wifi: bool,
}

impl Plan {
    /// Whether it could cut the node off from whoever asked.
    pub fn may_cut_off(&self) -> (bool, bool) {
        (self.settings.network.is_some(), self.settings.wifi.is_some() || self.no_wifi)
    }
}

/// # Errors
/// What of the wish is wrong, with the mend.
pub fn plan(now: &Settings, wish: Wish) -> Result<Plan, String> {
    let Wish { time_zone, network, wifi, no_wifi } = wish;
    if no_wifi && wifi.is_some() {
        return Err("either another Wi-Fi or none: leave one out".to_owned());
    }
    let time_zone = time_zone.map(TimeZone::try_from).transpose()?;
    let network = network.map(interface).transpose()?;
    let wifi = wifi.map(|wifi| wireless(now, wifi)).transpose()?;
    // What is so already need not be set again.
    let settings = Settings {
        time_zone: time_zone.filter(|zone| now.time_zone.as_ref() != Some(zone)),
        network: network.filter(|network| now.network.as_ref() != Some(network)),
        wifi: wifi.filter(|wifi| now.wifi.as_ref() != Some(wifi)),
        ..Settings::default()
    };
    let no_wifi = no_wifi && now.wifi.is_some();
    contract::settings::page::ask(0, &settings, no_wifi)?;
    Ok(Plan { settings, no_wifi })
}

fn interface(wish: NetworkWish) -> Result<Interface, String> {
    let address = |text: &String| text.parse::<IpAddr>().map_err(|_| format!("`{}` is no address, as in 192.168.1.1", text.escape_debug()));
    let own: Option<Prefixed> = wish.address.map(|text| text.parse()).transpose()?;
    let dns = wish.dns.iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let gateway = wish.gateway.as_ref().map(address).transpose()?;
    Ok(Interface { dhcp: own.is_none().then_some(true), address: own, gateway, dns })
}

fn wireless(now: &Settings, wish: WifiWish) -> Result<Wifi, String> {
    let ssid = Ssid::try_from(wish.ssid)?;
    let kept = now.wifi.as_ref().filter(|wifi| wifi.ssid == ssid).and_then(|wifi| wifi.passphrase.clone());
    let passphrase = match wish.passphrase {
        Some(text) => Some(Passphrase::try_from(text)?),
        None => kept,
    };
    Ok(Wifi { ssid, passphrase, country: Country::try_from(wish.country)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(toml: &str) -> Settings {
        contract::settings::parse(toml.as_bytes()).unwrap().settings
    }

    fn wifi(ssid: &str, passphrase: Option<&str>) -> Wish {
        let wifi = WifiWish { ssid: ssid.to_owned(), passphrase: passphrase.map(str::to_owned), country: "ES".to_owned() };
        Wish { wifi: Some(wifi), ..Wish::default() }
    }

    fn network(address: Option<&str>, gateway: Option<&str>, dns: &[&str]) -> Wish {
        let text = |text: &str| text.to_owned();
        let network =
            NetworkWish { address: address.map(text), gateway: gateway.map(text), dns: dns.iter().map(|one| text(one)).collect() };
        Wish { network: Some(network), ..Wish::default() }
    }

    #[test]
    fn a_wish_becomes_settings_and_what_is_so_already_is_not_asked() {
        let now = settings("time-zone = \"Europe/Madrid\"\nwifi = { ssid = \"Casa\", passphrase = \"secret secret\", country = \"ES\" }");
        let zone = |zone: &str| Wish { time_zone: Some(zone.to_owned()), ..Wish::default() };
        assert_eq!(plan(&now, zone("Europe/Madrid")).unwrap(), Plan::default());
        let paris = plan(&now, zone("Europe/Paris")).unwrap();
        assert_eq!((paris.settings.time_zone.as_ref().unwrap().as_str(), paris.may_cut_off()), ("Europe/Paris", (false, false)));
        let fixed = plan(&now, network(Some("10.0.0.5/24"), Some("10.0.0.1"), &["9.9.9.9"])).unwrap();
        assert_eq!((fixed.settings.network.as_ref().unwrap().dhcp, fixed.may_cut_off()), (None, (true, false)));
        assert_eq!(plan(&now, network(None, None, &[])).unwrap().settings.network.unwrap().dhcp, Some(true));
    }

    #[test]
    fn a_key_stays_with_its_network_and_goes_with_no_other() {
        let now = settings("wifi = { ssid = \"Casa\", passphrase = \"secret secret\", country = \"FR\" }");
        let key = |wish: Wish| plan(&now, wish).unwrap().settings.wifi.unwrap().passphrase.map(String::from);
        assert_eq!(key(wifi("Casa", None)).as_deref(), Some("secret secret"));
        assert_eq!(key(wifi("Plaza", None)), None);
        assert_eq!(key(wifi("Plaza", Some("another one"))).as_deref(), Some("another one"));
        let none = plan(&now, Wish { no_wifi: true, ..Wish::default() }).unwrap();
        assert_eq!((none.no_wifi, none.may_cut_off()), (true, (false, true)));
        assert!(!plan(&Settings::default(), Wish { no_wifi: true, ..Wish::default() }).unwrap().no_wifi);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let refused = |wish: Wish| plan(&Settings::default(), wish).unwrap_err();
        assert!(refused(network(Some("10.0.0.5"), None, &[])).contains("network's length"));
        assert!(refused(network(Some("10.0.0.5/24"), Some("router"), &[])).contains("`router` is no address"));
        assert!(refused(network(None, Some("10.0.0.1"), &[])).contains("DHCP brings its own"));
        assert!(refused(network(Some("10.0.0.1/24"), Some("10.0.0.1"), &[])).contains("own address"));
        assert!(refused(wifi("", None)).contains("1 to 32 bytes"));
        assert!(!refused(wifi("Casa", Some("short"))).is_empty());
        assert!(!refused(Wish { time_zone: Some("../etc".to_owned()), ..Wish::default() }).is_empty());
        assert!(refused(Wish { no_wifi: true, ..wifi("Casa", None) }).contains("leave one out"));
    }
}
