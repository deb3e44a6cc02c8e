//! The broker's process against a `docker` and a Docker that are played: what they are told, what is kept of their failures, and what
//! becomes of an app when it is cut anywhere. What the real ones do is proved in the builder's lab (`cargo xtask app NAME --node PROGRAM`).

use super::*;
use crate::apps::catalog::tests::FACTS_TEXT;
use crate::broker::played::{Cut, Has, Played};
use crate::broker::{self, Error, Project};
use crate::storage::Places;
use contract::apps::compose::Choices;
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
        stores: dir.path().join("stores"),
        disks: Places::default(),
    };
    (dir, options)
}

fn project(password: &str) -> Project {
    let choices = Choices { ports: [].into(), settings: [("password".to_owned(), password.to_owned())].into(), attended: false };
    Project { app: "broker".to_owned(), facts: FACTS_TEXT.to_owned(), digest: Digest::of(b"index"), choices, place: None }
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
async fn an_app_of_one_s_own_is_started_by_a_project_that_the_broker_wrote_and_by_nothing_of_the_environment() {
    let (dir, options) = played(&format!(
        "env > $D/env; cp $D/state/projects/*/compose.yaml $D/seen.yaml; {}",
        understanding(r#"{"image":"x:1","volumes":[{"type":"bind","source":"/mnt","target":"/x"}]}"#)
    ));
    let socket = serve_in_background(&options);
    broker::ask::<()>(&socket, &Request::UpOwn { project: own_project(&["host-path=/mnt"]) }, |_| ()).await.unwrap();
    let words = std::fs::read_to_string(dir.path().join("words")).unwrap();
    let file = options.state.join("projects/cloudy-own/compose.yaml");
    assert!(words.contains("compose --progress plain --project-name cloudy-own") && words.contains(&file.display().to_string()), "{words}");
    assert!(words.contains("up --detach --remove-orphans --wait --wait-timeout"), "{words}");
    assert!(std::fs::read_to_string(dir.path().join("seen.yaml")).unwrap().contains("/mnt"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let env = std::fs::read_to_string(dir.path().join("env")).unwrap();
    let names: std::collections::BTreeSet<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    for name in names {
        assert!(["PATH", "HOME", "DOCKER_CONFIG", "DOCKER_HOST", "PWD", "_", "SHLVL", "OLDPWD"].contains(&name), "{name}");
    }
}

#[tokio::test]
async fn what_a_failure_said_is_kept() {
    let bind = understanding(r#"{"image":"x:1","volumes":[{"type":"bind","source":"/mnt","target":"/x"}]}"#);
    let fails = "*) seq 1 9999; echo 'port is already allocated' >&2; printf 'red\\033[31m' >&2; exit 3;; esac";
    let (_dir, options) = played(&bind.replace("esac", fails));
    let socket = serve_in_background(&options);
    let up = Request::UpOwn { project: own_project(&["host-path=/mnt"]) };
    let Err(Error::Failed(failure)) = broker::ask::<()>(&socket, &up, |_| ()).await else { panic!() };
    assert!(failure.error.contains("`docker compose up` ended with exit status: 3"), "{failure:?}");
    assert!(failure.output.contains("9999") && failure.output.contains("port is already allocated"));
    assert!(failure.output.len() < 20_000 && !failure.output.contains('\u{1b}') && !failure.output.contains("\n17\n"));
}

/// A broker whose Docker is played, and has the image of the app.
pub(super) fn with_docker() -> (tempfile::TempDir, Options, Played, PathBuf) {
    let (dir, options) = played("touch $D/ran");
    let docker = Played::serve(&options.docker_socket, &project::image("broker", &Digest::of(b"index"), options.registry).unwrap());
    let socket = serve_in_background(&options);
    (dir, options, docker, socket)
}

pub(super) async fn up(socket: &Path, password: &str) -> Result<(), Error> {
    broker::ask::<()>(socket, &Request::Up { project: project(password) }, |_| ()).await
}

#[tokio::test]
async fn the_folder_of_an_app_s_store_comes_and_goes_with_it() {
    let (_dir, options, _docker, socket) = with_docker();
    std::fs::create_dir(&options.stores).unwrap();
    let its = project("x");
    let project = Project { facts: format!("store = true\n{}", its.facts.trim_start()), ..its };
    broker::ask::<()>(&socket, &Request::Up { project }, |_| ()).await.unwrap();
    assert!(options.stores.join("broker").is_dir());
    broker::ask::<()>(&socket, &Request::Down { app: "broker".to_owned(), data: false }, |_| ()).await.unwrap();
    assert!(!options.stores.join("broker").exists());
}

#[tokio::test]
async fn an_app_of_the_catalog_is_made_started_and_taken_away_without_compose() {
    let (dir, options, docker, socket) = with_docker();
    // What an earlier release wrote.
    run::write(&options.state, "broker", "password").unwrap();
    up(&socket, "x").await.unwrap();
    let made = docker.with(|has| {
        assert_eq!((has.containers.len(), has.networks.len(), has.volumes.len()), (1, 1, 1), "{has:?}");
        has.containers.keys().next().cloned().unwrap()
    });
    assert!(!options.state.join("projects/cloudy-broker").exists(), "passwords stand in it");
    // The same again starts what is there; something else is made anew, with what it keeps.
    docker.with(|has| has.changes.clear());
    up(&socket, "x").await.unwrap();
    docker.with(|has| assert_eq!(has.changes, [format!("POST /containers/{made}/start")]));
    up(&socket, "other").await.unwrap();
    docker.with(|has| {
        assert!(!has.containers.contains_key(&made) && has.containers.len() == 1 && has.volumes.len() == 1, "{has:?}");
        assert!(!has.changes.iter().any(|change| change.contains("v=true")), "{has:?}");
    });
    // What Docker lists comes a moment after what it does.
    docker.with(|has| has.lag = 4);
    broker::ask::<()>(&socket, &Request::Stop { app: "broker".to_owned() }, |_| ()).await.unwrap();
    let projects = broker::ask::<Projects>(&socket, &Request::Projects {}, |_| ()).await.unwrap();
    assert_eq!(projects["broker"].run, broker::Run::Stopped);
    // Docker's own cleaning took the network of an app that was stopped.
    docker.with(|has| has.networks.clear());
    up(&socket, "other").await.unwrap();
    broker::ask::<()>(&socket, &Request::Restart { app: "broker".to_owned() }, |_| ()).await.unwrap();
    broker::ask::<()>(&socket, &Request::Down { app: "broker".to_owned(), data: false }, |_| ()).await.unwrap();
    docker.with(|has| {
        assert_eq!((has.containers.len(), has.networks.len(), has.volumes.len()), (0, 0, 1), "{has:?}");
        assert!(has.images.is_empty(), "{has:?}");
    });
    broker::ask::<()>(&socket, &Request::Down { app: "broker".to_owned(), data: true }, |_| ()).await.unwrap();
    docker.with(|has| assert!(has.volumes.is_empty(), "{has:?}"));
    assert!(!dir.path().join("ran").exists(), "no program was run");
}

#[tokio::test]
async fn cut_at_any_change_a_second_up_ends_the_same() {
    for (from, changes) in [(None, 5), (Some("older"), 8)] {
        for at in 1..=changes {
            for done in [false, true] {
                let (_dir, _options, docker, socket) = with_docker();
                if let Some(password) = from {
                    up(&socket, password).await.unwrap();
                    docker.with(|has| has.networks.clear());
                }
                docker.with(|has| {
                    has.changes.clear();
                    has.cut = Some(Cut { at, done });
                });
                let cut = up(&socket, "x").await;
                docker.with(|has| has.cut = None);
                let asked = docker.with(|has| has.changes.len());
                assert!(cut.is_err() || asked < at, "{from:?}: cut at {at} of {asked}");
                up(&socket, "x").await.unwrap();
                docker.with(|has| {
                    assert_eq!((has.containers.len(), has.networks.len(), has.volumes.len()), (1, 1, 1), "{from:?}, {at}, {done}: {has:?}");
                    let container = has.containers.values().next().unwrap();
                    assert_eq!((&container["Env"][0], &container["Status"]), (&"PASSWORD=x".into(), &"running".into()));
                });
            }
        }
    }
}

#[tokio::test]
async fn what_is_refused_or_not_well_is_said() {
    let (_dir, _options, docker, socket) = with_docker();
    for project in
        [Project { app: "../x".to_owned(), ..project("x") }, Project { facts: "privileged = true".to_owned(), ..project("x") }, project("")]
    {
        let error = broker::ask::<()>(&socket, &Request::Up { project }, |_| ()).await.unwrap_err();
        assert!(matches!(&error, Error::Failed(_)) && docker.with(|has| has.changes.is_empty()), "{error}");
    }
    docker.with(|has| has.health = "unhealthy");
    let Err(Error::Failed(failure)) = up(&socket, "x").await else { panic!("it is not well") };
    assert!(failure.error.contains("`cloudy-broker-app-1` runs, and is not well"), "{failure:?}");
    assert!(failure.output.contains("What its health check said:\nno answer"), "{failure:?}");
    // A network that somebody made by hand may lead anywhere.
    docker.with(|has| has.networks.values_mut().for_each(|network| network["Labels"] = serde_json::json!({})));
    let error = up(&socket, "x").await.unwrap_err().to_string();
    assert!(error.contains("was not made for this app: `docker network rm cloudy-broker_default`"), "{error}");
}

#[tokio::test]
async fn a_stop_waits_for_no_other_change() {
    let (_dir, _options, docker, socket) = with_docker();
    docker.with(|has| has.health = "starting");
    let waits = tokio::spawn({
        let socket = socket.clone();
        async move { up(&socket, "x").await }
    });
    let started = |has: &mut Has| has.changes.iter().any(|change| change.ends_with("/start"));
    while !docker.with(started) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The one that starts is not well yet, and goes on waiting for that.
    broker::ask::<()>(&socket, &Request::Stop { app: "other".to_owned() }, |_| ()).await.unwrap();
    assert!(!waits.is_finished());
    broker::ask::<()>(&socket, &Request::Stop { app: "broker".to_owned() }, |_| ()).await.unwrap();
    let Err(Error::Failed(failure)) = waits.await.unwrap() else { panic!("it was stopped") };
    assert!(failure.error.contains("exit code"), "{}", failure.error);
}

#[tokio::test]
async fn how_things_are_is_told_while_something_is_being_done() {
    let (dir, options) = played("touch $D/begun; while ! [ -e $D/go ]; do sleep 0.05; done");
    let socket = serve_in_background(&options);
    run::keep_own(&options.state, "own", &run::Own::default()).unwrap();
    let stop = Request::Stop { app: "own".to_owned() };
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

#[tokio::test]
async fn an_image_that_came_while_nothing_could_be_noted_goes_with_its_app() {
    let project = || own_project(&["host-path=/mnt"]);
    for done in [true, false] {
        let (_dir, options, docker, socket) = with_docker();
        docker.with(|has| has.cut = Some(Cut { at: 1, done }));
        let pulled = broker::ask::<()>(&socket, &Request::PullOwn { project: project(), again: false }, |_| ()).await;
        assert!(pulled.unwrap_err().to_string().contains("pulling the image"));
        let noted = run::own(&options.state, "own").unwrap().pulled;
        assert_eq!((noted.contains("x:1"), docker.with(|has| has.images.contains(&"x:1".to_owned()))), (done, done));
        // One that somebody brings by hand meanwhile is theirs.
        docker.with(|has| has.images.push("x:1".to_owned()));
        broker::ask::<()>(&socket, &Request::Down { app: "own".to_owned(), data: true }, |_| ()).await.unwrap();
        assert_eq!(docker.with(|has| has.images.contains(&"x:1".to_owned())), !done);
    }
}

#[path = "places_tests.rs"]
mod places;
