//! The subset of cloud-init that Imager writes: `user-data` (cloud-config) and `network-config` (netplan version 2).

use super::super::Ssid;
use super::Found;
use super::node::Node;

/// Reads `user-data`.
pub fn user(root: &Node, found: &mut Found<'_>) {
    for (name, key, value) in root.pairs() {
        match name {
            "hostname" | "fqdn" => found.hostname(value),
            "timezone" => found.time_zone(value),
            "user" if value.is_table() => one_user(value, found),
            "user" => found.user_name(value),
            "users" => {
                for item in value.items().iter().filter(|item| item.is_table()) {
                    one_user(item, found);
                }
            }
            "ssh_authorized_keys" => found.ssh_keys(value),
            "password" => found.password(value),
            "ssh_pwauth" if value.is_true() => found.unsupported(key, "nobody logs in by password here"),
            // The node does this by itself, or it is about parts that it does not have.
            "ssh_pwauth" | "manage_etc_hosts" | "manage_resolv_conf" | "preserve_hostname" | "apt" | "enable_ssh" | "disable_root" => {}
            "packages" => packages(value, found),
            "runcmd" => commands(value, found),
            "keyboard" => found.unsupported(key, "keyboards are not set up: a node has none"),
            "rpi" => found.unsupported(key, "I2C, SPI, 1-Wire, serial and USB gadget are not set by this file"),
            "chpasswd" => {
                for (_, _, inner) in value.pairs() {
                    conceal_all(inner, found);
                }
                found.unsupported(key, "nobody logs in by password here");
            }
            _ => found.unsupported(key, &format!("`{}` is not known here", shown(name))),
        }
    }
}

fn one_user(user: &Node, found: &mut Found<'_>) {
    for (name, key, value) in user.pairs() {
        match name {
            "name" => found.user_name(value),
            "ssh_authorized_keys" | "ssh-authorized-keys" => found.ssh_keys(value),
            "passwd" | "hashed_passwd" | "plain_text_passwd" => found.password(value),
            "shell" | "lock_passwd" | "sudo" | "groups" | "gecos" | "primary_group" => {}
            _ => found.unsupported(key, &format!("`{}` of a user is not known here", shown(name))),
        }
    }
}

/// Every single value in here may be a secret.
fn conceal_all(node: &Node, found: &mut Found<'_>) {
    if node.scalar().is_some() {
        found.conceal(node);
        return;
    }
    for item in node.items() {
        conceal_all(item, found);
    }
    conceal_named(node, found);
}

/// Of a table those values that are called passwords, however deep.
fn conceal_named(table: &Node, found: &mut Found<'_>) {
    for (name, _, value) in table.pairs() {
        conceal_if_named(name, value, found);
    }
}

/// The same of one pair.
fn conceal_if_named(name: &str, value: &Node, found: &mut Found<'_>) {
    if name.contains("passw") {
        conceal_all(value, found);
    } else {
        conceal_named(value, found);
    }
}

/// Imager asks for avahi, so that NAME.local is found; the node answers to that without.
fn packages(value: &Node, found: &mut Found<'_>) {
    let other = value.items().iter().find(|item| item.scalar() != Some("avahi-daemon"));
    if let Some(other) = other {
        found.unsupported(other, "packages are not installed: the image is what it is");
    }
}

/// No command is run. Those by which Imager switches ssh and the radio on are not needed.
fn commands(value: &Node, found: &mut Found<'_>) {
    for command in value.items() {
        let words: Vec<&str> = command.items().iter().filter_map(Node::scalar).collect();
        let done_already = matches!(words.as_slice(), ["systemctl", "enable", "--now", "ssh"] | ["rfkill", "unblock", "wifi"])
            || words.iter().any(|word| word.contains("/var/lib/systemd/rfkill/") || word.contains("/etc/sudoers.d/010_"));
        if !done_already {
            // A command may carry a token (Raspberry Pi Connect).
            if let Some(secret) = command.items().iter().find(|word| word.scalar().is_some_and(|text| text.contains("printf '%s"))) {
                found.conceal(secret);
            }
            if !command.items().iter().any(Node::is_masked) {
                found.unsupported(command, "commands are not run");
            }
        }
    }
}

/// Reads `network-config`, with or without the outer `network:`.
pub fn network(root: &Node, found: &mut Found<'_>) {
    let inner = root.pairs().find(|(name, ..)| *name == "network").map(|(_, _, value)| value);
    for (name, key, value) in inner.unwrap_or(root).pairs() {
        match name {
            "version" => {
                if value.scalar() != Some("2") {
                    found.note(value.span.start, "only version 2 is read");
                }
            }
            "renderer" => {}
            "ethernets" => {
                for (_, _, interface) in value.pairs() {
                    ethernet(interface, found);
                }
            }
            "wifis" => {
                for (_, _, interface) in value.pairs() {
                    wifi(interface, found);
                }
            }
            _ => found.unsupported(key, &format!("`{}` is not known here", shown(name))),
        }
    }
}

/// Every Ethernet gets its address by DHCP, unless `cloudy.toml` says otherwise.
fn ethernet(interface: &Node, found: &mut Found<'_>) {
    for (name, key, value) in interface.pairs() {
        match name {
            "dhcp4" | "dhcp6" if value.is_true() => {}
            "optional" | "match" | "set-name" | "dhcp6" => {}
            _ => {
                conceal_if_named(name, value, found);
                found.unsupported(key, "an Ethernet gets its address by DHCP; a fixed one is set in cloudy.toml");
            }
        }
    }
}

fn wifi(interface: &Node, found: &mut Found<'_>) {
    for (name, key, value) in interface.pairs() {
        match name {
            "regulatory-domain" => found.country(value),
            "access-points" => {
                for (_, point, details) in value.pairs() {
                    if found.wifi.at.is_some() {
                        conceal_named(details, found);
                        found.unsupported(point, "one Wi-Fi is joined, the first: this one is not, and its key is overwritten");
                    } else {
                        access_point(point, details, found);
                    }
                }
            }
            "dhcp4" | "dhcp6" | "optional" => {}
            _ => found.unsupported(key, &format!("`{}` of a Wi-Fi is not known here", shown(name))),
        }
    }
}

fn access_point(name: &Node, details: &Node, found: &mut Found<'_>) {
    // YAML gives bytes above 127 one by one, as characters.
    let text = name.scalar().unwrap_or_default();
    let bytes: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_else(|| text.to_owned());
    found.wifi.at = Some(name.span.start);
    match Ssid::try_from(text) {
        Ok(ssid) => found.wifi.ssid = Some(ssid),
        Err(refused) => found.note(name.span.start, refused),
    }
    for (name, key, value) in details.pairs() {
        match name {
            "password" => found.passphrase(value),
            "auth" => {
                for (inner, inner_key, inner_value) in value.pairs() {
                    match inner {
                        "password" => found.passphrase(inner_value),
                        "key-management" if inner_value.scalar().is_some_and(|kind| matches!(kind, "none" | "psk" | "sae")) => {}
                        _ => {
                            conceal_if_named(inner, inner_value, found);
                            found.unsupported(inner_key, "only open networks and those with one key can be joined");
                        }
                    }
                }
            }
            "hidden" => {}
            _ => {
                conceal_if_named(name, value, found);
                found.unsupported(key, &format!("`{}` of an access point is not known here", shown(name)));
            }
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(40).collect()
}
