//! Hostile and honest forms and compose files: what becomes of them, and why not.

use super::*;
use crate::apps::compose::{Choices, Refused};
use proptest::prelude::*;
use saphyr_parser::{Event, Parser};
use std::collections::{BTreeMap, BTreeSet};

const WIKI: &str = r#"
version: "3.8"
x-usual: &usual
  restart: always
  logging: { driver: json-file }
services:
  web:
    <<: *usual
    container_name: wiki
    image: example.org/wiki:${TAG:-1.2}
    command: ["serve", "--title", "A ${TITLE} of $$5"]
    environment:
      DB_PASSWORD: ${DB_PASSWORD:?say it}
      NULLS: "null"
      NO: "1"
    ports: ["8080:80", "127.0.0.1:8443:443", "5000-5001:6000-6001/udp"]
    volumes: ["data:/var/lib/wiki", "/cache"]
    depends_on: { db: { condition: service_healthy } }
    networks: { front: { aliases: [wiki] }, back: }
    deploy: { resources: { limits: { memory: 256M, cpus: "0.5" } } }
    stop_grace_period: 1m30s
  db:
    image: mariadb@sha256:0123456789012345678901234567890123456789012345678901234567890123
    environment: ["MYSQL_PASSWORD=${DB_PASSWORD}", "MYSQL_USER"]
    volumes: [{ type: volume, source: db, target: /var/lib/mysql }]
    healthcheck: { test: healthcheck --connect, start_period: 20s, retries: 5 }
    networks: [back]
    ulimits: { nofile: 65536 }
    secrets: [root]
    configs: [{ source: init, target: /etc/init.sql, mode: 0444 }]
configs: { init: { content: "say '${MYSQL_USER}';\n" } }
secrets: { root: { environment: ROOT_PASSWORD } }
volumes: { data: , db: { driver: local } }
networks: { front: , back: { internal: true } }
"#;

fn compose(text: &str) -> Definition {
    Definition { title: "Wiki".to_owned(), compose: Some(text.to_owned()), ..Definition::default() }
}

fn service(more: &str) -> String {
    format!("services:\n  app:\n    image: x\n{}", more.lines().map(|line| format!("    {line}\n")).collect::<String>())
}

fn wrong(text: &str) -> String {
    read(&compose(text)).unwrap_err().to_string()
}

fn said(settings: &[(&str, &str)]) -> Choices {
    Choices { settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), ..Choices::default() }
}

fn written(text: &str, settings: &[(&str, &str)], grants: &[&str]) -> Result<String, NotRun> {
    let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    write(&read(&compose(text)).unwrap(), "wiki", "cloudy-wiki", &said(settings), &grants)
}

#[test]
fn a_compose_file_becomes_a_project_of_ours() {
    let project = read(&compose(WIKI)).unwrap();
    assert!(project.asked.is_empty());
    let must: Vec<&str> = project.variables.iter().filter(|(_, v)| v.default.is_none()).map(|(name, _)| name.as_str()).collect();
    assert_eq!(must, ["DB_PASSWORD", "MYSQL_USER", "ROOT_PASSWORD", "TITLE"]);
    let ports: Vec<(&str, u16)> = project.ports().map(|port| (port.name.as_str(), port.proposed)).collect();
    assert_eq!(ports, [("tcp-80", 8080), ("tcp-443", 8443), ("udp-6000", 5000), ("udp-6001", 5001)]);
    let none = BTreeSet::new();
    assert_eq!(
        write(&project, "wiki", "cloudy-wiki", &Choices::default(), &none),
        Err(NotRun::Choice(Refused::Missing("DB_PASSWORD".to_owned())))
    );
    let choices = said(&[("DB_PASSWORD", "se$cret: \"x\""), ("MYSQL_USER", "wiki"), ("ROOT_PASSWORD", "root"), ("TITLE", "Garden")]);
    let text = write(&project, "wiki", "cloudy-wiki", &choices, &none).unwrap();
    expect_test::expect_file!["../golden/own.compose.yaml"].assert_eq(&text);
    assert_eq!(images(&project, &choices).unwrap().len(), 2);
}

#[test]
fn a_form_becomes_a_project_of_ours() {
    let form = Form {
        image: "example.org:5000/garden/broker:2".to_owned(),
        entrypoint: vec!["/start".to_owned(), "-x".to_owned()],
        command: vec!["run".to_owned(), "$HOME".to_owned()],
        ports: vec![FormPort { container: 1883, proposed: None, protocol: crate::apps::Protocol::Both, scheme: None }],
        environment: [("A".to_owned(), Some("a$b".to_owned())), ("B".to_owned(), None)].into(),
        volumes: vec![FormVolume { source: "data".to_owned(), path: "/data/".to_owned(), read_only: true }],
        memory_mb: Some(64),
        ..Form::default()
    };
    let definition = Definition { title: "Broker".to_owned(), form: Some(form.clone()), ..Definition::default() };
    let json = serde_json::to_string(&definition).unwrap();
    assert_eq!(serde_json::from_str::<Definition>(&json).unwrap(), definition);
    let project = read(&definition).unwrap();
    let text = write(&project, "broker", "cloudy-broker", &said(&[("B", "b")]), &BTreeSet::new()).unwrap();
    for line in [
        "image: \"example.org:5000/garden/broker:2\"",
        "- \"$$HOME\"",
        "- \"/start\"",
        "\"A\": \"a$$b\"",
        "\"B\": \"b\"",
        "read_only: true",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(text.contains("mem_limit: \"67108864b\"") && text.contains("no-new-privileges:true"), "{text}");
    // Beyond its container it has nothing that nobody allowed.
    let form = Form {
        devices: vec!["/dev/ttyUSB0".to_owned()],
        volumes: vec![FormVolume { source: "/srv/music".to_owned(), path: "/music".to_owned(), read_only: true }],
        capabilities: vec!["chown".to_owned(), "NET_ADMIN".to_owned()],
        privileged: true,
        network: FormNetwork::Host,
        ports: Vec::new(),
        ..form
    };
    let project = read(&Definition { form: Some(form), ..definition.clone() }).unwrap();
    let asked: Vec<String> = project.asked.iter().map(|asked| asked.privilege.to_string()).collect();
    assert_eq!(asked, ["host-path-read=/srv/music", "device=/dev/ttyUSB0", "cap-add=NET_ADMIN", "host-network", "privileged"]);
    let refused = write(&project, "broker", "cloudy-broker", &said(&[("B", "b")]), &BTreeSet::new()).unwrap_err().to_string();
    assert!(
        refused.contains("an owner of this node may allow") && refused.contains("cloudy app allow broker device=/dev/ttyUSB0"),
        "{refused}"
    );
    let grants: BTreeSet<Privilege> = asked.iter().map(|text| text.parse().unwrap()).collect();
    assert!(write(&project, "broker", "cloudy-broker", &said(&[("B", "b")]), &grants).unwrap().contains("/dev/ttyUSB0:/dev/ttyUSB0:rwm"));
    for (form, words) in [
        (Form { image: "X".to_owned(), ..Form::default() }, "`image`: `X` is no name of an image"),
        (Form { image: "x".to_owned(), devices: vec!["/dev/sda".to_owned()], ..Form::default() }, "whoever allows it"),
        (Form { image: "x".to_owned(), environment: [("A=B".to_owned(), None)].into(), ..Form::default() }, "environment.A=B"),
    ] {
        let error = read(&Definition { form: Some(form), ..definition.clone() }).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_is_not_understood_is_refused_with_its_line_and_column() {
    for (text, words) in [
        (service("env_file: .env"), "line 4, column 5: `services.app.env_file`: files beside this one are not read"),
        (service("build: ."), "a node builds no images"),
        (service("extends: { file: /etc/passwd }"), "other files are not read"),
        (service("imgae: y"), "did you mean `image`?"),
        (service("configs: [x]"), "there is no config `x` in this file"),
        (service("secrets: [x]"), "there is no secret `x` in this file"),
        (service("configs: [{ source: x, target: /proc }]"), "no absolute path in the container"),
        (service("userns_mode: host"), "no app sets it, whoever allows it"),
        (service("runtime: nvidia"), "whoever allows it"),
        (service("network_mode: container:cloudy-other-app-1"), "`container:cloudy-other-app-1`: an app has its own network"),
        (service("pid: \"container:x\""), "line 4, column 10: `services.app.pid`"),
        (service("volumes: [./data:/data]"), "no files are: use a named volume"),
        (service("volumes: [\"data:/data\"]"), "there is no volume `data` in this file"),
        (service("volumes: [\"${HOME}:/data\"]"), "write the value itself"),
        (service("ports: [\"80:80:80:80\"]"), "this is no port"),
        (service("ports: [\"1-100:1-100\"]"), "this is no port"),
        (service("restart: always\nrestart: no"), "line 5, column 5: `restart`: this key is given twice"),
        (service("a.privileged: true"), "`a.privileged` is not understood"),
        (service("security_opt: [\"seccomp=/etc/passwd\"]"), "files with profiles are not read"),
        (service("healthcheck: { test: [rm] }"), "CMD-SHELL"),
        (service("depends_on: { x: { condition: service_completed_successfully } }"), "every service of an app runs on"),
        (service("environment: { A: !vault x }"), "tags"),
        (service("environment: [\"A=${B:-${C}}\"]"), "a `$` inside"),
        (service("environment: [\"A=${B\"]"), "has no `}`"),
        (service("environment: [\"A=${B:+x}\"]"), "alone"),
        (service("environment: [\"A=${B:-x}\", \"C=${B:-y}\"]"), "two defaults"),
        ("include: [/etc/passwd]\n".to_owned() + &service(""), "line 1, column 1: `include`: other files are not read"),
        (
            "configs: { x: { file: /etc/shadow } }\n".to_owned() + &service(""),
            "line 1, column 23: `configs.x.file`: files of the node are not read",
        ),
        ("configs: { x: }\n".to_owned() + &service(""), "`content` or `environment` is needed"),
        ("secrets: { x: { external: true } }\n".to_owned() + &service(""), "files of the node are not read"),
        ("secrets: { x: { file: /etc/shadow } }\n".to_owned() + &service(""), "files of the node are not read"),
        (service("") + "volumes: { x: { driver_opts: { device: /, o: bind } } }", "an owner can allow it"),
        (service("") + "volumes: { x: { external: true } }", "reaches those of no other"),
        (service("") + "volumes: { x: { name: cloudy-other_data } }", "reaches those of no other"),
        (service("") + "networks: { x: { external: true } }", "reaches those of no other"),
        (service("") + "networks: { x: { driver: host } }", "`bridge`"),
        (service("") + "networks: { x: { name: host } }", "reaches those of no other"),
        ("services: {}".to_owned(), "at least one service"),
        ("services: [".to_owned(), "this is no YAML"),
        ("a: 1\n---\nb: 1".to_owned(), "line 2, column 1: a second document"),
        ("[a]".to_owned(), "a table of keys belongs here"),
        (String::new(), "nothing stands here"),
        ("services: { app: { command: x } }".to_owned(), "has no `image`"),
    ] {
        let error = wrong(&text);
        assert!(error.contains(words), "{text}\n{error}");
    }
}

#[test]
fn each_privilege_is_asked_for_by_its_name_and_place() {
    for (more, privilege) in [
        ("privileged: true", "privileged"),
        ("network_mode: host", "host-network"),
        ("pid: host", "host-pid"),
        ("ipc: host", "host-ipc"),
        ("volumes: [\"/srv//music/:/music\"]", "host-path=/srv/music"),
        ("volumes: [\"/srv/music:/music:ro\"]", "host-path-read=/srv/music"),
        ("volumes: [{ type: bind, source: /mnt, target: /x }]", "host-path=/mnt"),
        ("devices: [\"/dev/ttyUSB0:/dev/x\"]", "device=/dev/ttyUSB0"),
        ("cap_add: [cap_net_admin]", "cap-add=NET_ADMIN"),
        ("sysctls: [net.ipv4.ip_forward=1]", "sysctl=net.ipv4.ip_forward=1"),
        ("security_opt: [\"apparmor:unconfined\"]", "security-opt=apparmor=unconfined"),
    ] {
        let text = service(more);
        let project = read(&compose(&text)).unwrap_or_else(|error| panic!("{error}"));
        let asked: Vec<String> = project.asked.iter().map(|asked| asked.privilege.to_string()).collect();
        assert_eq!(asked, [privilege]);
        assert_eq!(privilege.parse::<Privilege>().unwrap().to_string(), privilege);
        let key = more.split(':').next().unwrap();
        let refused = written(&text, &[], &[]).unwrap_err().to_string();
        assert!(refused.starts_with("line 4, column "), "{refused}");
        assert!(refused.contains(&format!("`services.app.{key}")) && refused.contains("an owner of this node may allow"), "{refused}");
        assert!(written(&text, &[], &[privilege]).is_ok());
        // One privilege is not another.
        assert!(written(&text, &[], &["host-path=/srv/other", "device=/dev/ttyUSB1", "cap-add=SYS_TIME"]).is_err());
    }
    let harmless = service("cap_add: [CHOWN]\ncap_drop: [ALL]\nsecurity_opt: [\"no-new-privileges:true\"]\nipc: private");
    assert!(read(&compose(&harmless)).unwrap().asked.is_empty());
    // What an owner allowed is not made another thing by what somebody says later.
    let open = "services: { app: { image: \"${IMAGE:-x}\", privileged: true } }";
    assert!(wrong(open).contains("has what runs written out"), "{}", wrong(open));
}

#[test]
fn what_is_the_node_s_own_nobody_allows() {
    for path in [
        "/",
        "/etc",
        "/etc/passwd",
        "/proc",
        "/sys",
        "/dev",
        "/dev/shm",
        "/run",
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/var",
        "/var/lib/cloudy",
        "/var/lib/cloudy/apps",
        "/var/lib/cloudy-broker",
        "/var/lib/cloudy-ssh",
        "/var/lib/docker",
        "/root",
        "/boot",
        "/home",
        "/home/admin",
        "/home/admin/.ssh",
        "/srv/../etc",
        "/srv/./x",
        "/srvx",
        "srv",
        "",
        "/mnt/\n",
        "/mnt/a:b",
        "/mnt/$x",
        "/usr/share",
    ] {
        assert!(path_refused(path).is_some(), "{path}");
        assert!(
            format!("host-path={path}").parse::<Privilege>().is_err() && format!("host-path-read={path}").parse::<Privilege>().is_err()
        );
        let text = service(&format!("volumes: [{{ type: bind, source: {}, target: /x }}]", serde_json::to_string(path).unwrap()));
        assert!(read(&compose(&text)).is_err(), "{path}");
    }
    for device in [
        "/dev",
        "/dev/sda",
        "/dev/sda1",
        "/dev/mem",
        "/dev/mmcblk0p1",
        "/dev/nvme0n1",
        "/dev/dm-0",
        "/dev/disk/by-id/x",
        "/dev/loop0",
        "/dev/../etc",
        "/dev/serial/by-id/",
        "/dev/serial/by-id/../../sda",
        "/dev/watchdog",
    ] {
        assert!(format!("device={device}").parse::<Privilege>().is_err(), "{device}");
        assert!(read(&compose(&service(&format!("devices: [\"{device}\"]")))).is_err(), "{device}");
    }
    assert!(path_refused("/home/ana/music").is_none() && path_refused("/mnt").is_none());
    for sysctl in ["kernel.core_pattern=x", "vm.overcommit_memory=1", "net.x=a\nb"] {
        assert!(format!("sysctl={sysctl}").parse::<Privilege>().is_err(), "{sysctl}");
    }
    for cap in ["cap-add=ALL", "cap-add=CHOWN", "cap-add=x y"] {
        assert!(cap.parse::<Privilege>().is_err(), "{cap}");
    }
}

#[test]
fn aliases_are_bounded() {
    let mut bomb = "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..6 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("x-{level}: &a{level} [{list}]\n"));
    }
    let begun = std::time::Instant::now();
    assert!(wrong(&bomb).contains("more than 10000 values"), "{}", wrong(&bomb));
    assert!(wrong(&("a: ".to_owned() + &"[".repeat(200))).contains("deeper than"), "deep");
    assert!(wrong("a: &a [*a]").contains("not whole yet") || wrong("a: &a [*a]").contains("YAML"));
    assert!(wrong(&"x".repeat(TEXT_BYTES + 1)).contains("are allowed"));
    for piece in [
        "[", "{", "- ", "? ", "&a ", "*a ", "\"", "'", "a:\n", "a: ", "!!x ", "# ", "|\n", "\\", "a,", "[a,", "{a: ", "%a\n", "---\n",
        "\u{feff}", " ", "\t", "\n", "a\n ",
    ] {
        let _ = read(&compose(&piece.repeat(TEXT_BYTES / piece.len())));
    }
    assert!(begun.elapsed().as_secs() < 10);
}

#[test]
fn what_compose_understood_is_looked_at_again() {
    let grants: BTreeSet<Privilege> =
        ["host-path-read=/srv/music", "device=/dev/ttyUSB0", "cap-add=NET_ADMIN"].iter().map(|g| g.parse().unwrap()).collect();
    let check = |service: &str, top: &str| {
        let json = format!(
            "{{\"name\":\"cloudy-x\",\"services\":{{\"app\":{service}}},\"networks\":{{\"default\":{{\"name\":\"cloudy-x_default\",\"ipam\":{{}}}}}}{top}}}"
        );
        check_normalised(&json, "cloudy-x", &grants)
    };
    check(r#"{"image":"x","command":null,"networks":{"default":null},"cap_add":["CHOWN","NET_ADMIN"],"devices":["/dev/ttyUSB0:/dev/x:rwm"],
        "volumes":[{"type":"bind","source":"/srv/music","target":"/m","read_only":true,"bind":{"create_host_path":false}},{"type":"volume","source":"d","target":"/d","volume":{}}]}"#, r#","volumes":{"d":{"name":"cloudy-x_d"}}"#).unwrap();
    for (service, top) in [
        (r#"{"image":"x","privileged":true}"#, ""),
        (r#"{"image":"x","network_mode":"host"}"#, ""),
        (r#"{"image":"x","network_mode":"container:y"}"#, ""),
        (r#"{"image":"x","pid":"host"}"#, ""),
        (r#"{"image":"x","ipc":"host"}"#, ""),
        (r#"{"image":"x","userns_mode":"host"}"#, ""),
        (r#"{"image":"x","cap_add":["SYS_ADMIN"]}"#, ""),
        (r#"{"image":"x","cap_add":["ALL"]}"#, ""),
        (r#"{"image":"x","devices":["/dev/ttyUSB1:/dev/x:rwm"]}"#, ""),
        (r#"{"image":"x","devices":[{"source":"/dev/sda","target":"/dev/x"}]}"#, ""),
        (r#"{"image":"x","sysctls":{"net.a":"1"}}"#, ""),
        (r#"{"image":"x","security_opt":["seccomp=unconfined"]}"#, ""),
        (r#"{"image":"x","volumes":[{"type":"bind","source":"/srv/music","target":"/m"}]}"#, ""),
        (r#"{"image":"x","volumes":[{"type":"bind","source":"/etc","target":"/m","read_only":true}]}"#, ""),
        (r#"{"image":"x","volumes":[{"type":"volume","source":"/etc","target":"/m"}]}"#, ""),
        (r#"{"image":"x","build":{"context":"/etc"}}"#, ""),
        (r#"{"image":"x","secrets":[{"source":"c"}]}"#, ""),
        (r#"{"image":"x","configs":[{"source":"c"}]}"#, r#","configs":{"c":{"name":"cloudy-x_c","file":"/etc/shadow"}}"#),
        (r#"{"image":"x","configs":[{"source":"c"}]}"#, r#","configs":{"c":{"name":"cloudy-x_c","environment":"HOME"}}"#),
        (r#"{"image":"x"}"#, r#","volumes":{"d":{"name":"cloudy-other_d"}}"#),
        (r#"{"image":"x"}"#, r#","volumes":{"d":{"name":"cloudy-x_d","driver_opts":{"device":"/"}}}"#),
        (r#"{"image":"x"}"#, r#","volumes":{"d":{"name":"cloudy-x_d","external":true}}"#),
        (r#"{"image":"x"}"#, r#","secrets":{"s":{"file":"/etc/shadow"}}"#),
    ] {
        assert!(check(service, top).is_err(), "{service} {top}");
    }
    assert!(check_normalised("{}", "cloudy-x", &grants).is_err() && check_normalised("no", "cloudy-x", &grants).is_err());
    assert!(check_normalised(r#"{"name":"other","services":{}}"#, "cloudy-x", &grants).is_err());
}

#[test]
fn images_are_named_as_docker_names_them() {
    let digest = "0".repeat(64);
    for good in ["x", "x:1", "a/b", "example.org/a/b:T_1.2-3", "localhost:5000/x", "x@sha256:", "10.0.0.1:80/a__b"] {
        let good = if good.ends_with(':') { format!("{good}{digest}") } else { good.to_owned() };
        assert!(is_image(&good), "{good}");
    }
    for bad in [
        "",
        "X",
        "x:",
        "x:a b",
        "/x",
        "x/",
        "a//b",
        "-x",
        "x@sha256:12",
        "x y",
        "x\n",
        "--x",
        "a:b/c:d:e",
        "example.org:999999/x",
        "http://x",
        "é",
    ] {
        assert!(!is_image(bad), "{bad}");
    }
}

/// All scalars of a YAML text that another parser reads, in order.
fn scalars(text: &str) -> Vec<String> {
    let events = Parser::new_from_str(text).map(|event| event.unwrap().0);
    events
        .filter_map(|event| match event {
            Event::Scalar(text, ..) => Some(text.into_owned()),
            Event::Alias(_) => panic!("no alias is written"),
            _ => None,
        })
        .collect()
}

/// Pieces of compose files, some of them hostile.
fn piece() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "services:",
        "  app:",
        "    image: x",
        "    image: ${A}",
        "    privileged: true",
        "    volumes: [\"/:/x\"]",
        "    volumes:",
        "      - /srv:/x:ro",
        "      - type: bind",
        "        source: /etc",
        "    <<: *a",
        "x-a: &a",
        "  - ${A:-$B}",
        "volumes: {d: }",
        "    network_mode: host",
        "    ports: [\"80\"]",
        "\t",
        "---",
        "{",
        "}",
        "[",
        "&a",
        "*a",
        "? a",
        ": b",
        "\"",
        "'",
        "|",
        ">",
        "!x y",
        "%YAML 1.2",
        "    env_file: /etc/passwd",
        "    environment: {A: \"$$\"}",
        "\u{feff}",
        "\u{0}",
        "é\u{2028}",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(512), ..ProptestConfig::default() })]

    /// Whatever a file says: no panic, within a bound, and what comes out has only what was understood and allowed.
    #[test]
    fn no_text_is_too_much(lines in prop::collection::vec(prop_oneof![piece(), "\\PC{0,20}", "[ -~\n]{0,30}"], 0..40)) {
        if let Ok(project) = read(&compose(&lines.join("\n"))) {
            let said: BTreeMap<String, String> = project.variables.keys().map(|name| (name.clone(), "v".to_owned())).collect();
            let choices = Choices { settings: said, ..Choices::default() };
            if let Ok(text) = write(&project, "x", "cloudy-x", &choices, &BTreeSet::new()) {
                for word in ["privileged: true", "type: bind", "network_mode: \"host\"", "env_file", "devices:", "pid:", "ipc:"] {
                    prop_assert!(!text.contains(word), "{}", text);
                }
            }
        }
    }

    /// Every text that a person may write comes to compose as it is.
    #[test]
    fn texts_come_through(value in "\\PC{0,40}", said in "\\PC{0,40}", name in "[a-z][a-z0-9_.-]{0,10}") {
        let yaml = serde_json::to_string(&value.replace('$', "$$")).unwrap();
        let text = format!("services:\n  {name}:\n    image: x\n    environment:\n      A: {yaml}\n      B: ${{B}}\n");
        let Ok(project) = read(&compose(&text)) else { return Ok(()) };
        let choices = Choices { settings: [("B".to_owned(), said.clone())].into(), ..Choices::default() };
        if let Ok(text) = write(&project, "x", "cloudy-x", &choices, &BTreeSet::new()) {
            let all = scalars(&text);
            prop_assert!(all.contains(&value.replace('$', "$$")) && all.contains(&said.replace('$', "$$")), "{}", text);
        }
    }

    /// What is granted names nothing of the node's own, whatever is said.
    #[test]
    fn no_grant_reaches_the_node_s_own(text in "(host-path|host-path-read|device)=/[a-z./:~$ -]{0,20}") {
        if let Ok(Privilege::HostPath(path) | Privilege::HostPathRead(path) | Privilege::Device(path)) = text.parse::<Privilege>() {
            prop_assert!(!path.contains("..") && !path.contains(':') && path != "/" && path != "/dev" && !path.starts_with("/etc"));
        }
    }
}
