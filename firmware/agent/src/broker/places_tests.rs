//! Apps' data on disks, with a Docker that is played: moved there and back, cut anywhere, copied wrongly, and without the disk.

use super::*;
use crate::storage::facts::tests::{id, line, machine, udev_of_ours};
use contract::storage::{APPS, DiskId, GONE};

/// A broker whose node has a disk that is mounted, and on which the broker may make folders.
fn with_disk() -> (tempfile::TempDir, tempfile::TempDir, Options, Played, PathBuf) {
    let (dir, mut options) = played("exit 1");
    let (machine, places) = machine(&udev_of_ours());
    std::fs::create_dir_all(places.folder(id()).join(APPS)).unwrap();
    std::fs::write(&places.mountinfo, line(&places)).unwrap();
    options.disks = places;
    let docker = Played::serve(&options.docker_socket, &project::image("broker", &Digest::of(b"index"), options.registry).unwrap());
    let socket = serve_in_background(&options);
    (dir, machine, options, docker, socket)
}

fn at(place: Option<DiskId>) -> Project {
    Project { place, ..project("x") }
}

async fn run_at(socket: &Path, place: Option<DiskId>) -> Result<(), Error> {
    broker::ask(socket, &Request::Up { project: at(place) }, |_| ()).await
}

async fn stop(socket: &Path) {
    broker::ask::<()>(socket, &Request::Stop { app: "broker".to_owned() }, |_| ()).await.unwrap();
}

async fn shift(socket: &Path, from: Option<DiskId>, to: Option<DiskId>) -> Result<(), Error> {
    broker::ask(socket, &Request::Move { project: at(from), to }, |_| ()).await
}

async fn clear(socket: &Path, from: Option<DiskId>, keep: Option<DiskId>) -> Result<(), Error> {
    broker::ask(socket, &Request::Clear { app: "broker".to_owned(), from, keep }, |_| ()).await
}

fn own() -> String {
    "cloudy-broker_data".to_owned()
}

fn on_disk() -> String {
    format!("cloudy-broker_data.{}", id())
}

fn content() -> Vec<u8> {
    [vec![7; 3000], vec![0; 1024]].concat()
}

/// What a container has mounted.
fn mounted(has: &Has) -> Vec<String> {
    let mounts = |container: &serde_json::Value| container["HostConfig"]["Mounts"][0]["Source"].as_str().unwrap().to_owned();
    has.containers.values().map(mounts).collect()
}

fn folders(options: &Options) -> Vec<String> {
    let all = std::fs::read_dir(options.disks.folder(id()).join(APPS)).unwrap();
    all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn what_an_app_keeps_goes_to_a_disk_and_back_and_is_never_at_no_place() {
    let (_dir, _machine, options, docker, socket) = with_disk();
    run_at(&socket, None).await.unwrap();
    docker.with(|has| has.contents.insert(own(), content()));
    assert!(shift(&socket, None, Some(id())).await.unwrap_err().to_string().contains("the app runs"));
    stop(&socket).await;
    assert!(shift(&socket, None, None).await.unwrap_err().to_string().contains("lie there already"));
    shift(&socket, None, Some(id())).await.unwrap();
    docker.with(|has| {
        assert_eq!((&has.contents[&own()], &has.contents[&on_disk()]), (&content(), &content()));
        let options = &has.volumes[&on_disk()]["Options"];
        assert!(options["o"] == "bind" && options["device"].as_str().unwrap().ends_with("/apps/broker.data"), "{options}");
    });
    // While a container has it, and before the app was made anew, it stays.
    assert!(clear(&socket, None, Some(id())).await.unwrap_err().to_string().contains("still has"));
    run_at(&socket, Some(id())).await.unwrap();
    docker.with(|has| assert_eq!(mounted(has), [on_disk()]));
    clear(&socket, None, Some(id())).await.unwrap();
    docker.with(|has| assert_eq!(has.volumes.keys().collect::<Vec<_>>(), [&on_disk()]));
    // Twice is once; and what it has is not taken away by whoever asks for it.
    clear(&socket, None, Some(id())).await.unwrap();
    for (from, keep) in [(Some(id()), None), (Some(id()), Some(id()))] {
        assert!(clear(&socket, from, keep).await.unwrap_err().to_string().contains("not all at the other place"));
    }
    stop(&socket).await;
    // What a backup is made of is there as ever.
    let volumes: Vec<Volume> = broker::ask(&socket, &Request::Volumes { app: "broker".to_owned() }, |_| ()).await.unwrap();
    let [volume] = volumes.as_slice() else { panic!("{volumes:?}") };
    let read = Request::ReadVolume { app: "broker".to_owned(), volume: volume.clone() };
    let (mut pieces, mut tar) = (broker::read(&socket, &read).await.unwrap(), Vec::new());
    while let Some(piece) = pieces.recv().await {
        tar.extend_from_slice(&piece.unwrap());
    }
    assert_eq!(&tar[512..], content());
    shift(&socket, Some(id()), None).await.unwrap();
    run_at(&socket, None).await.unwrap();
    clear(&socket, Some(id()), None).await.unwrap();
    docker.with(|has| assert_eq!((has.volumes.len(), &has.contents[&own()]), (1, &content())));
    assert!(folders(&options).iter().all(|name| name.starts_with(GONE)), "{:?}", folders(&options));
}

#[tokio::test]
async fn a_move_that_is_cut_anywhere_leaves_what_was_there_and_ends_the_same_when_it_is_done_again() {
    for at in 1..=8 {
        for done in [false, true] {
            let (_dir, _machine, options, docker, socket) = with_disk();
            run_at(&socket, None).await.unwrap();
            stop(&socket).await;
            docker.with(|has| {
                has.contents.insert(own(), content());
                has.changes.clear();
                has.cut = Some(Cut { at, done });
            });
            let cut = shift(&socket, None, Some(id())).await;
            let asked = docker.with(|has| {
                has.cut = None;
                assert_eq!(has.contents[&own()], content(), "{at} {done}");
                has.changes.len()
            });
            assert!(cut.is_err() || asked < at, "cut at {at} of {asked}");
            shift(&socket, None, Some(id())).await.unwrap();
            run_at(&socket, Some(id())).await.unwrap();
            clear(&socket, None, Some(id())).await.unwrap();
            docker.with(|has| {
                assert_eq!((has.containers.len(), has.volumes.len()), (1, 1), "{at} {done}: {has:?}");
                assert_eq!(has.contents[&on_disk()], content());
            });
            assert_eq!(folders(&options).iter().filter(|name| !name.starts_with(GONE)).count(), 1);
        }
    }
}

#[tokio::test]
async fn a_copy_that_is_not_the_same_or_has_no_end_is_not_used() {
    let (_dir, _machine, _options, docker, socket) = with_disk();
    run_at(&socket, None).await.unwrap();
    stop(&socket).await;
    docker.with(|has| (has.corrupts, _) = (true, has.contents.insert(own(), content())));
    assert!(shift(&socket, None, Some(id())).await.unwrap_err().to_string().contains("not what was there"));
    docker.with(|has| {
        has.corrupts = false;
        assert_eq!(has.contents[&own()], content());
        has.contents.insert(own(), vec![7; 3000]);
    });
    assert!(shift(&socket, None, Some(id())).await.unwrap_err().to_string().contains("not what was there"));
}

#[tokio::test]
async fn without_its_disk_nothing_of_an_app_is_started_or_taken_away() {
    let (_dir, _machine, options, docker, socket) = with_disk();
    run_at(&socket, None).await.unwrap();
    stop(&socket).await;
    // A folder that is not there would be made nowhere else.
    assert!(run_at(&socket, Some(id())).await.unwrap_err().to_string().contains("not on this disk"));
    shift(&socket, None, Some(id())).await.unwrap();
    run_at(&socket, Some(id())).await.unwrap();
    clear(&socket, None, Some(id())).await.unwrap();
    stop(&socket).await;
    std::fs::write(&options.disks.mountinfo, "").unwrap();
    docker.with(|has| has.changes.clear());
    let (restart, down) = (Request::Restart { app: "broker".to_owned() }, Request::Down { app: "broker".to_owned(), data: true });
    let create = Request::Create { project: at(Some(id())) };
    let back = Request::Move { project: at(Some(id())), to: None };
    for request in [Request::Up { project: at(Some(id())) }, create, restart, down.clone(), back] {
        let error = broker::ask::<()>(&socket, &request, |_| ()).await.unwrap_err().to_string();
        assert!(error.contains("plug it in"), "{request:?}: {error}");
    }
    docker.with(|has| assert!(has.changes.is_empty(), "{has:?}"));
    // Its data are nobody's who has another disk; removed without them it may go.
    broker::ask::<()>(&socket, &Request::Down { app: "broker".to_owned(), data: false }, |_| ()).await.unwrap();
    std::fs::write(&options.disks.mountinfo, line(&options.disks)).unwrap();
    docker.with(|has| has.images = vec![project::image("broker", &Digest::of(b"index"), options.registry).unwrap()]);
    run_at(&socket, Some(id())).await.unwrap();
    broker::ask::<()>(&socket, &down, |_| ()).await.unwrap();
    docker.with(|has| assert!(has.volumes.is_empty() && has.containers.is_empty(), "{has:?}"));
    assert!(folders(&options).iter().all(|name| name.starts_with(GONE)));
}

#[tokio::test]
async fn what_lay_on_a_disk_that_is_lost_is_forgotten_and_the_app_begins_anew() {
    let (_dir, _machine, options, docker, socket) = with_disk();
    run_at(&socket, None).await.unwrap();
    stop(&socket).await;
    shift(&socket, None, Some(id())).await.unwrap();
    run_at(&socket, Some(id())).await.unwrap();
    clear(&socket, None, Some(id())).await.unwrap();
    let give_up = Request::GiveUp { app: "broker".to_owned(), disk: id() };
    assert!(broker::ask::<()>(&socket, &give_up, |_| ()).await.unwrap_err().to_string().contains("the disk is there"));
    std::fs::write(&options.disks.mountinfo, "").unwrap();
    assert!(broker::ask::<()>(&socket, &give_up, |_| ()).await.unwrap_err().to_string().contains("the app runs"));
    stop(&socket).await;
    broker::ask::<()>(&socket, &give_up, |_| ()).await.unwrap();
    docker.with(|has| assert!(has.containers.is_empty() && has.volumes.is_empty(), "{has:?}"));
    // On the disk itself nothing was touched.
    assert_eq!(folders(&options), ["broker.data"]);
    run_at(&socket, None).await.unwrap();
    docker.with(|has| assert_eq!(mounted(has), [own()]));
}

#[tokio::test]
async fn a_link_on_a_disk_leads_no_app_elsewhere() {
    let (dir, _machine, options, docker, socket) = with_disk();
    run_at(&socket, None).await.unwrap();
    stop(&socket).await;
    shift(&socket, None, Some(id())).await.unwrap();
    run_at(&socket, Some(id())).await.unwrap();
    stop(&socket).await;
    let apps = options.disks.folder(id()).join(APPS);
    let elsewhere = dir.path().join("elsewhere");
    std::fs::create_dir_all(elsewhere.join("broker.data")).unwrap();
    let restart = Request::Restart { app: "broker".to_owned() };
    for (link, to) in [(apps.join("broker.data"), elsewhere.join("broker.data")), (apps, elsewhere)] {
        std::fs::rename(&link, link.with_extension("away")).unwrap();
        std::os::unix::fs::symlink(&to, &link).unwrap();
        docker.with(|has| has.changes.clear());
        assert!(run_at(&socket, Some(id())).await.is_err() && broker::ask::<()>(&socket, &restart, |_| ()).await.is_err());
        docker.with(|has| assert!(has.changes.is_empty(), "{has:?}"));
        std::fs::remove_file(&link).unwrap();
        std::fs::rename(link.with_extension("away"), &link).unwrap();
    }
    run_at(&socket, Some(id())).await.unwrap();
}
