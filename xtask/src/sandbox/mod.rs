//! Commands in a root of our own: a user, mount, PID and (unless asked) network namespace around a tree of Debian packages. No root needed.
//!
//! Three processes carry it. `outer` (this program again, `__sandbox`) makes the namespaces; `__sandbox-map` stays outside for a moment to
//! have newuidmap and newgidmap write the maps; `inner` (`__sandbox-inner`) is PID 1 inside: it mounts, enters the root, starts the command
//! and ends with its status. When the builder dies, each dies with its parent, so nothing is left running or mounted.

mod binfmt;
mod host;
mod ids;
mod inner;
mod outer;

use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cmd;
pub use binfmt::refuse_emulation;
pub use host::check as check_host;

/// An environment variable for tests of reproducibility: `OFFSET:LIBRARY`, with which every command in a sandbox sees another time of day
/// (`+400d:/path/to/libfaketime.so.1`).
pub const FAKE_CLOCK: &str = "CLOUDY_TEST_CLOCK";

/// Where that library is seen inside.
const FAKE_CLOCK_LIBRARY: &str = "/run/faketime.so";

/// Where a bind mount comes from and goes to.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Bind {
    host: PathBuf,
    /// Absolute, inside the root; made if missing.
    inside: PathBuf,
    writable: bool,
}

/// Where changes to the root go.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Upper {
    /// To memory, gone at the end.
    Discard,
    /// To `dir/upper` (with `dir/work` beside it, as overlayfs wants).
    Keep(PathBuf),
}

/// Which owners exist inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Owners {
    /// Root alone, who is the caller outside. Enough for compilers and image tools.
    Root,
    /// 0 to 65535, by the caller's subordinate ids: maintainer scripts chown.
    All,
}

/// All that `inner` must know, handed over as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Spec {
    root: PathBuf,
    /// Trees over the root, the uppermost first.
    layers: Vec<PathBuf>,
    scratch: PathBuf,
    upper: Upper,
    binds: Vec<Bind>,
    env: Vec<(String, String)>,
    cwd: PathBuf,
    argv: Vec<String>,
    network: bool,
    /// Whether containers are run in it: /sys and the control groups are there, to be read.
    containers: bool,
    owners: Owners,
}

/// A part of this program that runs as the command of a sandbox: the word that names it, and itself. It sees the sandbox as any
/// command does, and needs no library of the tree.
pub type Part = (&'static str, fn(&[String]) -> Result<i32>);

/// A root and what is mounted in it; the start of any number of commands.
#[derive(Clone, Debug)]
pub struct Sandbox {
    spec: Spec,
}

impl Sandbox {
    /// A sandbox whose root is `root`; what commands change there is forgotten.
    pub fn new(root: &Path) -> Self {
        let spec = Spec {
            root: root.to_owned(),
            layers: Vec::new(),
            scratch: PathBuf::new(),
            upper: Upper::Discard,
            binds: Vec::new(),
            env: vec![
                ("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()),
                ("HOME".into(), "/root".into()),
                ("LC_ALL".into(), "C.UTF-8".into()),
                ("TZ".into(), "UTC".into()),
            ],
            cwd: "/".into(),
            argv: Vec::new(),
            network: false,
            containers: false,
            owners: Owners::Root,
        };
        let sandbox = Self { spec };
        match std::env::var(FAKE_CLOCK).ok().as_deref().and_then(|value| value.split_once(':')) {
            Some((offset, library)) => sandbox
                .bind(Path::new(library), FAKE_CLOCK_LIBRARY)
                .env("LD_PRELOAD", FAKE_CLOCK_LIBRARY)
                .env("FAKETIME", offset)
                .env("NO_FAKE_STAT", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            None => sandbox,
        }
    }

    /// Lays a further tree over the root.
    pub fn layer(mut self, tree: &Path) -> Self {
        self.spec.layers.insert(0, tree.to_owned());
        self
    }

    /// Shows the host's `host` at `inside`, read-only.
    pub fn bind(mut self, host: &Path, inside: &str) -> Self {
        self.spec.binds.push(Bind { host: host.to_owned(), inside: inside.into(), writable: false });
        self
    }

    /// Shows the host's `host` at `inside`, to be written.
    pub fn bind_writable(mut self, host: &Path, inside: &str) -> Self {
        self.spec.binds.push(Bind { host: host.to_owned(), inside: inside.into(), writable: true });
        self
    }

    /// Sets an environment variable. The host's environment is never seen.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.spec.env.retain(|(known, _)| known != name);
        self.spec.env.push((name.into(), value.into()));
        self
    }

    /// The working directory inside.
    pub fn cwd(mut self, inside: &str) -> Self {
        self.spec.cwd = inside.into();
        self
    }

    /// Lets commands use the host's network.
    pub fn network(mut self) -> Self {
        self.spec.network = true;
        self
    }

    /// Lets commands run containers: a Docker of one's own needs /sys and the control groups, if only to read them.
    pub fn containers(mut self) -> Self {
        self.spec.containers = true;
        self
    }

    /// Which owners exist inside.
    pub fn owners(mut self, owners: Owners) -> Self {
        self.spec.owners = owners;
        self
    }

    /// Keeps what commands change in `dir/upper`, as overlayfs writes it.
    pub fn keep_changes(mut self, dir: &Path) -> Self {
        self.spec.upper = Upper::Keep(dir.to_owned());
        self
    }

    /// A command in this sandbox.
    pub fn command<S: Into<String>>(&self, argv: impl IntoIterator<Item = S>) -> Invocation {
        let mut spec = self.spec.clone();
        spec.argv = argv.into_iter().map(Into::into).collect();
        Invocation { spec }
    }
}

/// A command that has not started.
#[derive(Clone, Debug)]
pub struct Invocation {
    spec: Spec,
}

/// A command that runs; killing `child` ends everything inside.
#[derive(Debug)]
pub struct Running {
    /// The outer process: its stdin, stdout and stderr are the command's.
    pub child: Child,
    /// Holds the mount points while it runs.
    _scratch: tempfile::TempDir,
}

impl Invocation {
    /// Starts it with the given standard streams.
    pub fn spawn(&self, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> Result<Running> {
        let scratch = tempfile::Builder::new().prefix("cloudy-sandbox-").tempdir().context("failed to make the sandbox's mount point")?;
        let mut spec = self.spec.clone();
        spec.scratch = scratch.path().to_owned();
        let json = serde_json::to_string(&spec)?;
        #[expect(clippy::disallowed_methods, reason = "this is the one place that starts this program again as the sandbox")]
        let mut command = Command::new("/proc/self/exe");
        command.args([outer::VERB, &json]).stdin(stdin).stdout(stdout).stderr(stderr);
        let child = command.spawn().with_context(|| format!("failed to start the sandbox for `{}`", self.shown()))?;
        Ok(Running { child, _scratch: scratch })
    }

    /// Runs it to its end and returns what it printed on stdout.
    ///
    /// # Errors
    /// When it ends with a status other than 0: with the command and the tail of its stderr.
    pub fn run(&self) -> Result<Vec<u8>> {
        self.run_with(|_| Ok(()), |_| ())
    }

    /// Runs it, feeding its stdin by `feed`, showing each line of its stderr to `each`.
    pub fn run_with(&self, feed: impl FnOnce(ChildStdin) -> Result<()> + Send, each: impl FnMut(&str) + Send) -> Result<Vec<u8>> {
        let mut running = self.spawn(Stdio::piped(), Stdio::piped(), Stdio::piped())?;
        let stdin = running.child.stdin.take();
        let shown = self.shown();
        std::thread::scope(|scope| {
            let feeder = scope.spawn(move || stdin.map_or(Ok(()), feed));
            let Running { child, _scratch } = running;
            let result = cmd::finish(&shown, child, each);
            let fed = feeder.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the writer to `{shown}` broke")));
            // A command that ended early breaks the pipe: its own words are the better error.
            let output = result?;
            fed.with_context(|| format!("failed to write to `{shown}`"))?;
            Ok(output)
        })
    }

    fn shown(&self) -> String {
        self.spec.argv.join(" ")
    }
}

/// Takes the builder's process over when it was started as a part of a sandbox; returns otherwise. `parts`: what of this program
/// may be a sandbox's command.
pub fn maybe_be_a_part(parts: &[Part]) {
    let mut args = std::env::args().skip(1);
    let (Some(verb), Some(rest)) = (args.next(), args.next()) else { return };
    let result = match verb.as_str() {
        outer::VERB => outer::run(&rest),
        inner::VERB => inner::run(&rest, parts),
        ids::VERB => ids::run(&rest),
        host::VERB => host::probe(),
        _ => return,
    };
    match result {
        Ok(status) => std::process::exit(status),
        Err(error) => {
            eprintln!("sandbox: {error:#}");
            std::process::exit(125)
        }
    }
}

/// Removes a tree that may hold files of subordinate owners.
pub fn remove_tree(tools_root: &Path, path: &Path) -> Result<()> {
    if std::fs::remove_dir_all(path).is_ok() || !path.exists() {
        return Ok(());
    }
    let parent = path.parent().context("a path to remove has no parent")?;
    let name = path.file_name().and_then(|n| n.to_str()).context("a path to remove has no name")?;
    Sandbox::new(tools_root)
        .owners(Owners::All)
        .bind_writable(parent, "/doomed")
        .command(["rm", "-rf", &format!("/doomed/{name}")])
        .run()?;
    Ok(())
}
