//! Files of the form that Raspberry Pi Imager writes, with values of our own.

use super::*;
use crate::settings::mask;
use proptest::prelude::*;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfXZ9mNAvkXo1MlMq1vT3Zc9ck1yH0dXdXyXyXyXyX me@home";
const PMK: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn preseed() -> String {
    format!(
        "config_version = \"1.0\"\n\n[system]\nhostname = \"garden\"\n\n[user]\nname = \"maria\"\npassword = \"$y$j9T$salt$hash\"\n\
         password_encrypted = true\ngroups = [\"sudo\"]\n\n[ssh]\nenabled = true\npassword_authentication = false\nauthorized_keys = [\n  \
         \"{KEY}\",\n]\n\n[wlan]\nssid = \"Casa \\\"gran\\\"\"\npassword = \"{PMK}\"\npassword_encrypted = true\nhidden = false\ncountry = \"ES\"\n\n\
         [locale]\nkeymap = \"es\"\ntimezone = \"Europe/Madrid\"\n\n[connect]\nenabled = true\nmode = \"token\"\ntoken = \"rpuak_secret\"\n\n\
         [interfaces]\ni2c = true\n"
    )
}

fn user_data() -> String {
    format!(
        "#cloud-config\nmanage_resolv_conf: false\n\nhostname: garden\nmanage_etc_hosts: true\npackages:\n- avahi-daemon\napt:\n  \
         preserve_sources_list: true\n  conf: |\n    Acquire {{\n      Check-Date \"false\";\n    }};\ntimezone: Europe/Madrid\nkeyboard:\n  \
         model: pc105\n  layout: \"es\"\nuser:\n  name: maria\n  shell: /bin/bash\n  lock_passwd: false\n  passwd: \"$y$j9T$salt$hash\"\n  \
         ssh_authorized_keys:\n    - \"{KEY}\"\n  sudo: null\nssh_pwauth: false\nruncmd:\n  - [ systemctl, enable, --now, ssh ]\n"
    )
}

fn network_config() -> String {
    format!(
        "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: true\n      dhcp6: true\n      optional: true\n  wifis:\n    wlan0:\n      \
         dhcp4: true\n      regulatory-domain: \"ES\"\n      access-points:\n        \"Caf\\xc3\\xa9 \\\"gran\\\"\":\n          hidden: true\n          \
         password: \"{PMK}\"\n      optional: true\n"
    )
}

fn notes(parsed: &Parsed) -> Vec<String> {
    parsed.notes.iter().map(ToString::to_string).collect()
}

fn read(name: &str, text: &str) -> Parsed {
    parse(name, text.as_bytes()).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

/// The same text with its secrets overwritten: as long, readable, with no secret in it.
fn masked(name: &str, text: &str) -> Parsed {
    let parsed = read(name, text);
    let masked = String::from_utf8(mask(text.as_bytes(), &parsed.secrets)).unwrap();
    assert_eq!(masked.len(), text.len());
    for secret in [PMK, "$y$j9T", "rpuak_secret"] {
        assert!(!masked.contains(secret), "{masked}");
    }
    let again = read(name, &masked);
    assert_eq!(again.secrets, []);
    again
}

#[test]
fn imager_s_own_format_becomes_settings() {
    let text = preseed();
    let parsed = read(PRESEED, &text);
    let s = &parsed.settings;
    assert_eq!(s.hostname.as_ref().unwrap().as_str(), "garden");
    assert_eq!(s.time_zone.as_ref().unwrap().as_str(), "Europe/Madrid");
    assert_eq!(s.ssh_keys.as_ref().unwrap()[0].as_str(), KEY);
    let wifi = s.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid.as_str(), wifi.country.as_str()), ("Casa \"gran\"", "ES"));
    assert_eq!(wifi.passphrase.as_ref().unwrap().as_str(), PMK);
    assert_eq!(parsed.secrets.len(), 3);
    let said = notes(&parsed);
    assert_eq!(said.len(), 5, "{said:#?}");
    assert!(said[0].starts_with("line 7, column 8: the user is called `admin` here"), "{said:?}");
    assert!(said[1].starts_with("line 8, column 12: nobody logs in by password"));
    assert!(said[4].starts_with("line 35, column 2: I2C"), "{said:#?}");
    let again = masked(PRESEED, &text);
    assert_eq!(again.masked[0].0, "wifi.passphrase");
    assert_eq!(again.settings.hostname, parsed.settings.hostname);
}

#[test]
fn the_cloud_init_subset_becomes_the_same_settings() {
    let user = read(USER_DATA, &user_data());
    let of_preseed = read(PRESEED, &preseed()).settings;
    assert_eq!(user.settings, Settings { wifi: None, ..of_preseed });
    let said = notes(&user);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(
        said[0].starts_with("line 15, column 1: keyboards") && said[1].starts_with("line 19, column 9: the user is called"),
        "{said:#?}"
    );
    masked(USER_DATA, &user_data());
    let network = read(NETWORK_CONFIG, &network_config());
    let wifi = network.settings.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid.as_str(), wifi.country.as_str()), ("Café \"gran\"", "ES"));
    assert_eq!(wifi.passphrase.as_ref().unwrap().as_str(), PMK);
    assert_eq!(notes(&network), Vec::<String>::new());
    assert_eq!(masked(NETWORK_CONFIG, &network_config()).masked[0].0, "wifi.passphrase");
    assert_eq!(read(META_DATA, "instance-id: rpi-imager-1795000000000\n").settings, Settings::default());
}

#[test]
fn a_token_in_a_command_of_user_data_does_not_stay() {
    let key = "/home/maria/.config/com.raspberrypi.connect/auth.key";
    let connect = format!(
        "  - [ sh, -c, \"install -o maria -m 700 -d /home/maria/.config/com.raspberrypi.connect\" ]\n  \
         - [ sh, -c, \"printf '%s\\\\n' 'rpuak_secret' > {key} && chown maria:maria {key} && chmod 600 {key}\" ]\n  \
         - [ sleep, \"2\" ]\n  - [ rfkill, unblock, wifi ]\n"
    );
    let text = user_data() + &connect;
    let parsed = read(USER_DATA, &text);
    assert_eq!(parsed.secrets.len(), 2, "the password and the token");
    let said = notes(&parsed);
    assert_eq!(said.iter().filter(|note| note.contains("commands are not run")).count(), 3, "{said:#?}");
    let again = masked(USER_DATA, &text);
    assert_eq!(again.settings, parsed.settings);
}

#[test]
fn an_open_network_needs_no_key_and_every_network_a_country() {
    let open = network_config().replace(&format!("password: \"{PMK}\""), "auth:\n            key-management: none");
    assert_eq!(read(NETWORK_CONFIG, &open).settings.wifi.unwrap().passphrase, None);
    let without = network_config().replace("      regulatory-domain: \"ES\"\n", "");
    let parsed = read(NETWORK_CONFIG, &without);
    assert_eq!(parsed.settings.wifi, None);
    assert_eq!(parsed.secrets, [], "a key that was not taken is not overwritten");
    assert!(notes(&parsed)[0].contains("no country"));
}

#[test]
fn a_key_that_is_none_makes_no_open_network_of_that_name() {
    for (name, text) in [(NETWORK_CONFIG, network_config()), (PRESEED, preseed())] {
        let parsed = read(name, &text.replace(PMK, "short"));
        assert_eq!(parsed.settings.wifi, None, "{name}");
        assert!(notes(&parsed).iter().any(|note| note.contains("Wi-Fi is left off, since its key is none")), "{:?}", notes(&parsed));
    }
}

#[test]
fn keys_of_what_is_not_supported_do_not_stay_either() {
    let text = network_config()
        .replace(
            "      dhcp6: true\n",
            &format!("      dhcp6: true\n      auth:\n        key-management: 802.1x\n        password: \"{PMK}\"\n"),
        )
        .replace("          hidden: true\n", &format!("          auth:\n            client-key-password: \"{PMK}\"\n"));
    assert_eq!(read(NETWORK_CONFIG, &text).secrets.len(), 3);
    masked(NETWORK_CONFIG, &text);
}

#[test]
fn a_wifi_named_by_its_bytes_is_joined_where_they_are_text_and_its_key_never_stays() {
    let named = |ssid: &str| preseed().replace("ssid = \"Casa \\\"gran\\\"\"", ssid);
    let cafe = named("ssid_hex = \"436166C3a9\"");
    assert_eq!(read(PRESEED, &cafe).settings.wifi.unwrap().ssid.as_str(), "Café");
    assert_eq!(masked(PRESEED, &cafe).masked[0].0, "wifi.passphrase");
    for ssid in ["ssid = \"Casa\"\nssid_hex = \"436166c3a9\"", "ssid_hex = \"436166c3a9\"\nssid = \"Casa\""] {
        assert_eq!(read(PRESEED, &named(ssid)).settings.wifi.unwrap().ssid.as_str(), "Casa", "{ssid}");
    }
    for (ssid, words) in [
        ("ssid_hex = \"436166e9\"", "line 20, column 12: a Wi-Fi whose name is not UTF-8 can't be joined: give it"),
        ("ssid_hex = \"436\"", "line 20, column 12: `ssid_hex` is a Wi-Fi's name as hexadecimal digits"),
        ("ssid_hex = \"\"", "line 20, column 12: a Wi-Fi's name is 1 to 32 bytes"),
        ("ssid_hex = \"4307\"", "line 20, column 12: a Wi-Fi's name is 1 to 32 bytes"),
        ("ssid = \"\"", "line 20, column 8: a Wi-Fi's name is 1 to 32 bytes"),
        ("hidden_too = false", "line 21, column 12: this key is overwritten"),
    ] {
        let text = named(ssid);
        let parsed = read(PRESEED, &text);
        assert_eq!(parsed.settings.wifi, None, "{ssid}");
        let said = notes(&parsed).join("\n");
        assert!(said.contains(words) && said.contains("line 21, column 12: this key is overwritten"), "{ssid}: {said}");
        assert_eq!(masked(PRESEED, &text).masked, [], "{ssid}");
    }
    let short = named("ssid_hex = \"436166e9\"").replace(PMK, "short");
    assert_eq!(read(PRESEED, &short).secrets.len(), 3, "what is no key may be a part of one");
}

#[test]
fn of_several_wifis_the_first_is_joined_and_no_key_of_any_stays() {
    let second = "        \"Second\":\n          password: \"second secret\"\n        Third:\n          auth:\n            \
                  key-management: sae\n            password: third secret\n        Fourth:\n    wlan1:\n      access-points:\n        \
                  \"Fifth\": {password: fifth secret}\n";
    let text =
        format!("{}{second}", network_config().replace("      optional: true\n  wifis", "  wifis").replace("      optional: true\n", ""));
    let parsed = read(NETWORK_CONFIG, &text);
    let wifi = parsed.settings.wifi.as_ref().unwrap();
    assert_eq!((wifi.ssid.as_str(), wifi.passphrase.as_ref().unwrap().as_str()), ("Café \"gran\"", PMK));
    let said = notes(&parsed);
    assert_eq!(said.len(), 4, "{said:#?}");
    assert!(said[0].contains("column 9: one Wi-Fi is joined, the first: this one is not, and its key is overwritten"), "{said:#?}");
    assert_eq!(parsed.secrets.len(), 4);
    let masked_text = String::from_utf8(mask(text.as_bytes(), &parsed.secrets)).unwrap();
    assert!(!masked_text.contains("secret"), "{masked_text}");
    masked(NETWORK_CONFIG, &text);
    let without = text.replace("      regulatory-domain: \"ES\"\n", "");
    assert_eq!(read(NETWORK_CONFIG, &without).secrets.len(), 3, "the first key stays until a country is named");
}

#[test]
fn what_is_wrong_or_not_run_is_said_with_its_line() {
    for (name, text, words) in [
        (PRESEED, "[system]\nhostname = \"-x\"\n", "line 2, column 12: a host's name"),
        (PRESEED, "[ssh]\nauthorized_keys = [\"ssh-ed25519 AAAA\"]\n", "line 2, column 20: the key is cut"),
        (PRESEED, "[wlan]\nssid_hex = \"ff\"\n", "line 2, column 12: a Wi-Fi whose name is not UTF-8"),
        (PRESEED, "[later]\nx = 1\n", "`later` is not known here"),
        (PRESEED, "config_version = \"2.0\"\n", "read as 1.0"),
        (USER_DATA, "#!/bin/sh\nreboot\n", "line 1, column 1: only `#cloud-config` is read"),
        (USER_DATA, "#cloud-config\nruncmd:\n  - [ rm, -rf, / ]\n", "line 3, column 5: commands are not run"),
        (USER_DATA, "#cloud-config\nbootcmd: [x]\n", "line 2, column 1: `bootcmd` is not known here"),
        (
            NETWORK_CONFIG,
            "version: 2\nethernets:\n  eth0:\n    addresses: [10.0.0.2/24]\n",
            "line 4, column 5: an Ethernet gets its address",
        ),
        (FIRST_RUN, "#!/bin/sh\n", "is not run"),
    ] {
        let said = notes(&read(name, text)).join("\n");
        assert!(said.contains(words), "{text}\n→ {said}");
    }
    for (name, text, words) in [
        (PRESEED, "[system\n", "line 1"),
        (USER_DATA, "#cloud-config\na: &x [1]\nb: *x\n", "line 3, column 4: aliases"),
        (USER_DATA, "#cloud-config\na: [1\n", "line"),
    ] {
        let said = parse(name, text.as_bytes()).unwrap_err()[0].to_string();
        assert!(said.contains(words), "{said}");
    }
    let deep = format!("#cloud-config\na: {}", "[".repeat(5000));
    assert!(parse(USER_DATA, deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300), which in 0usize..FILES.len()) {
        let _ = parse(FILES[which], &bytes);
        let _ = parse(FILES[which], &[b"#cloud-config\n".as_slice(), &bytes].concat());
    }

    #[test]
    fn near_a_good_file_places_lie_inside_and_masking_keeps_the_length(at in 0usize..900, insert in "[ -~\\n\u{e9}]{0,4}", which in 0usize..3) {
        let mut text = [preseed(), user_data(), network_config()][which].clone();
        let at = (0..=at.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap();
        text.insert_str(at, &insert);
        if let Ok(parsed) = parse(FILES[which], text.as_bytes()) {
            prop_assert!(parsed.secrets.iter().all(|range| range.start < range.end && range.end <= text.len()));
            prop_assert!(parsed.notes.iter().all(|note| note.line >= 1 && note.line <= text.lines().count() + 1));
            prop_assert_eq!(mask(text.as_bytes(), &parsed.secrets).len(), text.len());
        }
    }

    #[test]
    fn a_wifi_of_any_name_and_key_is_read_as_it_was_meant(name in "[ -~\u{e9}\u{4e2d}]{1,10}", pass in "[!-~][ -~]{6,61}[!-~]") {
        prop_assume!(!pass.bytes().all(|byte| byte == b'*'));
        let quoted: String = name.bytes().map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            0x20..0x7f => char::from(byte).to_string(),
            other => format!("\\x{other:02x}"),
        }).collect();
        let escaped = pass.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("network:\n  wifis:\n    wlan0:\n      regulatory-domain: \"ES\"\n      access-points:\n        \"{quoted}\":\n          password: \"{escaped}\"\n");
        let parsed = parse(NETWORK_CONFIG, text.as_bytes()).unwrap();
        let wifi = parsed.settings.wifi.unwrap();
        prop_assert_eq!(wifi.ssid.as_str(), name.as_str());
        let key = wifi.passphrase.unwrap();
        prop_assert_eq!(key.as_str(), pass.as_str());
        let masked = String::from_utf8(mask(text.as_bytes(), &parsed.secrets)).unwrap();
        prop_assert!(!masked.contains(&escaped));
    }
}
