//! From the bytes of a `cloudy.toml` to checked settings, or to mistakes with line and column.

use super::{Interface, Settings, SshKey};
use serde::Deserialize;
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// A secret that was moved to the node's data stands in the file as so many of these.
pub const MASK: char = '*';

/// The tables and their keys. `*` is any name. A test holds this against [`Settings`].
const KEYS: [(&[&str], &[&str]); 6] = [
    (&[], &["hostname", "time-zone", "ssh-keys", "network", "interfaces", "wifi", "join"]),
    (&["network"], INTERFACE),
    (&["interfaces"], &["*"]),
    (&["interfaces", "*"], INTERFACE),
    (&["wifi"], &["ssid", "passphrase", "country"]),
    (&["join"], &["token", "lan", "found", "kit", "member", "door", "mdns"]),
];
const INTERFACE: &[&str] = &["dhcp", "address", "gateway", "dns"];

/// Secrets: they are moved to data and masked in the file.
const SECRETS: [&[&str]; 3] = [&["wifi", "passphrase"], &["join", "token"], &["join", "kit"]];

/// One mistake in a `cloudy.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, and the mend.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

/// A file that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// What it sets.
    pub settings: Settings,
    /// Secrets that stand masked in it: dotted keys with the place of each, so that a lost one can be named.
    pub masked: Vec<(String, Mistake)>,
    /// Where secrets stand in plain text: byte ranges of the quoted values.
    pub secrets: Vec<Range<usize>>,
    /// What of it means nothing here: said, and survived. Always empty for a `cloudy.toml`.
    pub notes: Vec<Mistake>,
}

/// Reads and checks a `cloudy.toml`.
///
/// # Errors
/// All unknown keys; or else the first value that is wrong; or else what contradicts.
pub fn parse(bytes: &[u8]) -> Result<Parsed, Vec<Mistake>> {
    let text = text(bytes).map_err(|mistake| vec![mistake])?;
    // A byte order mark (Windows' editor) moves all places by its length.
    let shift = text.len() - text.trim_start_matches('\u{feff}').len();
    let body = text.get(shift..).unwrap_or_default();
    let of_toml = |error: &toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        vec![mistake(body, at, error.message().trim().to_owned())]
    };
    let mut root = DeTable::parse(body).map_err(|error| of_toml(&error))?;

    let mut unknown = Vec::new();
    unknown_keys(body, root.get_ref(), &mut Vec::new(), &mut unknown);
    if !unknown.is_empty() {
        unknown.sort_by_key(|m| (m.line, m.column));
        return Err(unknown);
    }

    // In a list, the parser would name the list's own line only.
    let keys = root.get_ref().get("ssh-keys").and_then(|list| list.get_ref().as_array());
    let wrong = keys.into_iter().flatten().filter_map(|key| {
        let refused = SshKey::try_from(key.get_ref().as_str()?.to_owned()).err()?;
        Some(mistake(body, key.span().start, refused))
    });
    let wrong: Vec<_> = wrong.collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }

    let (mut masked, mut secrets) = (Vec::new(), Vec::new());
    for path in SECRETS {
        let Some((span, value)) = string_at(root.get_ref(), path) else { continue };
        let key = path.join(".");
        if !value.is_empty() && value.chars().all(|c| c == MASK) {
            let lost = format!("`{key}` was moved to another node and is not here: write it again");
            masked.push((key, mistake(body, span.start, lost)));
            take(root.get_mut(), path);
        } else {
            secrets.push(span.start + shift..span.end + shift);
        }
    }

    let check = root.clone();
    let settings = Settings::deserialize(toml::de::Deserializer::from(root)).map_err(|error| of_toml(&error))?;
    let contradictions = contradictions(body, check.get_ref(), &settings);
    if contradictions.is_empty() { Ok(Parsed { settings, masked, secrets, notes: Vec::new() }) } else { Err(contradictions) }
}

/// The file with its secrets masked: the same length, everything else untouched.
///
/// The length is kept so that an interrupted write leaves old or new bytes at each place, and nothing moves.
pub fn mask(bytes: &[u8], secrets: &[Range<usize>]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for range in secrets {
        let Some(place) = out.get_mut(range.clone()) else { continue };
        if let [first, inner @ .., last] = place {
            (*first, *last) = (b'"', b'"');
            inner.fill(b'*');
        }
    }
    out
}

pub(super) fn text(bytes: &[u8]) -> Result<&str, Mistake> {
    if bytes.len() > MAX_BYTES {
        let what = format!("the file has {} bytes; {MAX_BYTES} are allowed", bytes.len());
        return Err(Mistake { line: 1, column: 1, what });
    }
    str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).and_then(|b| str::from_utf8(b).ok()).unwrap_or_default();
        mistake(good, good.len(), "this is not UTF-8: save the file as UTF-8 text".to_owned())
    })
}

/// A mistake at a byte offset.
pub(super) fn mistake(text: &str, at: usize, what: String) -> Mistake {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |n| n + 1);
    Mistake {
        line: before.bytes().filter(|b| *b == b'\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
        what: what.replace('\n', " "),
    }
}

fn unknown_keys(text: &str, table: &DeTable<'_>, path: &mut Vec<String>, found: &mut Vec<Mistake>) {
    let fits = |pattern: &[&str]| pattern.len() == path.len() && pattern.iter().zip(path.iter()).all(|(p, k)| *p == "*" || p == k);
    let Some((_, allowed)) = KEYS.iter().find(|(pattern, _)| fits(pattern)) else { return };
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if *allowed != ["*"] && !allowed.contains(&name) {
            found.push(mistake(text, key.span().start, unknown(name, path, allowed)));
            continue;
        }
        if let DeValue::Table(inner) = value.get_ref() {
            path.push(name.to_owned());
            unknown_keys(text, inner, path, found);
            path.pop();
        }
    }
}

fn unknown(name: &str, path: &[String], allowed: &[&str]) -> String {
    let shown: String = name.chars().take(40).collect();
    let place = if path.is_empty() { String::new() } else { format!(" in [{}]", path.join(".")) };
    let nearest = allowed.iter().map(|key| (strsim::damerau_levenshtein(&shown, key), key)).min();
    let mend = match nearest {
        Some((distance, key)) if distance <= 1 + key.len() / 3 => format!("did you mean `{key}`?"),
        // A key of another table, written at the wrong place.
        _ => match KEYS.iter().find(|(_, keys)| keys.contains(&name)) {
            Some(([], _)) => format!("`{name}` belongs to the top of the file, before the first [table]"),
            Some((table, _)) => format!("`{name}` belongs to [{}]", table.join(".")),
            None => format!("these are known: {}", allowed.join(", ")),
        },
    };
    format!("unknown key `{shown}`{place}; {mend}")
}

/// The string at a path, with its span (quotes included).
fn string_at<'a>(root: &'a DeTable<'_>, path: &[&str]) -> Option<(Range<usize>, &'a str)> {
    let value = value_at(root, path)?;
    Some((value.span(), value.get_ref().as_str()?))
}

fn value_at<'a, 'i>(root: &'a DeTable<'i>, path: &[&str]) -> Option<&'a Spanned<DeValue<'i>>> {
    let (first, rest) = path.split_first()?;
    let value = root.get(*first)?;
    if rest.is_empty() { Some(value) } else { value_at(value.get_ref().as_table()?, rest) }
}

/// Takes the value at a path out of the tree.
fn take(root: &mut DeTable<'_>, path: &[&str]) {
    match path {
        [] => {}
        [key] => {
            root.remove(*key);
        }
        [first, rest @ ..] => {
            if let Some(DeValue::Table(inner)) = root.get_mut(*first).map(Spanned::get_mut) {
                take(inner, rest);
            }
        }
    }
}

/// What is good alone and wrong together.
fn contradictions(text: &str, root: &DeTable<'_>, settings: &Settings) -> Vec<Mistake> {
    let mut found = Vec::new();
    let mut say = |path: &[&str], what: &str| {
        let at = value_at(root, path).map_or(0, |value| value.span().start);
        found.push(mistake(text, at, what.to_owned()));
    };
    if let Some(network) = &settings.network {
        interface(network, &["network"], &mut say);
    }
    for (name, one) in settings.interfaces.iter().flatten() {
        interface(one, &["interfaces", name.as_str()], &mut say);
    }
    let join = &settings.join;
    if join.found.is_some() && join.token.is_some() {
        say(&["join", "found"], "a node either founds a community or joins one by `token`: leave one out");
    }
    if join.kit.is_some() && join.found.is_none() {
        say(&["join", "kit"], "`kit` needs `found`, the community's name");
    }
    // A kit that was masked is not here, and is kept.
    if join.member.is_some() && join.found.is_none() {
        say(&["join", "member"], "`member` needs `found` and `kit`: without these, a node is let in by `token`");
    }
    found
}

fn interface(one: &Interface, path: &[&str], say: &mut impl FnMut(&[&str], &str)) {
    let at = |key: &'static str| path.iter().copied().chain([key]).collect::<Vec<_>>();
    match (one.address, one.gateway) {
        (Some(_), _) if one.dhcp == Some(true) => say(&at("address"), "either `address` or `dhcp = true`: leave one out"),
        (None, _) if one.dhcp == Some(false) => say(&at("dhcp"), "without DHCP an `address` is needed"),
        (None, Some(_)) => say(&at("gateway"), "`gateway` needs an `address`; DHCP brings its own"),
        (Some(own), Some(gateway)) if own.address.is_ipv4() != gateway.is_ipv4() => {
            say(&at("gateway"), "`gateway` and `address` must both be IPv4 or both IPv6");
        }
        (Some(own), Some(gateway)) if own.address == gateway => {
            say(&at("gateway"), "`gateway` is this node's own address: write the router's")
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Door, EXAMPLE, Wifi};
    use proptest::prelude::*;

    fn mistakes(text: &str) -> Vec<String> {
        parse(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfXZ9mNAvkXo1MlMq1vT3Zc9ck1yH0dXdXyXyXyXyX me@home";

    const MEMBER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef@192.168.1.20:4747";

    /// A file with every key.
    fn full() -> String {
        format!(
            "hostname = \"garden\"\ntime-zone = \"Europe/Madrid\"\nssh-keys = [\"{KEY}\"]\n\
             [network]\ndhcp = false\naddress = \"192.168.1.20/24\"\ngateway = \"192.168.1.1\"\ndns = [\"1.1.1.1\", \"fd00::1\"]\n\
             [interfaces.enp2s0]\naddress = \"fd00::2/64\"\n\
             [wifi]\nssid = \"Home\"\npassphrase = \"correct horse\"\ncountry = \"ES\"\n\
             [join]\nlan = true\nfound = \"Gràcia\"\nkit = \"cloudy1-kit-x\"\nmember = \"{MEMBER}\"\ndoor = 30\nmdns = false\n"
        )
    }

    #[test]
    fn every_key_is_read() {
        let parsed = parse(full().as_bytes()).unwrap();
        let s = parsed.settings;
        assert_eq!(s.hostname.unwrap().as_str(), "garden");
        assert_eq!(s.network.unwrap().address.unwrap().to_string(), "192.168.1.20/24");
        assert_eq!(s.interfaces.unwrap().keys().next().unwrap().as_str(), "enp2s0");
        assert!(matches!(s.wifi, Some(Wifi { passphrase: Some(_), .. })));
        assert_eq!(s.join.door, Some(Door::Minutes(30)));
        assert_eq!(parsed.secrets.len(), 2);
    }

    #[test]
    fn a_member_is_an_id_and_an_address_of_a_community_that_is_come_back_to() {
        let said = |member: &str| mistakes(&format!("[join]\nfound = \"x\"\nmember = \"{member}\"\n")).join(" ");
        for wrong in ["", "@", "garden@10.0.0.1", &MEMBER[1..], &MEMBER.replace("4747", "99999"), &MEMBER.replace('@', " ")] {
            assert!(said(wrong).contains("a member is its id"), "{wrong}");
        }
        for good in [MEMBER.replace(":4747", ""), MEMBER.replace("192.168.1.20", "[fd00::1]")] {
            parse(format!("[join]\nfound = \"x\"\nmember = \"{good}\"\n").as_bytes()).unwrap();
        }
        assert!(mistakes(&format!("[join]\nmember = \"{MEMBER}\"\n"))[0].contains("needs `found` and `kit`"));
    }

    #[test]
    fn the_table_of_keys_is_that_of_the_types() {
        let mut settings = parse(full().as_bytes()).unwrap().settings;
        settings.join.token = Some("x".to_owned().try_into().unwrap());
        let json = toml::Value::try_from(&settings).unwrap();
        for (path, keys) in KEYS {
            let mut table = json.as_table().unwrap();
            for part in path {
                table = if *part == "*" { table.values().next() } else { table.get(*part) }.unwrap().as_table().unwrap();
            }
            if keys != ["*"] && path.first() != Some(&"interfaces") {
                let mut ours: Vec<_> = keys.to_vec();
                let mut theirs: Vec<_> = table.keys().map(String::as_str).collect();
                ours.sort_unstable();
                theirs.sort_unstable();
                assert_eq!(ours, theirs, "{path:?}");
            }
        }
    }

    #[test]
    fn the_example_sets_nothing_and_names_every_key() {
        assert_eq!(parse(EXAMPLE.as_bytes()).unwrap().settings, Settings::default());
        let all: String =
            EXAMPLE.lines().filter_map(|l| l.strip_prefix("#")).filter(|l| !l.starts_with(' ')).map(|l| format!("{l}\n")).collect();
        let settings = parse(all.as_bytes()).unwrap_or_else(|m| panic!("{all}\n{m:?}")).settings;
        assert!(settings.wifi.is_some() && settings.interfaces.is_some() && settings.join.door.is_some(), "{all}");
        for (_, keys) in KEYS {
            for key in keys.iter().filter(|key| **key != "*") {
                assert!(EXAMPLE.contains(key), "{key}");
            }
        }
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        assert_eq!(parse(b"").unwrap().settings, Settings::default());
        assert_eq!(parse(b"\xef\xbb\xbf# only words\r\n").unwrap().settings, Settings::default());
    }

    #[test]
    fn unknown_keys_are_all_named_with_place_and_nearest() {
        let found = mistakes("hostnam = \"x\"\n[wifi]\n  ssid = \"a\"\n  pasphrase = \"b\"\n  zzzzz = 1\n");
        assert_eq!(
            found,
            [
                "line 1, column 1: unknown key `hostnam`; did you mean `hostname`?",
                "line 4, column 3: unknown key `pasphrase` in [wifi]; did you mean `passphrase`?",
                "line 5, column 3: unknown key `zzzzz` in [wifi]; these are known: ssid, passphrase, country",
            ]
        );
        assert_eq!(mistakes("token = \"x\""), ["line 1, column 1: unknown key `token`; `token` belongs to [join]"]);
        let found = mistakes("[join]\nlan = true\ntime-zone = \"UTC\"");
        assert_eq!(
            found,
            ["line 3, column 1: unknown key `time-zone` in [join]; `time-zone` belongs to the top of the file, before the first [table]"]
        );
    }

    #[test]
    fn wrong_values_are_named_with_place_and_mend() {
        for (text, place, words) in [
            ("hostname = \"a.b\"", "line 1, column 12", "no dots"),
            ("hostname = 7", "line 1, column 12", "expected a string"),
            ("\n\ntime-zone = \"../etc\"", "line 3, column 13", "Europe/Madrid"),
            ("ssh-keys = [\n \"ssh-ed25519 AAAA\"]", "line 2, column 2", "cut or changed"),
            ("ssh-keys = [\"-----BEGIN OPENSSH PRIVATE KEY-----\"]", "line 1, column 13", "private key"),
            ("[network]\naddress = \"192.168.1.20\"", "line 2, column 11", "192.168.1.20/24"),
            ("[network]\naddress = \"0.0.0.0/24\"", "line 2, column 11", "no address for a host"),
            ("[network]\naddress = \"10.0.0.2/33\"", "line 2, column 11", "1 to 32"),
            ("[network]\ngateway = \"10.0.0.1\"", "line 2, column 11", "needs an `address`"),
            ("[network]\naddress = \"10.0.0.2/24\"\ngateway = \"fd00::1\"", "line 3, column 11", "both be IPv4"),
            ("[wifi]\nssid = \"x\"\npassphrase = \"short\"\ncountry = \"ES\"", "line 3, column 14", "8 to 63"),
            ("[wifi]\nssid = \"x\"", "line 1, column 1", "country"),
            ("[wifi]\nssid = \"x\"\ncountry = \"Spain\"", "line 3, column 11", "two capital letters"),
            ("[join]\ndoor = 0", "line 2, column 8", "1 to 1440"),
            ("[join]\nkit = \"k\"", "line 2, column 7", "needs `found`"),
            ("[join]\nfound = \"x\"\ntoken = \"t\"", "line 2, column 9", "leave one out"),
            ("hostname = \"é", "line 1, column", ""),
            ("a = 1\na = 2", "line 2, column 1", "duplicate"),
        ] {
            let found = mistakes(text).join("\n");
            assert!(found.starts_with(place) && found.contains(words), "{text}\n→ {found}");
        }
        assert!(parse(b"hostname = \"\xff\"").unwrap_err()[0].to_string().starts_with("line 1, column 13: this is not UTF-8"));
        assert!(parse(&vec![b'#'; MAX_BYTES + 1]).unwrap_err()[0].what.contains("bytes"));
    }

    #[test]
    fn secrets_are_masked_in_place() {
        let text = full();
        let parsed = parse(text.as_bytes()).unwrap();
        let masked = String::from_utf8(mask(text.as_bytes(), &parsed.secrets)).unwrap();
        assert_eq!(masked.len(), text.len());
        assert!(masked.contains("passphrase = \"*************\"\n") && !masked.contains("horse") && !masked.contains("cloudy1"));
        let again = parse(masked.as_bytes()).unwrap();
        assert_eq!(again.secrets, []);
        assert_eq!(again.masked.iter().map(|m| m.0.as_str()).collect::<Vec<_>>(), ["wifi.passphrase", "join.kit"]);
        assert_eq!(again.settings.hostname, parsed.settings.hostname);
    }

    #[test]
    fn secrets_are_not_shown_in_debug() {
        let text = full();
        let shown = format!("{:?}", parse(text.as_bytes()).unwrap().settings);
        assert!(!shown.contains("horse") && !shown.contains("cloudy1-kit"), "{shown}");
    }

    #[test]
    fn deep_nesting_is_survived() {
        let deep = format!("a = {}", "[".repeat(30_000));
        assert!(parse(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn any_text_near_a_good_one_is_survived_and_places_lie_inside(at in 0usize..500, insert in "\\PC{0,3}") {
            let mut text = full();
            let at = (0..=at.min(text.len())).rev().find(|n| text.is_char_boundary(*n)).unwrap();
            text.insert_str(at, &insert);
            if let Err(mistakes) = parse(text.as_bytes()) {
                for m in mistakes {
                    prop_assert!(m.line >= 1 && m.line <= text.lines().count() + 1 && m.column >= 1);
                }
            }
        }

        #[test]
        fn whatever_is_good_is_masked_whole(pass in "[ -~]{8,63}") {
            let quoted = toml::Value::String(pass.clone()).to_string();
            let text = format!("\u{feff}[wifi]\nssid = \"a\"\npassphrase = {quoted} # end\ncountry = \"ES\"\n");
            let parsed = parse(text.as_bytes()).unwrap();
            if !pass.bytes().all(|b| b == b'*') {
                prop_assert_eq!(parsed.secrets.len(), 1);
            }
            let masked = String::from_utf8(mask(text.as_bytes(), &parsed.secrets)).unwrap();
            prop_assert_eq!(masked.len(), text.len());
            prop_assert!(masked.contains("\" # end\n"));
            prop_assert_eq!(parse(masked.as_bytes()).unwrap().masked.len(), 1);
        }
    }
}
