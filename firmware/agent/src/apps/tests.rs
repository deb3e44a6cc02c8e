//! Apps against a broker that is played: what is refused at once, what is recorded, and what a restart takes up again. What the real
//! broker, compose and Docker do is proved in the builder's lab (`cargo xtask app NAME --node PROGRAM`).

use super::catalog::tests::{FACTS_TEXT, Layout};
use super::*;
use crate::revision::Expected;
use crate::units::Action;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// A broker that says what it is told to, and what it was asked.
pub struct Played {
    /// Its data folder, with its socket `broker.sock`.
    pub dir: tempfile::TempDir,
    asked: mpsc::UnboundedReceiver<Value>,
    answers: Arc<Mutex<Vec<(String, Value)>>>,
    /// What its one volume holds.
    pub volume: Arc<Mutex<Vec<u8>>>,
}

impl Played {
    /// Answers each request that is not answered otherwise as if it went well.
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("broker.sock")).unwrap();
        let (sender, asked) = mpsc::unbounded_channel();
        let answers: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
        let shared = Arc::clone(&answers);
        let volume: Arc<Mutex<Vec<u8>>> = Arc::default();
        let kept = Arc::clone(&volume);
        tokio::spawn(async move {
            let mut up = false;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (read, mut write) = stream.into_split();
                let mut line = String::new();
                let mut reader = BufReader::new(read);
                reader.read_line(&mut line).await.unwrap();
                let request: Value = serde_json::from_str(&line).unwrap();
                let word = request["request"].as_str().unwrap().to_owned();
                let state = if up { "running" } else { "absent" };
                let usual = match word.as_str() {
                    "projects" => {
                        json!({ "done": if up { json!({ "broker": { "run": state, "data": true }, "radio": { "run": state, "data": true } }) } else { json!({}) } })
                    }
                    "logs" => json!({ "done": "it says this" }),
                    "since" => json!({ "done": { "lines": [], "missed": false, "heard": request["heard"] } }),
                    "uses" => json!({ "done": {} }),
                    "has-image" => json!({ "done": false }),
                    "volumes" => json!({ "done": [{ "service": "app", "target": "/data" }] }),
                    _ => json!({ "done": null }),
                };
                let answer = {
                    let mut answers = shared.lock().unwrap();
                    let while_up = up && word == "projects";
                    let place = answers.iter().position(|(of, _)| *of == word || (while_up && of == "projects-up"));
                    place.map_or(usual, |place| answers.remove(place).1)
                };
                if answer.get("done").is_some() {
                    up = if word.starts_with("up") {
                        true
                    } else if word == "down" {
                        false
                    } else {
                        up
                    };
                }
                if !["projects", "has-image"].contains(&word.as_str()) {
                    let _ = sender.send(request);
                }
                if !answer.is_null() {
                    write.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
                }
                let begun = answer.get("done").is_some();
                if begun && word == "read-volume" {
                    let held = kept.lock().unwrap().clone();
                    write.write_all(&[&u32::try_from(held.len()).unwrap().to_be_bytes(), held.as_slice()].concat()).await.unwrap();
                    let end = shared.lock().unwrap().iter().position(|(of, _)| of == "read-end");
                    let end = end.map_or(json!({ "done": null }), |place| shared.lock().unwrap().remove(place).1);
                    write.write_all(&[&[0; 4], format!("{end}\n").as_bytes()].concat()).await.unwrap();
                }
                if begun && word == "write-volume" {
                    let mut came = Vec::new();
                    loop {
                        let mut length = [0; 4];
                        reader.read_exact(&mut length).await.unwrap();
                        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
                        reader.read_exact(&mut frame).await.unwrap();
                        if frame.is_empty() {
                            break;
                        }
                        came.extend_from_slice(&frame);
                    }
                    *kept.lock().unwrap() = came;
                    write.write_all(b"{\"done\":null}\n").await.unwrap();
                }
            }
        });
        Self { dir, asked, answers, volume }
    }

    /// The next `word` is answered so; `null` for hanging up. `projects-up` is the next `projects` once something runs.
    pub fn answer(&self, word: &str, answer: Value) {
        self.answers.lock().unwrap().push((word.to_owned(), answer));
    }

    pub fn apps(&self) -> Arc<Apps> {
        let broker = self.dir.path().join("broker.sock");
        Arc::new(Apps::open(
            self.dir.path(),
            broker,
            Arc::new(Blobs::load(self.dir.path(), true)),
            Arc::default(),
            &[],
            ([127, 0, 0, 1], 4748).into(),
        ))
    }

    pub fn with_app(&self) -> Arc<Apps> {
        let apps = self.apps();
        let arch = catalog::this_arch();
        if arch == Some(contract::arch::Arch::Amd64) {
            apps.catalog().take(Layout::of("broker", FACTS_TEXT, b"layer").tar().as_slice(), Vec::new).unwrap();
        }
        apps
    }

    /// Waits until all that was to be answered was.
    pub async fn answered(&self) {
        let wait = async {
            while !self.answers.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
    }

    /// The next that it is asked beside how things are.
    pub async fn asked(&mut self) -> Value {
        self.asked.recv().await.unwrap()
    }

    pub fn words(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok()).map(|asked| asked["request"].as_str().unwrap().to_owned()).collect()
    }
}

pub async fn over(apps: &Apps, id: u64) -> JobView {
    let look = async {
        loop {
            let job = apps.jobs().into_iter().find(|job| job.id == id).unwrap();
            if job.over && !apps.live().contains_key(&id) {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.unwrap()
}

/// A port that nobody has, so that a test does not depend on what runs here, and which nobody gets by chance: below those that a
/// kernel gives to who names none.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    // Tests that run beside each other as processes of their own begin elsewhere.
    let begin = u16::try_from(std::process::id() % 97).unwrap() * 100;
    let ports = || Some(FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    std::iter::from_fn(ports).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

pub fn wish() -> Wish {
    let port = free_port();
    Wish { settings: [("password".to_owned(), "se-cret".to_owned())].into(), ports: [("mqtt".to_owned(), port)].into(), update: false }
}

#[tokio::test]
async fn an_app_is_installed_shown_stopped_and_removed_step_by_step() {
    let mut played = Played::start();
    let apps = played.with_app();
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!((job.state.as_str(), job.steps), ("queued", 2));
    assert_eq!(over(&apps, job.id).await.state, "done");
    assert_eq!(played.words(), ["pull", "up"]);
    let shown = serde_json::to_value(apps.list().await).unwrap();
    assert!(shown[0]["run"] == "running" && shown[0]["ports"]["mqtt"]["scheme"] == "mqtt", "{shown}");
    assert!(!shown.to_string().contains("se-cret") && !serde_json::to_string(&apps.jobs()).unwrap().contains("se-cret"));
    assert_eq!(apps.settings("broker").unwrap().0["password"], "(set)");
    assert_eq!(apps.logs("broker", 5).await.unwrap(), "it says this");
    assert!(matches!(apps.install("broker", wish()), Err(Refused::Installed(_))));
    played.words();
    // A change takes what is said and keeps the rest.
    let settings = [("password".to_owned(), "other".to_owned())].into();
    let job = apps.change("broker", Wish { settings, ..Wish::default() }, &Expected::anything()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    played.asked.recv().await.unwrap();
    let up = played.asked.recv().await.unwrap();
    assert_eq!(up["project"]["choices"]["settings"]["password"], "other");
    // Who saw it before that changes nothing of it now.
    let stale = Expected::only(shown[0]["revision"].as_u64().unwrap());
    let stop = Wish { settings: [("password".to_owned(), "third".to_owned())].into(), ..Wish::default() };
    assert!(matches!(apps.change("broker", stop.clone(), &stale), Err(Refused::Changed(_))));
    assert!(matches!(apps.remove("broker", true, &stale), Err(Refused::Changed(_))));
    let now = apps.list().await[0].revision;
    assert!(now != 1 && played.words().is_empty() && apps.jobs().len() == 2);
    let job = apps.change("broker", stop, &Expected::only(now)).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    played.words();
    let job = apps.remove("broker", true, &Expected::anything()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    let down = played.asked.recv().await.unwrap();
    assert_eq!((&down["request"], &down["data"]), (&json!("down"), &json!(true)));
    assert!(apps.list().await.is_empty());
    assert!(matches!(apps.logs("broker", 5).await, Err(Refused::NotInstalled(_))));
}

#[tokio::test]
async fn what_there_was_is_on_the_disk_before_the_first_step() {
    let mut played = Played::start();
    let apps = played.with_app();
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!(played.asked.recv().await.unwrap()["request"], "pull");
    let kept: Value = serde_json::from_slice(&std::fs::read(played.dir.path().join("apps/apps.json")).unwrap()).unwrap();
    assert_eq!(kept["jobs"][0]["course"]["before"], json!({ "up": false, "data": false }), "{kept}");
    over(&apps, job.id).await;
}

#[tokio::test]
async fn an_image_that_docker_has_is_not_got_again() {
    let mut played = Played::start();
    let apps = played.with_app();
    played.answer("has-image", json!({ "done": true }));
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    assert_eq!(played.words(), ["up"]);
    // Of an image of which nobody knows, Docker is asked by getting it.
    played.answer("has-image", json!({ "failed": { "error": "Docker does not answer" } }));
    let job = apps.change("broker", Wish::default(), &Expected::anything()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    assert_eq!(played.words(), ["pull", "up"]);
}

#[tokio::test]
async fn what_fails_is_undone_and_what_was_said_is_kept() {
    let mut played = Played::start();
    let apps = played.with_app();
    played.answer("up", json!({ "failed": { "error": "it ended with 1", "output": "no such thing" } }));
    let job = apps.install("broker", wish()).unwrap();
    let job = over(&apps, job.id).await;
    assert_eq!((job.state.as_str(), job.reason.as_deref(), job.output.as_str()), ("undone", Some("it ended with 1"), "no such thing"));
    // What is left is taken away, also where nothing is seen: an image, or the broker's file.
    assert_eq!(played.words(), ["pull", "up", "down"]);
    assert!(apps.list().await.is_empty());
}

#[tokio::test]
async fn two_at_once_on_one_app_the_second_is_refused_with_the_first_one_s_number() {
    let played = Played::start();
    let apps = played.with_app();
    let job = apps.install("broker", wish()).unwrap();
    let Err(error @ Refused::Busy { id, .. }) = apps.remove("broker", false, &Expected::anything()) else { panic!() };
    assert!(id == job.id && error.to_string().contains(&format!("job {id}")));
    assert!(matches!(apps.install("broker", wish()), Err(Refused::Busy { .. })));
    over(&apps, job.id).await;
}

#[tokio::test]
async fn what_can_be_refused_is_refused_before_anything_is_done() {
    let mut played = Played::start();
    let apps = played.with_app();
    let with = |settings: &[(&str, &str)], ports: &[(&str, u16)]| Wish {
        settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ports: ports.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect(),
        update: false,
    };
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    for (wish, words) in [
        (with(&[], &[]), "`password` must be said"),
        (with(&[("password", "x"), ("colour", "red")], &[]), "no setting `colour`"),
        (with(&[("password", "x")], &[("web", 80)]), "no port `web`"),
        (with(&[("password", "x")], &[("mqtt", 4748)]), "this node's registry of images"),
        (with(&[("password", "x")], &[("mqtt", taken)]), "another program of this node"),
        (with(&[("password", "x")], &[("mqtt", 0)]), "port 0"),
    ] {
        let error = apps.install("broker", wish).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(matches!(apps.install("wiki", wish()), Err(Refused::Unknown(_))));
    assert!(matches!(apps.act("broker", Action::Stop), Err(Refused::NotInstalled(_))));
    assert!(apps.jobs().is_empty() && played.words().is_empty());
    // What can't be recorded is not begun.
    let file = played.dir.path().join("apps/apps.json");
    std::fs::create_dir_all(file.with_extension("new")).unwrap();
    assert!(matches!(apps.install("broker", wish()), Err(Refused::NotKept(_))));
    assert!(apps.jobs().is_empty() && played.words().is_empty());
}

#[tokio::test]
async fn a_job_that_a_killed_agent_left_is_taken_up_and_ends() {
    let mut played = Played::start();
    let apps = played.with_app();
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    // As it was on disk after the pull.
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&apps.file).unwrap()).unwrap();
    let target = kept["apps"]["broker"].take();
    kept["apps"] = json!({});
    kept["jobs"][0]["target"] = target;
    kept["jobs"][0]["course"] =
        json!({ "kind": "install", "before": { "up": false, "data": false }, "state": "forward", "done": 1, "lost": 0 });
    std::fs::write(&apps.file, kept.to_string()).unwrap();
    played.words();
    let again = played.apps();
    assert_eq!(again.jobs()[0].state, "running");
    assert!(again.list().await.is_empty());
    again.resume();
    assert_eq!(over(&again, job.id).await.state, "done");
    assert_eq!(played.words(), ["up"]);
    assert_eq!(again.list().await.len(), 1);
}

#[tokio::test]
async fn a_broker_that_hangs_up_is_asked_again() {
    let mut played = Played::start();
    let apps = played.with_app();
    played.answer("pull", Value::Null);
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    assert_eq!(played.words(), ["pull", "pull", "up"]);
}

#[tokio::test]
async fn jobs_wait_while_docker_is_down_and_go_on_by_themselves_when_it_is_back() {
    let mut played = Played::start();
    let apps = played.with_app();
    let down = || json!({ "failed": { "error": "Docker does not answer" } });
    let waits = async |words: &str| {
        let mut watched = apps.watch_jobs();
        let wait = async {
            loop {
                let job = apps.jobs().remove(0);
                assert!(!job.over, "{job:?}");
                if job.waits.as_ref().is_some_and(|why| why.contains(words)) {
                    return job;
                }
                watched.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap()
    };
    // Down before anything is begun: nothing is asked of it, and nothing undone.
    played.answer("projects", down());
    let job = apps.install("broker", wish()).unwrap();
    assert_eq!((waits("Docker does not answer").await.state.as_str(), played.words().len()), ("queued", 0));
    let done = over(&apps, job.id).await;
    assert_eq!((done.state.as_str(), done.waits, played.words()), ("done", None, vec!["pull".to_owned(), "up".to_owned()]));
    // It goes away in the middle of a step: that says nothing of the step, which is done when Docker is there again.
    let here = json!({ "done": { "broker": { "run": "running", "data": true } } });
    played.answer("projects", here.clone());
    played.answer("projects", here);
    played.answer("up", down());
    played.answer("projects", down());
    played.answer("projects", down());
    let job = apps.change("broker", Wish::default(), &Expected::anything()).unwrap();
    let seen = waits("Docker does not answer").await;
    assert_eq!(seen.state, "running", "it is not undone: {seen:?}");
    let done = over(&apps, job.id).await;
    assert_eq!((done.state.as_str(), done.reason, done.waits), ("done", None, None));
    assert_eq!(played.words(), ["pull", "up", "up"]);
}

fn own(compose: &str) -> contract::apps::own::Definition {
    contract::apps::own::Definition { title: "Radio".to_owned(), compose: Some(compose.to_owned()), ..Default::default() }
}

#[tokio::test]
async fn an_app_of_one_s_own_is_an_app_like_the_others() {
    let mut played = Played::start();
    let apps = played.with_app();
    let port = free_port();
    let text = format!("services: {{ app: {{ image: x:1, ports: [\"{port}:80\"], environment: [PASSWORD] }} }}");
    assert!(matches!(apps.save_own("broker", own(&text), false), Err(NotSaved::Taken(_))), "the catalog's names are its own");
    apps.save_own("radio", own(&text), true).unwrap();
    assert!(matches!(apps.save_own("radio", own(&text), true), Err(NotSaved::There(_))));
    let (face, ports) = apps.offer("radio").unwrap();
    assert!(face.title.ca == "Radio" && ports["tcp-80"] == PortView { port, scheme: "http".to_owned() });
    let with = |password: &str| Wish { settings: [("PASSWORD".to_owned(), password.to_owned())].into(), ..Wish::default() };
    assert!(apps.install("radio", Wish::default()).unwrap_err().to_string().contains("`PASSWORD` must be said"));
    let job = apps.install("radio", with("se-cret")).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    let pull = played.asked.recv().await.unwrap();
    assert_eq!((&pull["request"], &pull["again"], &pull["project"]["app"]), (&json!("pull-own"), &json!(false), &json!("radio")));
    let up = played.asked.recv().await.unwrap();
    assert_eq!((&up["request"], &up["project"]["choices"]["settings"]["PASSWORD"]), (&json!("up-own"), &json!("se-cret")));
    let shown = serde_json::to_value(apps.list().await).unwrap();
    assert!(shown[0]["ports"]["tcp-80"]["port"] == port && shown[0]["own"] == true && !shown.to_string().contains("se-cret"), "{shown}");
    assert_eq!(apps.settings("radio").unwrap().0["PASSWORD"], "(set)");
    assert!(apps.list_own()[0].installed && !shown.to_string().contains("PASSWORD"));
    // What is saved later is another version; an update asks for its images anew.
    apps.save_own("radio", own(&text.replace("x:1", "x:2")), false).unwrap();
    assert!(apps.list().await[0].newer);
    // What that changes is said before.
    let update = apps.update("radio").unwrap();
    let image = Change { part: Part::Image, name: String::new(), was: Some("x:1".to_owned()), becomes: Some("x:2".to_owned()) };
    assert!(update.again && update.changes == [image], "{update:?}");
    assert!(matches!(apps.update("wiki"), Err(Refused::NotInstalled(_))));
    let job = apps.change("radio", Wish { update: true, ..Wish::default() }, &Expected::anything()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    for _ in 0..2 {
        let asked = played.asked.recv().await.unwrap();
        assert!(asked["project"]["definition"]["compose"].as_str().unwrap().contains("x:2"), "{asked}");
        assert!(asked["request"] == "up-own" || asked["again"] == true);
    }
    // It is there after a restart of the agent, and goes like every other.
    let again = played.apps();
    assert!(again.list().await[0].own && !again.list().await[0].newer);
    assert!(again.forget_own("radio").unwrap());
    assert_eq!(again.list().await.len(), 1, "what is installed goes on");
    let job = again.remove("radio", true, &Expected::anything()).unwrap();
    assert_eq!(over(&again, job.id).await.state, "done");
    assert!(again.list().await.is_empty());
}

#[tokio::test]
async fn what_no_owner_allowed_is_not_begun_and_what_one_took_back_is_not_started() {
    let mut played = Played::start();
    let apps = played.with_app();
    apps.save_own("radio", own("services:\n  app:\n    image: x:1\n    volumes: [\"/srv/music:/m:ro\"]\n"), true).unwrap();
    let refused = apps.install("radio", Wish::default()).unwrap_err().to_string();
    assert!(
        refused.starts_with("line 4, column 15: `services.app.volumes` asks for the privilege `host-path-read=/srv/music`"),
        "{refused}"
    );
    assert!(played.words().is_empty());
    apps.grant_own("radio", ["host-path-read=/srv/music".parse().unwrap()].into(), "ana").unwrap();
    let job = apps.install("radio", Wish::default()).unwrap();
    assert_eq!(over(&apps, job.id).await.state, "done");
    let _pull = played.asked.recv().await.unwrap();
    let up = played.asked.recv().await.unwrap();
    assert_eq!(up["project"]["grants"], json!(["host-path-read=/srv/music"]));
    apps.grant_own("radio", [].into(), "ana").unwrap();
    let job = apps.act("radio", Action::Start).unwrap();
    over(&apps, job.id).await;
    let up = played.asked.recv().await.unwrap();
    assert_eq!((&up["request"], &up["project"]["grants"]), (&json!("up-own"), &json!([])), "the broker refuses it");
}
