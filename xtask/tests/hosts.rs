//! The builder on hosts that lack something, run as an ordinary user who has no rights: each run ends in one sentence with its mend.
//!
//! `unshare` makes the host: a user of no special rights, with an /etc/subuid, a PATH and a disk of our own. What is built is a tools tree of
//! three small packages made here, so that nothing is fetched.
#![cfg(test)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// Who runs the builder inside.
const USER: u32 = 1234;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often something that is waited for is looked at.
const POLL: Duration = Duration::from_millis(1);
/// Bytes of the large package: enough that laying it out takes longer than a look.
const LARGE_BYTES: usize = 24 << 20;
/// Files of the package of many files: more than the small disk holds.
const MANY_FILES: usize = 300;

/// A 64-bit ELF program that ends with status 0: `mov edi, 0; mov eax, 60; syscall`.
fn program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    let code = [0xbf, 0, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut bytes = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [2_u16, 62] {
        bytes.extend(half.to_le_bytes());
    }
    bytes.extend(1_u32.to_le_bytes());
    for word in [BASE + 120, 64, 0] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        bytes.extend(half.to_le_bytes());
    }
    // One segment, readable and executable.
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(5_u32.to_le_bytes());
    let size = 120 + code.len() as u64;
    for word in [0, BASE, BASE, size, size, 0x1000] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(code);
    bytes
}

/// Path (a folder's ends with `/`), mode, content.
type File<'a> = (String, u32, &'a [u8]);

fn folder(path: &str) -> File<'_> {
    file(path, b"")
}

fn file<'a>(path: &str, content: &'a [u8]) -> File<'a> {
    (path.to_owned(), 0o755, content)
}

fn tar_of(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, mode, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(if path.ends_with('/') { tar::EntryType::Directory } else { tar::EntryType::Regular });
        header.set_mode(*mode);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, path, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn deb_of(name: &str, files: &[File<'_>]) -> Vec<u8> {
    let control = format!("Package: {name}\nVersion: 1\nArchitecture: all\nDescription: test\n");
    let control = tar_of(&[("control".to_owned(), 0o644, control.as_bytes())]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (member, content) in [("debian-binary", b"2.0\n".as_slice()), ("control.tar", &control), ("data.tar", &tar_of(files))] {
        writeln!(bytes, "{member:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(2), b'\n');
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A repository whose tools tree is small, its packages, a cache, and what the host is made of.
struct Host {
    folder: TempDir,
}

impl Host {
    fn new(large: usize) -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["repo/images/tools", "repo/board-configs", "debs", "cache", "bin"] {
            fs::create_dir_all(host.path(name)).unwrap();
        }
        fs::set_permissions(host.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let (program, large) = (program(), vec![7; large]);
        let frame = [folder("usr/"), folder("usr/bin/"), folder("usr/share/"), folder("etc/"), file("usr/bin/true", &program)];
        let masters = ["passwd", "group"].map(|name| file(&format!("usr/share/base-passwd/{name}.master"), b"root:*:0:0::/:/\n"));
        let mut many = vec![folder("usr/share/large/"), file("usr/share/large/one", &large)];
        many.extend((0..MANY_FILES).map(|number| file(&format!("usr/share/large/{number}"), b"x")));
        let masters = [[folder("usr/share/base-passwd/")].as_slice(), masters.as_slice()].concat();
        let mut lock = "epoch = 1700000000\n".to_owned();
        for (name, files) in [("base-files", frame.as_slice()), ("base-passwd", &masters), ("large", &many)] {
            let deb = deb_of(name, files);
            let sum = hex(&Sha256::digest(&deb));
            fs::write(host.path(&format!("debs/{sum}.deb")), &deb).unwrap();
            lock.push_str(&format!(
                "\n[[package]]\nname = \"{name}\"\nversion = \"1\"\narch = \"all\"\nsource = \"test\"\npath = \"pool/{name}_1_all.deb\"\nsize = {}\nsha256 = \"{sum}\"\n",
                deb.len()
            ));
        }
        fs::write(host.path("repo/images/tools/tools.lock"), lock).unwrap();
        fs::write(
            host.path("repo/images/sources.toml"),
            "[test]\nurl = \"http://127.0.0.1:9/test\"\nsuites = [\"test\"]\ncomponents = [\"main\"]\nkeys = [\"test.gpg\"]\n",
        )
        .unwrap();
        fs::write(host.path("subids"), format!("{USER}:100000:65536\n")).unwrap();
        for name in ["newuidmap", "newgidmap"] {
            fs::write(host.path("bin").join(name), "").unwrap();
        }
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The builder, told to run a program in its tools tree. `setup`: shell, run before as one who may mount; `exec "$@"` is the builder.
    fn command(&self, setup: &str) -> Command {
        let user = USER.to_string();
        let script = format!(
            "set -eu; for file in /etc/subuid /etc/subgid; do mount --bind '{}' $file; done; {setup}",
            self.path("subids").display()
        );
        #[expect(clippy::disallowed_methods, reason = "the builder is what is tested here")]
        let mut command = Command::new("unshare");
        command
            .args(["--user", "--map-user", &user, "--map-group", &user, "--keep-caps", "--mount", "sh", "-c", &script, "sh"])
            .args([env!("CARGO_BIN_EXE_xtask"), "tools", "--deb-mirror"])
            .arg(self.path("debs"))
            .args(["--", "true"])
            .env("CARGO_MANIFEST_DIR", self.path("repo/xtask"))
            .env("CLOUDY_CACHE", self.path("cache"))
            .env("BIN", self.path("bin"))
            .stdin(Stdio::null())
            .current_dir(self.path("repo"));
        command
    }

    fn run(&self, setup: &str) -> (bool, String) {
        said(self.command(setup).output().unwrap())
    }

    fn start(&self, setup: &str) -> Child {
        self.command(setup).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap()
    }

    /// Tools trees under their final names, and working folders.
    fn trees(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries = fs::read_dir(self.path("cache/tools")).map(|entries| entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>());
        entries.unwrap_or_default().into_iter().partition(|path| !path.file_name().unwrap().to_str().unwrap().starts_with('.'))
    }
}

fn said(output: Output) -> (bool, String) {
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// As a good host does.
const GOOD: &str = "PATH=$BIN exec \"$@\"";

/// The builder fails with just this problem, which has this mend.
fn refused(host: &Host, setup: &str, problem: &str, mend: &str) {
    let (good, said) = host.run(setup);
    assert!(!good, "{said}");
    assert!(said.contains(problem) && said.contains(mend), "{said}");
    assert!(said.lines().filter(|line| line.starts_with("  - ")).count() <= 1, "more is said than is wrong: {said}");
    assert_eq!(host.trees(), Default::default(), "{said}");
}

#[test]
fn a_good_host_builds_and_each_lack_is_named_with_its_mend() {
    let host = Host::new(1000);
    refused(
        &host,
        "echo 0 > /proc/sys/user/max_user_namespaces; PATH=$BIN exec \"$@\"",
        "user namespaces are switched off",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000",
    );
    // The setting that is seen is good, and one that is not seen forbids it.
    refused(
        &host,
        &format!(
            "echo 1 > /proc/sys/user/max_user_namespaces; exec unshare --user --map-user {USER} --map-group {USER} env PATH=$BIN \"$@\""
        ),
        "user namespaces are refused here",
        "build outside of it",
    );
    refused(&host, "PATH=/nonexistent exec \"$@\"", "newuidmap and newgidmap are missing", "sudo apt install uidmap");
    fs::remove_file(host.path("bin/newgidmap")).unwrap();
    refused(&host, GOOD, "newuidmap and newgidmap are missing", "sudo apt install uidmap");
    fs::write(host.path("bin/newgidmap"), "").unwrap();
    for (file, flag) in [("subuid", "--add-subuids"), ("subgid", "--add-subgids")] {
        refused(&host, &format!("umount /etc/{file}; mount --bind /dev/null /etc/{file}; {GOOD}"), &format!("/etc/{file}"), flag);
    }
    let (good, said) = host.run(GOOD);
    assert!(good, "{said}");
    let (whole, aside) = host.trees();
    assert_eq!((whole.len(), aside.len()), (1, 0), "{whole:?} {aside:?}");
}

#[test]
fn a_full_disk_is_said_with_its_mend_wherever_it_gets_full() {
    let host = Host::new(1000);
    let on = |options: &str| {
        // The disk is gone with its namespace: what is left on it is listed before.
        let setup = format!(
            "mount -t tmpfs -o {options} disk \"$CLOUDY_CACHE\"; if (PATH=$BIN; \"$@\"); then exit 0; fi; ls -A \"$CLOUDY_CACHE/tools\" 2>/dev/null; exit 1"
        );
        let output = host.command(&setup).output().unwrap();
        let left = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let (good, said) = said(output);
        assert!(!good && left.is_empty(), "left: {left}; {said}");
        said
    };
    let small = on("size=4m");
    assert!(small.contains("only 0 GiB are free") && small.contains("set CLOUDY_CACHE"), "{small}");
    // Room enough by its size, but none for so many files: it gets full while packages come, or while they are laid out.
    for (files, doing) in [(4, "failed to fetch"), (100, "failed to lay out the tools tree")] {
        let full = on(&format!("size=20g,nr_inodes={files}"));
        assert!(full.contains(doing) && full.contains("is full: make room, or set CLOUDY_CACHE"), "{full}");
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}: never seen");
        std::thread::sleep(POLL);
    }
}

#[test]
fn a_build_that_is_killed_leaves_nothing_half_made_and_the_next_is_good() {
    let host = Host::new(LARGE_BYTES);
    let large = |path: &Path| path.join("tree/usr/share/large/one");
    // On a busy machine the build may be done before it is seen at work; then there is another.
    let begun = Instant::now();
    loop {
        let mut child = host.start(GOOD);
        wait_for("the large file", || {
            host.trees().1.iter().any(|aside| large(aside).exists()).then_some(()).or(child.try_wait().unwrap().map(|_| ()))
        });
        let _ = killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL);
        if child.wait().unwrap().signal() == Some(Signal::SIGKILL as i32) && host.trees().0.is_empty() {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "it never was seen at work");
        fs::remove_dir_all(host.path("cache")).unwrap();
        fs::create_dir(host.path("cache")).unwrap();
    }
    assert_eq!(host.trees().1.len(), 1, "what it worked on lies aside");
    let (good, said) = host.run(GOOD);
    assert!(good, "{said}");
    let (whole, aside) = host.trees();
    assert_eq!((whole.len(), aside.len()), (1, 0), "the next build removes what the killed one left");
    assert_eq!(
        fs::metadata(large(Path::new("")).strip_prefix("tree").map(|path| whole[0].join(path)).unwrap()).unwrap().len(),
        LARGE_BYTES as u64
    );
}

#[test]
fn two_builds_at_once_wait_for_each_other() {
    let host = Host::new(LARGE_BYTES);
    // On a busy machine one may be done before the other begins; then there are two others.
    let begun = Instant::now();
    loop {
        let both = [host.start(GOOD), host.start(GOOD)].map(|child| said(child.wait_with_output().unwrap()));
        assert!(both.iter().all(|(good, _)| *good), "{both:?}");
        if both.iter().filter(|(_, said)| said.contains("another build")).count() == 1 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "none waits for the other: {both:?}");
        fs::remove_dir_all(host.path("cache")).unwrap();
        fs::create_dir(host.path("cache")).unwrap();
    }
    let (whole, aside) = host.trees();
    assert_eq!((whole.len(), aside.len()), (1, 0));
}
