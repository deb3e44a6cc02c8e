//! What containers are as apps: as Docker tells of some, and whatever it tells.

use super::*;
use contract::apps::compose::Choices;
use proptest::prelude::*;
use serde_json::json;

const ID: &str = "0123456789ab0000000000000000000000000000000000000000000000000000";

fn image() -> Value {
    json!({ "Id": "sha256:1", "RepoTags": ["site:1"], "RepoDigests": [],
        "Config": { "Env": ["PATH=/bin"], "Entrypoint": ["/start"], "Cmd": ["serve"], "User": "web", "WorkingDir": "/site", "Labels": { "a": "b" } } })
}

/// `docker run --name site -p 8080:80 -v data:/data -e PASSWORD=se-cret --memory 64m --restart always site:1`
fn container() -> Value {
    json!({
        "Id": ID, "Name": "/site", "Image": "sha256:1", "State": { "Status": "running", "Running": true },
        "Config": { "Hostname": &ID[..12], "Image": "site:1", "Env": ["PATH=/bin", "PASSWORD=se-cret"], "Entrypoint": ["/start"], "Cmd": ["serve"],
            "User": "web", "WorkingDir": "/site", "Labels": { "a": "b" }, "Tty": false },
        "HostConfig": { "NetworkMode": "bridge", "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] }, "Memory": 67_108_864,
            "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 }, "Binds": ["data:/data"], "ShmSize": 67_108_864, "Runtime": "runc",
            "IpcMode": "private", "MaskedPaths": ["/proc/asound"], "ReadonlyPaths": ["/proc/bus"], "LogConfig": { "Type": "json-file" } },
        "Mounts": [{ "Type": "volume", "Name": "data", "Source": "/x", "Destination": "/data", "RW": true, "Driver": "local" }],
        "NetworkSettings": { "Networks": { "bridge": {} } },
    })
}

fn around() -> Around {
    Around { plain: ["data", "more"].map(str::to_owned).into(), ..Around::default() }
}

/// What becomes of it with these changes: places as `/a/b`, and what stands there.
fn with(changes: &[(&str, Value)]) -> Taken {
    let mut container = container();
    for (place, value) in changes {
        let (parent, key) = place.rsplit_once('/').unwrap();
        container.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    taken(&container, &image(), &around())
}

#[test]
fn a_container_is_taken_over_as_it_was_started() {
    let taken = with(&[]);
    assert_eq!(taken.not, [], "{taken:?}");
    let form = Form {
        image: "site:1".to_owned(),
        ports: vec![FormPort { container: 80, proposed: Some(8080), protocol: Protocol::Tcp, scheme: None }],
        environment: [("PASSWORD".to_owned(), Some("se-cret".to_owned()))].into(),
        volumes: vec![FormVolume { source: "data".to_owned(), path: "/data".to_owned(), read_only: false }],
        memory_mb: Some(64),
        ..Form::default()
    };
    assert_eq!(taken.form, form, "what the image says is not said again");
    assert_eq!(taken.carried, [Carried { from: "data".to_owned(), target: "/data".to_owned(), to: "data".to_owned() }]);
    assert_eq!(taken.was, Was { up: true, restart: "always".to_owned(), retries: 0 });
    assert!(taken.differs.iter().any(|line| line.contains("one now")) && !taken.differs.iter().any(|line| line.contains("1024")));
}

#[test]
fn what_a_form_can_say_it_says() {
    let taken = with(&[
        ("/Config/User", json!("1000:1000")),
        ("/HostConfig/NetworkMode", json!("host")),
        ("/NetworkSettings/Networks", json!({ "host": {} })),
        ("/HostConfig/Privileged", json!(true)),
        ("/HostConfig/SecurityOpt", json!(["label=disable"])),
        ("/HostConfig/MaskedPaths", json!([])),
        ("/HostConfig/CapAdd", json!(["CAP_NET_ADMIN"])),
        ("/HostConfig/NanoCpus", json!(1_500_000_000)),
        ("/HostConfig/Devices", json!([{ "PathOnHost": "/dev/ttyUSB0", "PathInContainer": "/dev/ttyACM0", "CgroupPermissions": "rwm" }])),
        ("/Mounts", json!([{ "Type": "bind", "Source": "/srv/music", "Destination": "/music", "RW": false, "Propagation": "rprivate" }])),
    ]);
    assert_eq!(taken.not, [], "{taken:?}");
    let form = &taken.form;
    assert_eq!(
        (form.user.as_deref(), form.network, form.privileged, form.cpu_percent),
        (Some("1000:1000"), FormNetwork::Host, true, Some(150))
    );
    assert_eq!(
        (&form.capabilities[..], &form.devices[..]),
        (&["CAP_NET_ADMIN".to_owned()][..], &["/dev/ttyUSB0:/dev/ttyACM0".to_owned()][..])
    );
    // An owner is asked for each of them, as for anybody's app.
    let asked = own::read(&taken.definition(None)).unwrap().asked;
    let asked: Vec<String> = asked.iter().map(|asked| asked.privilege.to_string()).collect();
    assert_eq!(asked, ["host-path-read=/srv/music", "device=/dev/ttyUSB0", "cap-add=NET_ADMIN", "host-network", "privileged"]);
    let user = with(&[("/Config/User", json!(""))]).form.user;
    assert_eq!(user.as_deref(), Some("0"), "root, where the image says another");
}

#[test]
fn what_can_t_be_taken_over_is_named_with_its_reason() {
    let volume = |more: Value| {
        let mut volume = container()["Mounts"][0].clone();
        volume.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([volume])
    };
    let cases = [
        ("/HostConfig/AutoRemove", json!(true), "AutoRemove", "no way back"),
        ("/Config/Labels", json!({ PROJECT_LABEL: "blog" }), "labels", "save its compose file"),
        ("/Config/Labels", json!({ "com.docker.swarm.service.name": "x" }), "labels", "swarm"),
        ("/State/Status", json!("paused"), "State", "`paused`"),
        ("/HostConfig/NetworkMode", json!("lan"), "NetworkMode", "`lan`"),
        ("/HostConfig/NetworkMode", json!("container:x"), "NetworkMode", "others"),
        ("/NetworkSettings/Networks", json!({ "bridge": {}, "lan": {} }), "Networks", "`lan`"),
        ("/HostConfig/PortBindings", json!({ "80/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "80" }] }), "ports.80/tcp", "everywhere"),
        ("/HostConfig/PortBindings", json!({ "80/tcp": [{ "HostPort": "80" }, { "HostPort": "81" }] }), "ports.80/tcp", "several"),
        ("/HostConfig/PortBindings", json!({ "80/tcp": [{ "HostPort": "80-90" }] }), "ports.80/tcp", "several"),
        ("/HostConfig/PortBindings", json!({ "80/sctp": [{ "HostPort": "80" }] }), "ports.80/sctp", "TCP and UDP"),
        ("/HostConfig/PortBindings", json!({ "x": [{ "HostPort": "80" }] }), "ports.x", "no port"),
        ("/HostConfig/PublishAllPorts", json!(true), "PublishAllPorts", "form"),
        ("/HostConfig/ReadonlyRootfs", json!(true), "ReadonlyRootfs", "form"),
        ("/HostConfig/PidMode", json!("host"), "PidMode", "form"),
        ("/HostConfig/IpcMode", json!("host"), "IpcMode", "form"),
        ("/HostConfig/Runtime", json!("nvidia"), "Runtime", "form"),
        ("/HostConfig/Sysctls", json!({ "net.x": "1" }), "Sysctls", "form"),
        ("/HostConfig/Tmpfs", json!({ "/x": "" }), "Tmpfs", "form"),
        ("/HostConfig/CapDrop", json!(["ALL"]), "CapDrop", "form"),
        ("/HostConfig/SomethingNew", json!("x"), "SomethingNew", "form"),
        ("/HostConfig/SecurityOpt", json!(["apparmor=unconfined"]), "SecurityOpt", "apparmor"),
        ("/HostConfig/MaskedPaths", json!([]), "MaskedPaths", "kernel"),
        ("/HostConfig/Devices", json!([{ "PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda" }]), "devices", "whoever allows it"),
        ("/HostConfig/Devices", json!([{ "PathOnHost": "/dev/dri:/x", "PathInContainer": "" }]), "devices", "can't be written"),
        ("/HostConfig/Devices", json!([{ "PathOnHost": "/dev/ttyUSB0", "CgroupPermissions": "r" }]), "devices", "can't be written"),
        ("/HostConfig/Devices", json!([{ "PathOnHost": "/dev/ttyUSB0", "CgroupPermissions": "rww" }]), "devices", "can't be written"),
        ("/HostConfig/CapAdd", json!(["ALL"]), "capabilities", "`ALL`"),
        ("/Config/WorkingDir", json!("/other"), "WorkingDir", "another than the image's"),
        ("/Config/Healthcheck", json!({ "Test": ["NONE"] }), "Healthcheck", "another than the image's"),
        ("/Config/Hostname", json!("garden"), "Hostname", "form"),
        ("/Config/Tty", json!(true), "Tty", "form"),
        ("/Config/StopTimeout", json!(60), "StopTimeout", "form"),
        ("/Config/Env", json!([format!("KEY={}", "x".repeat(1001))]), "environment.KEY", "single line"),
        ("/Config/Env", json!(["KEY=a\nb"]), "environment.KEY", "single line"),
        ("/Config/Env", json!(["A B=c"]), "environment.A B", "letters, digits"),
        ("/Mounts", volume(json!({ "RW": false })), "volumes./data", "only reads"),
        ("/Mounts", volume(json!({ "Name": "nfs" })), "volumes./data", "another driver"),
        ("/Mounts", volume(json!({ "Type": "tmpfs" })), "volumes./data", "kind `tmpfs`"),
        (
            "/Mounts",
            json!([container()["Mounts"][0], { "Type": "bind", "Source": "/srv/x", "Destination": "/data/x" }]),
            "volumes./data",
            "lies inside",
        ),
        (
            "/Mounts",
            json!([{ "Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/s", "RW": true }]),
            "volumes",
            "whoever allows it",
        ),
        (
            "/Mounts",
            json!([{ "Type": "bind", "Source": "/srv/x", "Destination": "/s", "Propagation": "rshared" }]),
            "volumes./s",
            "seen outside",
        ),
        ("/HostConfig/Mounts", json!([{ "Target": "/data", "VolumeOptions": { "Subpath": "x" } }]), "volumes./data", "part of a volume"),
    ];
    for (place, value, what, why) in cases {
        let not = with(&[(place, value.clone())]).not;
        assert!(not.iter().any(|not| not.what == what && not.why.contains(why)), "{place} {value}: {not:?}");
        assert!(not.iter().all(|not| !not.why.contains("xxxx")), "{not:?}");
    }
    let joined = Around { joined: ["torrent".to_owned()].into(), ..around() };
    assert!(taken(&container(), &image(), &joined).not.iter().any(|not| not.why.contains("`torrent`")));
    let shared = Around { shared: [("data".to_owned(), ["other".to_owned()].into())].into(), ..around() };
    assert!(taken(&container(), &image(), &shared).not[0].why.contains("`other` has this volume too"));
}

#[test]
fn the_image_is_named_so_that_it_is_the_very_one() {
    let named = |said: &str, tags: &[&str], digests: &[&str]| {
        let image = json!({ "RepoTags": tags, "RepoDigests": digests, "Config": image()["Config"] });
        let mut container = container();
        container["Config"]["Image"] = json!(said);
        let taken = taken(&container, &image, &around());
        (taken.form.image, taken.not.len())
    };
    let digest = format!("site@sha256:{}", "1".repeat(64));
    assert_eq!(named("site", &["site:latest"], &[]), ("site".to_owned(), 0));
    // The tag was given to a newer image: that one is not what runs.
    assert_eq!(named("site:1", &["site:old"], &[&digest]), ("site:old".to_owned(), 0));
    assert_eq!(named("site:1", &[], &[&digest]), (digest, 0));
    assert_eq!(named("sha256:1", &["<none>:<none>"], &[]).0, "");
    assert!(named("site:1", &[], &[]).1 > 0);
}

#[test]
fn volumes_keep_their_names_where_those_can_be_kept() {
    let nameless = "a".repeat(64);
    let mount = |name: &str, target: &str| json!({ "Type": "volume", "Name": name, "Destination": target, "RW": true });
    let mounts = json!([mount(&nameless, "/var/lib/db"), mount("data", "/data"), mount("data", "/again"), mount("more", "/db")]);
    let mut container = container();
    container["Mounts"] = mounts;
    let around = Around { plain: [nameless.clone(), "data".to_owned(), "more".to_owned()].into(), ..Around::default() };
    let taken = taken(&container, &image(), &around);
    assert_eq!(taken.not, []);
    let names: Vec<(&str, &str)> = taken.carried.iter().map(|carried| (carried.from.as_str(), carried.to.as_str())).collect();
    assert_eq!(names, [("data", "data"), ("more", "more"), (nameless.as_str(), "db")], "each is copied once");
    assert_eq!(taken.form.volumes.len(), 4);
    // Docker tells them in another order each time.
    let mut other = container.clone();
    other["Mounts"].as_array_mut().unwrap().reverse();
    assert_eq!(super::taken(&other, &image(), &around), taken);
}

fn strings() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[a-c]{1,2}", 0..3)
}

/// Some JSON, mostly such as Docker says where it says something.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["host", "/", "/etc", "/dev/sda", "..", "x:y", "a\nb", "\u{202e}", "80/tcp", "NET_ADMIN", "/srv/x"])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key =
            prop::sample::select(vec!["HostPort", "HostIp", "80/tcp", "Name", "Destination", "Type", "Source", "RW", "PathOnHost", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..3).prop_map(|all| all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

const PLACES: [&str; 22] = [
    "/Id",
    "/Name",
    "/State",
    "/Config/Image",
    "/Config/Env",
    "/Config/Cmd",
    "/Config/Entrypoint",
    "/Config/User",
    "/Config/Labels",
    "/Config/Hostname",
    "/HostConfig/NetworkMode",
    "/HostConfig/PortBindings",
    "/HostConfig/Memory",
    "/HostConfig/CpuQuota",
    "/HostConfig/RestartPolicy",
    "/HostConfig/Devices",
    "/HostConfig/CapAdd",
    "/HostConfig/SecurityOpt",
    "/HostConfig/Privileged",
    "/HostConfig/PidMode",
    "/NetworkSettings/Networks",
    "/Mounts",
];

proptest! {
    /// What is started is, word for word, what was started: however image and container say it.
    #[test]
    fn the_same_words_are_started(program in strings(), command in strings(), its_program in strings(), its_command in strings()) {
        let mut image = image();
        (image["Config"]["Entrypoint"], image["Config"]["Cmd"]) = (json!(its_program), json!(its_command));
        let taken = {
            let mut container = container();
            (container["Config"]["Entrypoint"], container["Config"]["Cmd"]) = (json!(program), json!(command));
            taken(&container, &image, &around())
        };
        let was: Vec<String> = program.iter().chain(&command).cloned().collect();
        if was.is_empty() && !(its_program.is_empty() && its_command.is_empty()) {
            prop_assert!(!taken.not.is_empty());
        } else if taken.not.is_empty() {
            // As compose does: with a program of its own, the image's command counts no more.
            let form = &taken.form;
            let is: Vec<String> = match (form.entrypoint.is_empty(), form.command.is_empty()) {
                (true, true) => its_program.iter().chain(&its_command).cloned().collect(),
                (true, false) => its_program.iter().chain(&form.command).cloned().collect(),
                (false, _) => form.entrypoint.iter().chain(&form.command).cloned().collect(),
            };
            prop_assert_eq!(is, was);
        }
    }

    /// Whatever Docker says: no secret is told, nothing changes how it is shown, and what is taken over is a form that can be run and that
    /// has nothing of the node which an owner is not asked for.
    #[test]
    fn hostile_inspections_end_well(changes in prop::collection::vec((prop::sample::select(PLACES.to_vec()), any_json()), 1..4)) {
        let mut container = container();
        for (place, value) in &changes {
            let (parent, key) = place.rsplit_once('/').unwrap();
            if let Some(Value::Object(parent)) = container.pointer_mut(parent) {
                parent.insert(key.to_owned(), value.clone());
            }
        }
        let taken = taken(&container, &image(), &around());
        let told = format!("{} {} {}", taken.name, serde_json::to_string(&taken.not).unwrap(), taken.differs.join(" "));
        prop_assert!(!told.contains("se-cret"), "{}", told);
        prop_assert!(!told.contains('\u{202e}') && !told.chars().any(char::is_control), "{:?}", told);
        if taken.not.is_empty() {
            let project = own::read(&taken.definition(None)).unwrap();
            if project.asked.is_empty()
                && let Ok(text) = own::write(&project, "x", "cloudy-x", &Choices::default(), &Default::default())
            {
                for word in ["privileged: true", "network_mode: \"host\"", "devices:", "cap_add:", "type: bind", "unconfined"] {
                    prop_assert!(!text.contains(word), "{}", text);
                }
            }
        }
    }
}
