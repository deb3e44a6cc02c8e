//! The broker's process against a `docker` that is played: what it is started with, and what is kept of its failures. What the real
//! one does is proved in the builder's lab (`cargo xtask app NAME --node PROGRAM`).

use super::*;
use crate::apps::catalog::tests::FACTS_TEXT;
use crate::broker::{self, Error, Project};
use contract::apps::compose::Choices;
use contract::oci::Digest;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// A folder with a `docker` that does what `script` says.
fn played(script: &str) -> (tempfile::TempDir, Options) {
    let dir = tempfile::tempdir().unwrap();
    let docker = dir.path().join("docker");
    std::fs::write(&docker, format!("#!/bin/sh\nD={}\n{script}\n", dir.path().display())).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = Options {
        socket: None,
        state: dir.path().join("state"),
        docker_socket: dir.path().join("docker.sock"),
        docker,
        registry: ([127, 0, 0, 1], 4748).into(),
    };
    (dir, options)
}

fn project(password: &str) -> Project {
    let choices = Choices { ports: [].into(), settings: [("password".to_owned(), password.to_owned())].into() };
    Project { app: "broker".to_owned(), facts: FACTS_TEXT.to_owned(), digest: Digest::of(b"index"), choices }
}

fn serve_in_background(options: &Options) -> PathBuf {
    let socket = options.state.with_extension("sock");
    tokio::spawn(serve_at(bind(&socket).unwrap(), options.clone(), false));
    socket
}

#[tokio::test]
async fn the_broker_answers_over_its_socket() {
    let (_dir, options) = played("exit 0");
    let socket = serve_in_background(&options);
    assert!(matches!(broker::status(&socket).await, crate::status::Docker::Silent { .. }), "there is no Docker here");
    let nothing = broker::ask::<Projects>(&socket, &Request::Projects {}, |_| ()).await.unwrap_err();
    assert!(nothing.to_string().contains("Docker does not answer"), "{nothing}");
    // What is no request is answered, and the broker goes on.
    let mut stream = UnixStream::connect(&socket).await.unwrap();
    stream.write_all(b"{\"request\":\"exec\"}\n").await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert!(line.contains("failed") && line.contains("not a request"), "{line}");
    assert!(matches!(broker::status(&socket).await, crate::status::Docker::Silent { .. }));
}

#[tokio::test]
async fn an_app_is_started_by_a_project_that_the_broker_wrote_and_by_nothing_of_the_environment() {
    let (dir, options) = played("env > $D/env; echo \"$@\" >> $D/words; cp $D/state/projects/*/compose.yaml $D/seen.yaml");
    let socket = serve_in_background(&options);
    broker::ask::<()>(&socket, &Request::Up { project: project("se$cret") }, |_| ()).await.unwrap();
    let words = std::fs::read_to_string(dir.path().join("words")).unwrap();
    let file = options.state.join("projects/cloudy-broker/compose.yaml");
    assert!(
        words.contains("compose --progress plain --project-name cloudy-broker") && words.contains(&file.display().to_string()),
        "{words}"
    );
    assert!(words.contains("up --detach --remove-orphans --wait --wait-timeout") && !words.contains("se$cret"), "{words}");
    assert!(std::fs::read_to_string(dir.path().join("seen.yaml")).unwrap().contains("PASSWORD: \"se$$cret\""));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let env = std::fs::read_to_string(dir.path().join("env")).unwrap();
    let names: std::collections::BTreeSet<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for name in names {
        assert!(["PATH", "HOME", "DOCKER_CONFIG", "DOCKER_HOST", "PWD", "_", "SHLVL", "OLDPWD"].contains(&name), "{name}");
    }
}

#[tokio::test]
async fn what_a_failure_said_is_kept_and_what_was_refused_is_not_run() {
    let (dir, options) = played("touch $D/ran; seq 1 9999; echo 'port is already allocated' >&2; printf 'red\\033[31m' >&2; exit 3");
    let socket = serve_in_background(&options);
    for project in
        [Project { app: "../x".to_owned(), ..project("x") }, Project { facts: "privileged = true".to_owned(), ..project("x") }, project("")]
    {
        let error = broker::ask::<()>(&socket, &Request::Up { project }, |_| ()).await.unwrap_err();
        assert!(matches!(&error, Error::Failed(_)) && !dir.path().join("ran").exists(), "{error}");
    }
    let Err(Error::Failed(failure)) = broker::ask::<()>(&socket, &Request::Up { project: project("x") }, |_| ()).await else { panic!() };
    assert!(failure.error.contains("`docker compose up` ended with exit status: 3"), "{failure:?}");
    assert!(failure.output.contains("9999") && failure.output.contains("port is already allocated"));
    assert!(failure.output.len() < 20_000 && !failure.output.contains('\u{1b}') && !failure.output.contains("\n17\n"));
}

#[tokio::test]
async fn how_things_are_is_told_while_something_is_being_done() {
    let (dir, options) = played("touch $D/begun; while ! [ -e $D/go ]; do sleep 0.05; done");
    let socket = serve_in_background(&options);
    let stop = Request::Stop { app: "broker".to_owned() };
    let long = tokio::spawn({
        let (socket, stop) = (socket.clone(), stop.clone());
        async move { broker::ask::<()>(&socket, &stop, |_| ()).await }
    });
    while !dir.path().join("begun").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(broker::status(&socket).await, crate::status::Docker::Silent { .. }));
    assert!(!long.is_finished());
    // One who asks and leaves ends nothing.
    std::fs::remove_file(dir.path().join("begun")).unwrap();
    let mut gone = UnixStream::connect(&socket).await.unwrap();
    gone.write_all(format!("{}\n", serde_json::to_string(&stop).unwrap()).as_bytes()).await.unwrap();
    drop(gone);
    std::fs::write(dir.path().join("go"), "").unwrap();
    long.await.unwrap().unwrap();
    while !dir.path().join("begun").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_takes_too_long_is_ended_with_all_that_it_started() {
    let (dir, options) = played("sleep 600 & echo $! > $D/pid; wait");
    std::fs::create_dir_all(&options.state).unwrap();
    let begun = Instant::now();
    let failure = run::compose(&options, "broker", &["stop"], Duration::from_millis(500)).await.unwrap_err();
    assert!(failure.error.contains("was ended after") && begun.elapsed() < Duration::from_secs(60), "{failure:?}");
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    let status = PathBuf::from("/proc").join(pid.trim()).join("status");
    while std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ")) {
        assert!(begun.elapsed() < Duration::from_secs(60), "it lives on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn own_project(grants: &[&str]) -> OwnProject {
    let compose = "services: { app: { image: x:1, volumes: [\"/mnt:/x\"] } }".to_owned();
    let definition = contract::apps::own::Definition { title: "x".to_owned(), compose: Some(compose), ..Default::default() };
    let grants = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    OwnProject { app: "own".to_owned(), definition, grants, choices: Choices::default() }
}

/// Says what compose would say to `config`, and notes what it is asked.
fn understanding(service: &str) -> String {
    let json = format!(r#"{{"name":"cloudy-own","services":{{"app":{service}}}}}"#);
    format!("echo \"$@\" >> $D/words; case \"$*\" in *config*) echo '{json}';; esac")
}

#[tokio::test]
async fn what_compose_understood_is_held_against_the_grants_before_anything_starts() {
    let bind = r#"{"image":"x:1","volumes":[{"type":"bind","source":"/mnt","target":"/x"}]}"#;
    let up = |project| Request::UpOwn { project };
    let (dir, options) = played(&understanding(bind));
    let socket = serve_in_background(&options);
    let refused = broker::ask::<()>(&socket, &up(own_project(&[])), |_| ()).await.unwrap_err().to_string();
    assert!(refused.contains("which an owner of this node may allow") && !dir.path().join("words").exists(), "{refused}");
    broker::ask::<()>(&socket, &up(own_project(&["host-path=/mnt"])), |_| ()).await.unwrap();
    let words = std::fs::read_to_string(dir.path().join("words")).unwrap();
    assert!(words.contains("config --format json") && words.contains("up --detach"), "{words}");
    // Its images are its owner's: nothing throws them away that was not pulled for it.
    let _no_docker = broker::ask::<()>(&socket, &Request::Down { app: "own".to_owned(), data: true }, |_| ()).await;
    let words = std::fs::read_to_string(dir.path().join("words")).unwrap();
    assert!(words.contains("down --remove-orphans --volumes") && !words.contains("--rmi"), "{words}");
    // Should compose ever understand something else, it is not started.
    for more in [r#"{"image":"x:1","privileged":true}"#, r#"{"image":"x:1","env_file":["/etc/passwd"]}"#, "[]"] {
        let (dir, options) = played(&understanding(more));
        let socket = serve_in_background(&options);
        let refused = broker::ask::<()>(&socket, &up(own_project(&["host-path=/mnt"])), |_| ()).await.unwrap_err();
        let words = std::fs::read_to_string(dir.path().join("words")).unwrap();
        assert!(!words.contains("up --detach"), "{refused}: {words}");
    }
}
