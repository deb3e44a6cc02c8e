//! The broker's own process: takes requests, each in a task of its own, so that how things are is told while an image is pulled.

use super::turns::Turns;
use super::{Failure, Heard, LINE_BYTES, OwnProject, Progress, ProjectState, Projects, Reply, Request, Said, Volume};
use super::{adopt, container, docker, down, own, places, project, run, said, stores, stream, up, uses, volumes};
use crate::full;
use crate::limits::{BROKER_CLIENTS, BROKER_IDLE, BROKER_TIMEOUT, FAILURE_LOG_LINES, LOG_MAX_LINES, PULL_TIMEOUT, STREAM_IDLE};
use crate::storage::Places;
use anyhow::{Context, Result, bail};
use contract::oci::Digest;
use futures_util::StreamExt;
use serde::Serialize;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What the broker is started with. None of it comes from the agent.
#[derive(Clone, Debug)]
pub struct Options {
    /// The socket to open when systemd hands none over.
    pub socket: Option<PathBuf>,
    /// Where it keeps the projects that it made.
    pub state: PathBuf,
    /// Docker's socket.
    pub docker_socket: PathBuf,
    /// The program that has compose as a plug-in.
    pub docker: PathBuf,
    /// The only registry that is pulled from.
    pub registry: SocketAddr,
    /// Where each app that uses the store has a folder.
    pub stores: PathBuf,
    /// Where disks beside the node's own are mounted.
    pub disks: Places,
}

/// What all requests share.
pub(super) struct Broker {
    pub options: Options,
    /// Who changes something.
    pub(super) turns: Turns,
    /// One image is pulled at a time.
    pulling: Mutex<()>,
}

/// Serves until idle (when systemd listens for us) or for ever (at `socket`).
///
/// # Errors
/// When the socket can't be opened.
pub async fn serve(options: Options) -> Result<()> {
    let (listener, idle) = match (inherited()?, &options.socket) {
        (Some(listener), _) => (listener, true),
        (None, Some(path)) => (bind(path)?, false),
        (None, None) => bail!("no socket was handed over by systemd; name one with --socket PATH"),
    };
    log::info!("the broker listens");
    serve_at(listener, options, idle).await
}

async fn serve_at(listener: UnixListener, options: Options, idle: bool) -> Result<()> {
    let broker = Arc::new(Broker { options, turns: Turns::default(), pulling: Mutex::new(()) });
    let slots = Arc::new(Semaphore::new(BROKER_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.context("accepting a connection to the broker")?;
                let (broker, slot) = (Arc::clone(&broker), Arc::clone(&slots).acquire_owned().await);
                clients.spawn(async move {
                    let _slot = slot;
                    if let Err(error) = client(stream, &broker).await {
                        log::warn!("a request to the broker failed: {error:#}");
                    }
                });
            }
            Some(_) = clients.join_next(), if !clients.is_empty() => {}
            () = tokio::time::sleep(BROKER_IDLE), if idle && clients.is_empty() => return Ok(()),
        }
    }
}

/// The listening socket that systemd handed over, if it did (`sd_listen_fds(3)`).
#[expect(unsafe_code, reason = "a file descriptor handed over by systemd is a bare number")]
fn inherited() -> Result<Option<UnixListener>> {
    let ours = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    if !ours || !std::env::var("LISTEN_FDS").is_ok_and(|count| count == "1") {
        return Ok(None);
    }
    // SAFETY: the protocol gives descriptor 3 to this process, and nothing else here takes it.
    let listener = std::os::unix::net::UnixListener::from(unsafe { OwnedFd::from_raw_fd(3) });
    listener.set_nonblocking(true).context("preparing the socket from systemd")?;
    Ok(Some(UnixListener::from_std(listener).context("taking the socket from systemd")?))
}

fn bind(path: &Path) -> Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).with_context(|| format!("opening the broker's socket `{}`", path.display()))
}

/// One request. What was begun goes to its end, whether the one who asked is still there or not.
async fn client(stream: UnixStream, broker: &Broker) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(read.take(LINE_BYTES));
    timeout(BROKER_TIMEOUT, reader.read_line(&mut line)).await.context("nothing was asked")?.context("reading a request")?;
    let request = match serde_json::from_str(&line) {
        Ok(request) => request,
        Err(error) => {
            let error = format!("this is not a request that the broker knows: {error}");
            return tell(&mut write, &Reply::<()>::Failed(Failure { error, output: String::new() })).await;
        }
    };
    match request {
        Request::Status {} => tell(&mut write, &Reply::Done(docker::status(&broker.options.docker_socket).await)).await,
        Request::Projects {} => end(&mut write, broker.projects().await).await,
        Request::HasImage { app, digest } => end(&mut write, broker.has_image(&app, &digest).await).await,
        Request::Pull { app, digest } => {
            let name = match project::image(&app, &digest, broker.options.registry) {
                Ok(name) => name,
                Err(failure) => return tell(&mut write, &Reply::<()>::Failed(failure)).await,
            };
            let here = broker.have(&name, &mut Teller(&mut write)).await;
            end(&mut write, here).await
        }
        Request::PullOwn { project, again } => {
            let pulled = timeout(PULL_TIMEOUT, broker.pull_own(&project, again, &mut Teller(&mut write))).await;
            end(&mut write, pulled.unwrap_or_else(|_| Err(slow()))).await
        }
        Request::UpOwn { project } => end(&mut write, broker.up_own(&project, true).await).await,
        Request::Up { project } => {
            let done = broker.up(&project, true, &mut Teller(&mut write)).await;
            end(&mut write, done).await
        }
        Request::CreateOwn { project } => end(&mut write, broker.up_own(&project, false).await).await,
        Request::Create { project } => {
            let done = broker.up(&project, false, &mut Teller(&mut write)).await;
            end(&mut write, done).await
        }
        Request::Move { project, to } => {
            let done = broker.shift(&project, to, &mut Teller(&mut write)).await;
            end(&mut write, done).await
        }
        Request::GiveUp { app, disk } => end(&mut write, broker.give_up(&app, disk).await).await,
        Request::Clear { app, from, keep } => end(&mut write, broker.clear(&app, from, keep).await).await,
        Request::Volumes { app } => end(&mut write, broker.volumes(&app).await).await,
        Request::ReadVolume { app, volume } => broker.read_volume(&app, &volume, &mut write).await,
        Request::WriteVolume { app, volume } => {
            reader.get_mut().set_limit(u64::MAX);
            broker.write_volume(&app, &volume, reader, &mut write).await
        }
        Request::Stop { app } => end(&mut write, broker.stop(&app).await).await,
        Request::Restart { app } => end(&mut write, broker.restart(&app).await).await,
        Request::Down { app, data } => end(&mut write, broker.down(&app, data).await).await,
        Request::ByHand {} => end(&mut write, broker.by_hand().await).await,
        Request::LookByHand { container } => end(&mut write, adopt::look(&broker.options.docker_socket, &container).await).await,
        Request::RoomByHand { container } => end(&mut write, adopt::its_room(&broker.options.docker_socket, &container).await).await,
        Request::Hold { container } => end(&mut write, broker.hold(&container).await).await,
        Request::Release { container, was } => end(&mut write, broker.release(&container, &was).await).await,
        Request::MoveIn { container, app } => end(&mut write, broker.move_in(&container, &app).await).await,
        Request::ClearByHand { thing } => end(&mut write, broker.clear_by_hand(&thing).await).await,
        Request::Logs { app, lines } => end(&mut write, in_time(broker.logs(&app, lines.min(LOG_MAX_LINES))).await).await,
        Request::Since { app, heard } => end(&mut write, in_time(broker.since(&app, heard)).await).await,
        Request::Uses {} => end(&mut write, in_time(uses::counted(&broker.options.docker_socket)).await).await,
    }
}

/// A look that Docker begins to answer and does not end holds its place among the clients no longer than whoever asked waits.
async fn in_time<T>(look: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let silent = || Failure { error: "Docker does not answer".to_owned(), ..Failure::default() };
    timeout(BROKER_TIMEOUT, look).await.unwrap_or_else(|_| Err(silent()))
}

fn slow() -> Failure {
    Failure { error: format!("the image is not here after {} s", PULL_TIMEOUT.as_secs()), ..Failure::default() }
}

/// Tells how far a pull is; a client that is gone is told nothing, and the pull goes on.
pub(super) struct Teller<'a>(&'a mut OwnedWriteHalf);

impl Teller<'_> {
    pub async fn tell(&mut self, progress: Progress) {
        let _gone = tell(self.0, &Reply::<()>::Progress(progress)).await;
    }
}

async fn tell<T: Serialize>(write: &mut OwnedWriteHalf, reply: &Reply<T>) -> Result<()> {
    let line = format!("{}\n", serde_json::to_string(reply)?);
    timeout(BROKER_TIMEOUT, write.write_all(line.as_bytes())).await.context("a client does not read")?.context("answering")
}

async fn end<T: Serialize>(write: &mut OwnedWriteHalf, outcome: Result<T, Failure>) -> Result<()> {
    let reply = match outcome {
        Ok(answer) => Reply::Done(answer),
        // What an app said last may be of a disk of its own.
        Err(failure) => Reply::Failed(full::explained_by_error(failure)),
    };
    tell(write, &reply).await
}

impl Broker {
    async fn projects(&self) -> Result<Projects, Failure> {
        docker::projects(&self.options.docker_socket).await
    }

    async fn logs(&self, app: &str, lines: u32) -> Result<String, Failure> {
        docker::logs(&self.options.docker_socket, &project::named(app)?, lines).await
    }

    async fn since(&self, app: &str, heard: Heard) -> Result<Said, Failure> {
        said::since(&self.options.docker_socket, &project::named(app)?, heard).await
    }

    /// What an app said last, for a failure: nothing where that can't be had.
    async fn last_words(&self, app: &str) -> String {
        let logs = timeout(BROKER_TIMEOUT, self.logs(app, FAILURE_LOG_LINES)).await;
        logs.ok().and_then(Result::ok).filter(|text| !text.is_empty()).map(|text| format!("What the app said:\n{text}")).unwrap_or_default()
    }

    async fn has_image(&self, app: &str, digest: &Digest) -> Result<bool, Failure> {
        let name = project::image(app, digest, self.options.registry)?;
        Ok(docker::held(&self.options.docker_socket, &name).await?.is_some())
    }

    /// Gets an image that is named by its digest. One that is here is what it was: nothing is asked of the registry for it.
    pub(super) async fn have(&self, image: &str, teller: &mut Teller<'_>) -> Result<(), Failure> {
        let _one = self.pulling.lock().await;
        let socket = &self.options.docker_socket;
        if docker::held(socket, image).await?.is_some() {
            return Ok(());
        }
        timeout(PULL_TIMEOUT, docker::pull(socket, image, teller)).await.unwrap_or_else(|_| Err(slow()))
    }

    /// An app of the catalog. An image that somebody cleaned up is got again.
    async fn up(&self, wanted: &super::Project, start: bool, teller: &mut Teller<'_>) -> Result<(), Failure> {
        let (project, wait) = project::checked(wanted, self.options.registry)?;
        let place = places::place(&self.options.disks, wanted.place)?;
        let shall_be = container::wanted(&project, &self.options.stores, place.as_ref());
        let _turn = self.turns.of_both(&wanted.app).await;
        places::make_new(&self.options.docker_socket, &shall_be).await?;
        places::has_all(&shall_be)?;
        // Earlier releases ran compose on a file of theirs, in which passwords stand.
        run::forget(&self.options.state, &wanted.app)?;
        if let Some(app) = &project.store {
            stores::make(&project::store_folder(&self.options.stores, app)?)?;
        }
        self.have(&shall_be.image, teller).await?;
        let start = if start { up::Start::Within(wait) } else { up::Start::Never };
        let done = up::up(&self.options.docker_socket, &shall_be, start).await;
        self.with_last_words(&wanted.app, done).await
    }

    async fn start_own(&self, app: &str, wait: Duration, start: bool) -> Result<(), Failure> {
        if !start {
            return run::compose(&self.options, app, &["up", "--no-start", "--remove-orphans"], run::CHANGE).await;
        }
        let seconds = wait.as_secs().to_string();
        let words = ["up", "--detach", "--remove-orphans", "--wait", "--wait-timeout", &seconds];
        let done = run::compose(&self.options, app, &words, wait + run::GRACE).await;
        self.with_last_words(app, done).await
    }

    /// A failure keeps what the app said last.
    async fn with_last_words(&self, app: &str, done: Result<(), Failure>) -> Result<(), Failure> {
        let Err(failure) = done else { return Ok(()) };
        let output = [failure.output, self.last_words(app).await].join("\n");
        Err(Failure { error: failure.error, output: output.trim().to_owned() })
    }

    /// Gets what Docker has not. An image that is here and can't be had anew is no failure: somebody may have brought it by hand.
    async fn pull_own(&self, wanted: &OwnProject, again: bool, teller: &mut Teller<'_>) -> Result<(), Failure> {
        let (images, socket, state) = (own::images(wanted)?, &self.options.docker_socket, &self.options.state);
        let _one = self.pulling.lock().await;
        let mut kept = run::own(state, &wanted.app).unwrap_or_default();
        for image in images {
            let here = docker::held(socket, &image).await?;
            if here.is_some() && !again {
                continue;
            }
            if here.is_none() {
                // Noted before: it goes with the app, though nothing can be written any more once it is here.
                kept.pulled.insert(image.clone());
                run::keep_own(state, &wanted.app, &kept)?;
            }
            match (docker::pull(socket, &image, teller).await, here) {
                (Ok(()), Some(before)) if kept.pulled.contains(&image) => {
                    kept.before.insert(before);
                }
                (Ok(()), _) => {}
                (Err(failure), None) => {
                    // Who brings by hand what did not come keeps it.
                    if docker::held(socket, &image).await?.is_none() && kept.pulled.remove(&image) {
                        run::keep_own(state, &wanted.app, &kept)?;
                    }
                    return Err(failure);
                }
                (Err(failure), Some(_)) => log::warn!("`{image}` stays as it is: {}", failure.error),
            }
            run::keep_own(state, &wanted.app, &kept)?;
        }
        Ok(())
    }

    /// Compose is asked twice: what it understands, and, once that was held against what was granted, to start it.
    async fn up_own(&self, wanted: &OwnProject, start: bool) -> Result<(), Failure> {
        let (text, wait) = own::compose_file(wanted)?;
        own::places(&wanted.grants, Path::new("/"))?;
        let (app, state) = (&wanted.app, &self.options.state);
        let _turn = self.turns.of_both(app).await;
        let mut kept = run::own(state, app).unwrap_or_default();
        run::keep_own(state, app, &kept)?;
        run::write(state, app, &text)?;
        let understood = run::config(&self.options, app).await?;
        contract::apps::own::check_normalised(&understood, &project::named(app)?, &wanted.grants)
            .map_err(|error| Failure { error, output: String::new() })?;
        self.start_own(app, wait, start).await?;
        for image in std::mem::take(&mut kept.before) {
            docker::remove_image(&self.options.docker_socket, &image).await;
        }
        run::keep_own(state, app, &kept)
    }

    async fn volumes(&self, app: &str) -> Result<Vec<Volume>, Failure> {
        let all = volumes::reached(&self.options.docker_socket, &project::named(app)?).await?;
        Ok(all.into_iter().map(|reached| reached.volume).collect())
    }

    /// A volume of an app that does not run: a client that has gone ends the reading of it.
    async fn read_volume(&self, app: &str, volume: &Volume, write: &mut OwnedWriteHalf) -> Result<()> {
        let socket = &self.options.docker_socket;
        let begun = async { volumes::read(socket, &volumes::one(socket, &project::named(app)?, volume).await?).await };
        let mut pieces = match begun.await {
            Ok(pieces) => pieces,
            Err(failure) => return tell(write, &Reply::<()>::Failed(failure)).await,
        };
        tell(write, &Reply::Done(())).await?;
        let mut wrong = None;
        loop {
            let Ok(piece) = timeout(STREAM_IDLE, pieces.next()).await else {
                wrong = Some(Failure { error: format!("Docker gave nothing more for {} s", STREAM_IDLE.as_secs()), output: String::new() });
                break;
            };
            let Some(piece) = piece else { break };
            match piece {
                Ok(piece) => stream::put(write, &piece).await?,
                Err(error) => wrong = Some(Failure { error, output: String::new() }),
            }
        }
        stream::end(write).await?;
        end(write, wrong.map_or(Ok(()), Err)).await
    }

    async fn write_volume(
        &self,
        app: &str,
        volume: &Volume,
        from: impl AsyncRead + Unpin + Send + 'static,
        write: &mut OwnedWriteHalf,
    ) -> Result<()> {
        let socket = &self.options.docker_socket;
        let begun = async { volumes::one(socket, &project::named(app)?, volume).await };
        let to = match begun.await {
            Ok(to) => to,
            Err(failure) => return tell(write, &Reply::<()>::Failed(failure)).await,
        };
        tell(write, &Reply::Done(())).await?;
        let tar = crate::pieces::stream(stream::taken(from));
        end(write, volumes::write(socket, &to, tar).await).await
    }

    async fn stop(&self, app: &str) -> Result<(), Failure> {
        let project = project::named(app)?;
        match run::own(&self.options.state, app) {
            Some(_) => {
                let _turn = self.turns.of_both(app).await;
                run::compose(&self.options, app, &["stop"], run::CHANGE).await
            }
            // It waits for no other change: an app that waits to be well, or for its image, may have to stop, or another one.
            None => down::stop_all(&self.options.docker_socket, &project).await,
        }
    }

    async fn restart(&self, app: &str) -> Result<(), Failure> {
        let project = project::named(app)?;
        let _turn = self.turns.of_both(app).await;
        match run::own(&self.options.state, app) {
            Some(_) => run::compose(&self.options, app, &["restart"], run::CHANGE).await,
            None => down::restart_all(&self.options.docker_socket, &project, &self.options.disks).await,
        }
    }

    async fn down(&self, app: &str, data: bool) -> Result<(), Failure> {
        let project = project::named(app)?;
        let _turn = self.turns.of_both(app).await;
        let socket = &self.options.docker_socket;
        match run::own(&self.options.state, app) {
            Some(own) => {
                let words = [&["down", "--remove-orphans"][..], if data { &["--volumes"] } else { &[] }].concat();
                run::compose(&self.options, app, &words, run::CHANGE).await?;
                // Only what was pulled for it goes: nobody could bring back what was loaded by hand.
                for image in own.pulled.into_iter().chain(own.before) {
                    docker::remove_image(socket, &image).await;
                }
            }
            None => down::down(socket, &project, &project::images(app, self.options.registry), data, &self.options.disks).await?,
        }
        let left = self.projects().await?.get(app).copied().unwrap_or_default();
        if left != (ProjectState { data: left.data && !data, ..ProjectState::default() }) {
            let error = format!("Docker took `{app}` away, and something of it is still there");
            return Err(Failure { error, output: String::new() });
        }
        stores::clear(&project::store_folder(&self.options.stores, app)?);
        run::forget(&self.options.state, app)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

#[cfg(test)]
#[path = "adopt_tests.rs"]
mod adopt_tests;
