//! What an update changes is said whole, in order, and without secrets.

use super::*;
use crate::apps::catalog::tests::FACTS_TEXT;
use contract::apps::own::Definition;
use contract::oci::Digest;
use proptest::prelude::*;
use std::path::Path;

/// One with something of each kind, as pages and the command line show it.
pub fn an_update() -> UpdateView {
    let change = |part, name: &str, was: Option<&str>, becomes: Option<&str>| Change {
        part,
        name: name.to_owned(),
        was: was.map(str::to_owned),
        becomes: becomes.map(str::to_owned),
    };
    let changes = vec![
        change(Part::Privilege, "host-path=/srv/<i>", None, Some("")),
        change(Part::Image, "", Some("nginx:1.26"), Some("nginx:1.27")),
        change(Part::Port, "web", Some("80/tcp http"), None),
        change(Part::Default, "PASSWORD", Some(""), Some("")),
    ];
    UpdateView { name: "wiki".to_owned(), changes, new_bytes: Some(40_000_000), again: false }
}

fn entry(facts: &str, layers: &[(&[u8], u64)]) -> Entry {
    let blobs = layers.iter().map(|(layer, bytes)| (Digest::of(layer), *bytes)).collect();
    let index = Digest::of(format!("{layers:?}").as_bytes());
    Entry { name: "broker".to_owned(), index, facts: Digest::of(facts.as_bytes()), icon: None, blobs }
}

fn of_catalog(facts: &str, layers: &[(&[u8], u64)]) -> Version {
    Version::of_catalog(&entry(facts, layers), &contract::apps::read(Path::new("images/apps/broker/app.toml"), facts).unwrap())
}

fn of_own(compose: &str) -> Version {
    let definition = Definition { title: "Wiki".to_owned(), compose: Some(compose.to_owned()), ..Definition::default() };
    let project = own::read(&definition).unwrap();
    Version::of_own(&Saved { definition, ..Saved::default() }, &project)
}

/// In words: `+` what is new, `-` what goes, `~` what is another.
fn said(old: &Version, new: &Version) -> Vec<String> {
    let one = |change: Change| match (&change.was, &change.becomes) {
        (None, becomes) => format!("+{:?} {} {}", change.part, change.name, becomes.as_deref().unwrap_or("nothing")),
        (Some(was), None) => format!("-{:?} {} {was}", change.part, change.name),
        (Some(was), Some(becomes)) => format!("~{:?} {} {was}>{becomes}", change.part, change.name),
    };
    changes(old, new).into_iter().map(one).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn a_version_of_the_catalog_says_what_it_changes_and_what_it_asks_for_first() {
    let a: &[(&[u8], u64)] = &[(b"base", 50), (b"one", 7)];
    let b: &[(&[u8], u64)] = &[(b"base", 50), (b"two", 8)];
    let old = of_catalog(FACTS_TEXT, a);
    assert_eq!(changes(&old, &of_catalog(FACTS_TEXT, a)), [], "nothing changed");
    let facts = FACTS_TEXT
        .replace("memory-mb = 64", "memory-mb = 96")
        .replace("uid = 20001 }", "uid = 20001, capabilities = [\"net-raw\"] }\nstore = true")
        .replace("ports.mqtt = { container = 1883", "ports.mqtt = { container = 8883")
        .replace("/var/lib/x", "/var/lib/y")
        + r#"settings.size = { kind = "choice", choices = ["small", "large"], default = "small", environment = "SIZE", title = { en = "S", es = "S", ca = "S" } }"#;
    let new = of_catalog(&facts, b);
    let lines = said(&old, &new);
    assert_eq!(lines[..2], ["+Privilege cap-add=NET_RAW", "+Privilege store"]);
    assert!(lines[2].starts_with("~Image  sha256:"), "{lines:?}");
    let rest = [
        "~Port mqtt 1883/tcp mqtt>8883/tcp mqtt",
        "~Kept data /var/lib/x>/var/lib/y",
        "+Setting size small, large",
        "+Default size small",
        "~Limit memory 64 MiB>96 MiB",
    ];
    assert_eq!(lines[3..], rest);
    assert_eq!(said(&new, &old)[..2], ["-Privilege cap-add=NET_RAW", "-Privilege store"], "the way back");
    // Only a word that has no line of its own: that something differs is said all the same.
    let worded = of_catalog(&FACTS_TEXT.replace("en = \"Data\"", "en = \"Messages\""), a);
    assert_eq!(said(&old, &worded), ["~Other  >"]);
    assert_eq!(new_bytes(&entry(FACTS_TEXT, a), &entry(&facts, b)), 8, "what both have is there already");
}

#[test]
fn an_own_app_says_what_another_file_changes_and_no_value_of_its_environment() {
    let old = of_own(
        "services: { app: { image: wiki:1, ports: [\"8080:80\"], environment: { A: hidden1, DB_PASSWORD: \"${DB_PASSWORD:-hidden2}\" } } }",
    );
    assert_eq!(changes(&old, &old), []);
    let new = of_own(concat!(
        "services: { app: { image: wiki:2, ports: [\"8080:80\"], privileged: true, devices: [/dev/ttyUSB0], ",
        "volumes: [\"/srv/music:/m:ro\", \"data:/d\"], environment: { A: hidden3, ",
        "DB_PASSWORD: \"${DB_PASSWORD:-hidden4}\", SIZE: \"${SIZE:-9}\", NAME: \"${NAME:?}\" } } }\nvolumes: { data: {} }\n",
    ));
    let lines = said(&old, &new);
    let begin =
        ["+Privilege device=/dev/ttyUSB0", "+Privilege host-path-read=/srv/music", "+Privilege privileged", "~Image  wiki:1>wiki:2"];
    assert_eq!(lines[..4], begin);
    for line in
        ["+Kept data /d", "+Kept /srv/music /m (ro)", "+Must NAME", "+Default SIZE 9", "~Default DB_PASSWORD >", "~Run environment >"]
    {
        assert!(lines.iter().any(|said| said == line), "{line}: {lines:?}");
    }
    assert!(!format!("{:?}", changes(&old, &new)).contains("hidden"), "{lines:?}");
    // The service's own name stands before what it has, where there are several.
    let two = of_own("services: { app: { image: wiki:1, ports: [\"8080:80\"] }, db: { image: mariadb:11 } }");
    assert!(said(&old, &two).contains(&"+Image db mariadb:11".to_owned()));
    // Another text that means the same: it is not said that nothing is another.
    let spaced = of_own("services:  { app: { image: wiki:1 } }");
    assert_eq!(said(&of_own("services: { app: { image: wiki:1 } }"), &spaced), ["~Other  >"]);
    let only = of_own("services: { app: { image: wiki:1, ports: [\"127.0.0.1:8080:80\"] } }");
    let open = of_own("services: { app: { image: wiki:1, ports: [\"8080:80\"] } }");
    assert_eq!(said(&only, &open).iter().filter(|line| line.contains("Port") && line.contains("127.0.0.1")).count(), 1);
}

#[test]
fn values_that_nobody_typed_here_are_not_shown() {
    let version = |value: &str| {
        let compose = format!("services: {{ app: {{ image: x, environment: {{ SIZE: \"${{SIZE:-{value}}}\" }} }} }}");
        let definition = Definition { title: "x".to_owned(), compose: Some(compose), ..Definition::default() };
        let project = own::read(&definition).unwrap();
        Version::of_own(&Saved { definition, owners: true, ..Saved::default() }, &project)
    };
    assert_eq!(said(&version("one"), &version("two")), ["~Default SIZE >"]);
}

#[test]
fn a_long_or_ugly_value_is_one_short_line() {
    let line = plain(&format!("a\u{1b}[2J\n{}", "x".repeat(1000)));
    assert!(line.chars().count() == SHOWN_CHARS + 1 && !line.contains(char::is_control) && line.ends_with('…'));
}

fn version() -> impl Strategy<Value = Version> {
    use Part::{Default, Image, Kept, Limit, Must, Other, Port, Privilege, Run, Setting, Words};
    let part = prop::sample::select(vec![Privilege, Image, Port, Kept, Setting, Must, Default, Limit, Run, Words, Other]);
    let value = ("[a-c]{0,2}", any::<bool>()).prop_map(|(said, shown)| Value { said, shown });
    prop::collection::btree_map((part, "[a-c]{0,1}"), value, 0..12).prop_map(|facts| Version { whole: format!("{facts:?}"), facts })
}

proptest! {
    #[test]
    fn what_is_said_makes_the_new_version_of_the_old_one(old in version(), new in version()) {
        let all = changes(&old, &new);
        prop_assert_eq!(changes(&new, &new), []);
        prop_assert_eq!(all.is_empty(), old.whole == new.whole, "nothing is said only where nothing differs");
        prop_assert!(all.is_sorted_by_key(|change| change.part), "the gravest first");
        let mut made: BTreeMap<(Part, String), String> = old.facts.iter().map(|(key, value)| (key.clone(), value.said.clone())).collect();
        let wanted: BTreeMap<(Part, String), String> = new.facts.iter().map(|(key, value)| (key.clone(), value.said.clone())).collect();
        for change in all {
            let key = (change.part, change.name.clone());
            let hidden = |version: &Version| version.facts.get(&key).is_some_and(|value| !value.shown);
            prop_assert!(!hidden(&old) || change.was.as_deref() == Some(""), "{:?}", change);
            prop_assert!(!hidden(&new) || change.becomes.as_deref() == Some(""), "{:?}", change);
            match wanted.get(&key).filter(|_| change.becomes.is_some()) {
                Some(said) => made.insert(key, said.clone()),
                None => made.remove(&key),
            };
        }
        made.retain(|key, _| key.0 != Part::Other || wanted.contains_key(key));
        prop_assert_eq!(made, wanted);
    }
}
