//! Tests of `app.toml` and of the compose project.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;
use saphyr_parser::{Event, Parser};

use super::compose::{Choices, ImageName, Refused, compose};
use super::*;

const GOOD: &str = r#"
category = "messages"
title = { en = "Broker", es = "Intermediario", ca = "Intermediari" }
description = { en = "One.", es = "Uno.", ca = "Un." }

[image]
packages = ["mosquitto"]

[run]
command = ["/usr/sbin/mosquitto", "-c", "/run/m.conf"]
user = "mosquitto"
uid = 20001

[ports.mqtt]
container = 1883
scheme = "mqtt"

[volumes.data]
path = "/var/lib/mosquitto"
title = { en = "Messages", es = "Mensajes", ca = "Missatges" }

[settings.user]
kind = "text"
default = "friends"
environment = "MQTT_USER"
title = { en = "User", es = "Usuario", ca = "Usuari" }

[settings.password]
kind = "password"
environment = "MQTT_PASSWORD"
title = { en = "Password", es = "Contraseña", ca = "Contrasenya" }

[health]
port = "mqtt"

[limits]
memory-mb = 64
"#;

fn app(text: &str) -> Result<App, String> {
    read(Path::new("images/apps/broker/app.toml"), text).map_err(|error| error.to_string())
}

fn image() -> ImageName {
    ImageName::new("127.0.0.1:5000", &format!("sha256:{}", "ab".repeat(32))).unwrap()
}

fn with_password(password: &str) -> Choices {
    Choices { settings: BTreeMap::from([("password".to_owned(), password.to_owned())]), ..Choices::default() }
}

#[test]
fn a_good_file_is_read_with_its_defaults() {
    let app = app(GOOD).unwrap();
    assert_eq!(app.name, "broker");
    assert_eq!(app.architectures, Arch::ALL);
    assert_eq!(app.title.in_language("ca"), "Intermediari");
    assert_eq!(app.title.in_language("de"), "Broker");
    assert_eq!((app.ports["mqtt"].proposed, app.ports["mqtt"].protocol), (1883, Protocol::Tcp));
    assert_eq!(app.limits, Limits { memory_mb: 64, processes: 100, cpu_percent: 100 });
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_the_nearest() {
    let at = "images/apps/broker/app.toml:";
    for (from, to, wanted) in [
        ("category =", "categry =", "2:1: unknown key `categry`; did you mean `category`?"),
        ("\"messages\"", "\"mesages\"", "2:12: unknown value `mesages`; did you mean `messages`?"),
        ("packages = [", "packges = [", "7:1: unknown key `packges`; did you mean `packages`?"),
        ("[\"mosquitto\"]", "[\"Mosquitto\"]", "7:13: `Mosquitto` is no package name"),
        ("\"/usr/sbin/mosquitto\"", "\"mosquitto\"", "10:11: a command is an absolute path"),
        ("20001", "1000", "12:7: apps' users are numbered 20000 to 29999"),
        ("es = \"Uno.\", ", "", "4:15: missing field `es`"),
        ("\"Uno.\"", "\"\"", "4:15: `es` is no line"),
        ("[ports.mqtt]", "[ports.MQTT]", "14:8: `MQTT` is no name of a port"),
        ("container = 1883", "container = 0", "15:13: 0 is no port"),
        ("\"/var/lib/mosquitto\"", "\"/var/../etc\"", "19:8: `/var/../etc` is no absolute, normal path"),
        ("kind = \"text\"\n", "kind = \"number\"\n", "24:11: a whole number from 0"),
        ("kind = \"password\"\n", "kind = \"password\"\ndefault = \"x\"\n", "30:11: a secret has no default"),
        ("kind = \"password\"\n", "kind = \"password\"\nleast = 1\n", "29:8: `least` or `most` has no meaning"),
        ("\"MQTT_PASSWORD\"", "\"MQTT_USER\"", "25:15: `MQTT_USER` is given twice"),
        ("port = \"mqtt\"", "port = \"mqt\"", "34:8: no port is called `mqt`; did you mean `mqtt`?"),
        ("memory-mb = 64", "memory-mb = 1", "37:13: 1 is not between 8 and 65536"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD, "{from}");
        let error = app(&text).unwrap_err();
        assert!(error.starts_with(&format!("{at}{wanted}")), "{error}\nshould begin with\n{at}{wanted}");
    }
    assert!(read(Path::new("images/apps/No/app.toml"), GOOD).is_err());
}

#[test]
fn the_project_of_an_app_is_this() {
    let yaml = compose(&app(GOOD).unwrap(), "broker-2", &image(), &with_password("a$b\"")).unwrap().yaml();
    expect_test::expect_file!["golden/compose.yaml"].assert_eq(&yaml);
}

#[test]
fn an_app_that_uses_the_store_is_given_its_own_folder_and_no_other() {
    let with = GOOD.replacen("[image]", "store = true\n[image]", 1);
    let project = |text: &str| compose(&app(text).unwrap(), "broker-2", &image(), &with_password("x")).unwrap();
    let (its, none) = (project(&with), project(&with.replacen("= true", "= false", 1)));
    assert_eq!((its.store.as_deref(), none.store), (Some("broker"), None));
    let yaml = its.yaml();
    let bind =
        "      - type: bind\n        source: \"/var/lib/cloudy-stores/broker\"\n        target: \"/run/cloudy\"\n        read_only: true\n";
    assert!(yaml.contains(bind) && yaml.matches("type: bind").count() == 1, "{yaml}");
    assert!(!project(GOOD).yaml().contains("bind"));
    // The store's names are shorter than those of apps; no other key says a path.
    let long = read(Path::new("images/apps/a-name-of-21-characters/app.toml"), &with).unwrap_err().to_string();
    assert!(long.contains("has a name of 20 characters at most"), "{long}");
    assert!(app(&with.replacen("= true", "= \"/etc\"", 1)).is_err());
}

#[test]
fn what_the_app_does_not_have_or_take_is_refused() {
    let app = app(GOOD).unwrap();
    let with = |choices: Choices| compose(&app, "b", &image(), &choices).unwrap_err();
    assert_eq!(with(Choices::default()), Refused::Missing("password".into()));
    assert_eq!(with(with_password("")), Refused::Missing("password".into()));
    assert!(matches!(with(with_password("a\nb")), Refused::Value { .. }));
    let mut choices = with_password("x");
    choices.ports.insert("mqt".into(), 1);
    assert!(matches!(with(choices.clone()), Refused::Unknown { what: "port", .. }));
    choices.ports = BTreeMap::from([("mqtt".into(), 0)]);
    assert_eq!(with(choices), Refused::Port(0, "mqtt".into()));
    assert!(matches!(compose(&app, "../x", &image(), &with_password("x")), Err(Refused::Name(_))));
    for (registry, digest) in [("127.0.0.1:5000", "latest"), ("a b", &format!("sha256:{}", "0".repeat(64))), ("a", "sha256:AB")] {
        assert!(ImageName::new(registry, digest).is_err(), "{registry} {digest}");
    }
}

/// Paths of keys and list items → scalars, as a YAML parser reads them.
fn leaves(yaml: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    // Each open collection: its path, and of a mapping the key that waits for its value; of a list the next index.
    let mut open: Vec<(String, Option<usize>, Option<String>)> = Vec::new();
    let child = |open: &mut Vec<(String, Option<usize>, Option<String>)>| match open.last_mut() {
        None => String::new(),
        Some((path, Some(index), _)) => {
            *index += 1;
            format!("{path}/{}", *index - 1)
        }
        Some((path, None, key)) => format!("{path}/{}", key.take().unwrap()),
    };
    for event in Parser::new_from_str(yaml) {
        match event.unwrap().0 {
            Event::MappingStart(..) => {
                let path = child(&mut open);
                open.push((path, None, None));
            }
            Event::SequenceStart(..) => {
                let path = child(&mut open);
                open.push((path, Some(0), None));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
            }
            Event::Scalar(text, ..) => match open.last_mut() {
                Some((_, None, key @ None)) => *key = Some(text.into_owned()),
                _ => found.push((child(&mut open), text.into_owned())),
            },
            _ => {}
        }
    }
    found
}

proptest! {
    /// Whatever a form says, the project is the one of a harmless value but for that one text.
    #[test]
    fn no_value_of_a_form_escapes(value in prop_oneof!["\\PC{1,60}", "[\"'\\\\${}:#&*!|>%@`,\\[\\]\\- a-c]{1,40}"], port in 1u16..) {
        let app = app(GOOD).unwrap();
        let mut choices = with_password(&value);
        choices.ports.insert("mqtt".into(), port);
        let yaml = match compose(&app, "b", &image(), &choices) {
            Ok(project) => project.yaml(),
            Err(Refused::Value { .. }) => return Ok(()),
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let mut harmless = with_password("x");
        harmless.ports.insert("mqtt".into(), port);
        let (got, plain) = (leaves(&yaml), leaves(&compose(&app, "b", &image(), &harmless).unwrap().yaml()));
        prop_assert_eq!(got.len(), plain.len());
        for ((path, text), (same, plain)) in got.iter().zip(&plain) {
            prop_assert_eq!(path, same);
            if path == "/services/app/environment/MQTT_PASSWORD" {
                // Compose reads `$$` as `$`, and nothing else of it.
                prop_assert!(!text.replace("$$", "").contains('$'));
                prop_assert_eq!(&text.replace("$$", "$"), &value);
            } else {
                prop_assert_eq!(text, plain);
            }
        }
        prop_assert!(yaml.is_ascii());
    }

    #[test]
    fn mutated_files_never_panic(at in 0usize..1000, byte in 0u8..128) {
        let mut bytes = GOOD.as_bytes().to_vec();
        let len = bytes.len();
        bytes[at % len] = byte;
        if let Ok(app) = app(&String::from_utf8_lossy(&bytes)) {
            let _ = compose(&app, "b", &image(), &with_password("x")).map(|project| project.yaml());
        }
    }
}
