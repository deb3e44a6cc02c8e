//! The rules of `tidy` as a table, over the files of a checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::misspelt;
use crate::board::Catalog;

/// Lines that a Rust file may have, its tests not counted: a file is about one thing.
const SOURCE_LINES_MAX: usize = 500;
/// Folders that are no part of the repository.
const IGNORED: [&str; 3] = [".git", "target", "out"];
/// Where Rust may stand.
const RUST_FOLDERS: [&str; 3] = ["firmware/", "xtask/src/", "xtask/tests/"];
/// The one file that names hosts of packages, and what cargo writes.
const HOSTS_ALLOWED: [&str; 2] = ["images/sources.toml", "Cargo.lock"];
/// Files larger than this are data.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// A checkout.
pub struct Repo {
    root: PathBuf,
    /// Paths from the root and texts, in order. Files that are no text are not among them.
    pub files: Vec<(String, String)>,
}

/// One rule.
pub struct Rule {
    /// What findings are called by.
    pub name: &'static str,
    /// The rule.
    pub description: &'static str,
    /// What breaks it.
    pub check: fn(&Repo) -> Vec<String>,
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule { name: "module-docs", description: "every Rust file begins with what it is for (`//!`)", check: module_docs },
    Rule { name: "layout", description: "Rust stands in firmware/ and xtask/ only", check: layout },
    Rule { name: "lints", description: "every crate inherits the workspace's lints", check: inherited_lints },
    Rule { name: "length", description: "a Rust file has at most 500 lines, its tests at the end not counted", check: length },
    Rule { name: "paths", description: "no path of the machine that it was written on", check: paths },
    Rule { name: "hosts", description: "hosts of packages stand in images/sources.toml only", check: hosts },
    Rule { name: "ends", description: "a text file ends with one newline, and no line with a space", check: ends },
    Rule { name: "facts", description: "every board and flavour is read without an error", check: facts },
    Rule { name: "commands", description: "every `cargo xtask …` in a text for people is a command of the builder", check: commands },
    Rule { name: "golden", description: "every board has a golden plan, and every golden plan a board", check: golden },
];

impl Repo {
    /// Reads the text files below `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut files = Vec::new();
        walk(root, "", &mut files)?;
        files.sort();
        Ok(Self { root: root.to_owned(), files })
    }

    fn rust(&self) -> impl Iterator<Item = &(String, String)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// Findings: each line (with its number) of each file that `bad` says yes to.
    fn lines(&self, skip: impl Fn(&str) -> bool, bad: impl Fn(&str) -> bool) -> Vec<String> {
        let mut found = Vec::new();
        for (path, text) in self.files.iter().filter(|(path, _)| !skip(path)) {
            found.extend(
                (1..).zip(text.lines()).filter(|(_, line)| bad(line)).map(|(number, line)| format!("{path}:{number}: {}", line.trim())),
            );
        }
        found
    }
}

fn walk(root: &Path, below: &str, files: &mut Vec<(String, String)>) -> Result<()> {
    let folder = root.join(below);
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read `{}`", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !IGNORED.contains(&name.as_str()) {
            walk(root, &path, files)?;
        } else if kind.is_file()
            && entry.metadata()?.len() <= TEXT_BYTES_MAX
            && let Ok(text) = String::from_utf8(std::fs::read(entry.path())?)
        {
            files.push((path, text));
        }
    }
    Ok(())
}

fn module_docs(repo: &Repo) -> Vec<String> {
    repo.rust().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path.clone()).collect()
}

fn layout(repo: &Repo) -> Vec<String> {
    repo.rust().filter(|(path, _)| !RUST_FOLDERS.iter().any(|folder| path.starts_with(folder))).map(|(path, _)| path.clone()).collect()
}

fn inherited_lints(repo: &Repo) -> Vec<String> {
    let inherits = |text: &str| -> Option<bool> {
        let manifest: toml::Table = text.parse().ok()?;
        manifest.get("package")?;
        Some(manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true))
    };
    let crates = repo.files.iter().filter(|(path, _)| path.ends_with("Cargo.toml"));
    crates.filter(|(_, text)| inherits(text) == Some(false)).map(|(path, _)| format!("{path}: write `[lints] workspace = true`")).collect()
}

fn length(repo: &Repo) -> Vec<String> {
    let lines = |text: &str| text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let long = repo.rust().filter(|(path, _)| !path.ends_with("tests.rs")).map(|(path, text)| (path, lines(text)));
    long.filter(|(_, lines)| *lines > SOURCE_LINES_MAX).map(|(path, lines)| format!("{path} has {lines}: divide it")).collect()
}

fn paths(repo: &Repo) -> Vec<String> {
    // A checkout right below the root, or a home that is itself a path of the node, would be found everywhere.
    let mut strays = vec![format!("{}/", repo.root.display())];
    strays.extend(std::env::var("HOME").ok().map(|home| format!("{home}/.")));
    strays.retain(|stray| stray.matches('/').count() > 2);
    repo.lines(|_| false, |line| strays.iter().any(|stray| line.contains(stray.as_str())))
}

fn hosts(repo: &Repo) -> Vec<String> {
    // Written so that this file does not name them either.
    let hosts = ["deb.debian", "security.debian", "snapshot.debian"].map(|host| format!("{host}.org"));
    let registries = ["crates", "docker", "ghcr", "quay"].map(|name| format!("https://{name}.io"));
    let names: Vec<String> = hosts.into_iter().chain(registries).collect();
    repo.lines(|path| HOSTS_ALLOWED.contains(&path), |line| names.iter().any(|name| line.contains(name.as_str())))
}

fn ends(repo: &Repo) -> Vec<String> {
    let data = |path: &str| path.contains("/testdata/") || path.starts_with("overlay/") || path == "LICENSE";
    let mut found = repo.lines(data, |line| line.ends_with([' ', '\t']));
    let open = |text: &str| !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n"));
    found.extend(repo.files.iter().filter(|(path, text)| !data(path) && open(text)).map(|(path, _)| path.clone()));
    found
}

fn facts(repo: &Repo) -> Vec<String> {
    Catalog::load(&[&repo.root]).err().map(|error| error.to_string()).into_iter().collect()
}

fn golden(repo: &Repo) -> Vec<String> {
    let golden: Vec<&str> = repo.files.iter().filter_map(|(path, _)| path.strip_prefix("xtask/golden/")?.strip_suffix(".txt")).collect();
    let Ok(catalog) = Catalog::load(&[&repo.root]) else { return Vec::new() };
    let boards: Vec<&str> = catalog.boards.iter().map(|board| board.name.as_str()).collect();
    let lacking = boards.iter().filter(|board| !golden.contains(board));
    let stale = golden.iter().filter(|name| !boards.contains(name));
    let make = lacking.map(|board| format!("{board} has none: UPDATE_EXPECT=1 cargo test -p xtask golden"));
    make.chain(stale.map(|name| format!("xtask/golden/{name}.txt has no board"))).collect()
}

/// What stands in the code of a Markdown text: lines of its blocks up to a comment, and spans, which may run over a line's end.
fn code(text: &str) -> Vec<String> {
    let (mut found, mut prose, mut in_block) = (Vec::new(), String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.push(line.split(" #").next().unwrap_or_default().trim().to_owned());
        } else {
            prose.push_str(line.trim());
            prose.push(' ');
        }
    }
    found.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    found
}

/// The words of a command; what stands in double quotes is one.
fn words(command: &str) -> Vec<&str> {
    let quoted = command.split('"').enumerate();
    quoted.flat_map(|(part, text)| if part % 2 == 0 { text.split_whitespace().collect() } else { vec![text] }).collect()
}

fn commands(repo: &Repo) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in repo.files.iter().filter(|(path, _)| path.ends_with(".md")) {
        for command in code(text) {
            let words = words(&command);
            // The bare name of the builder is none.
            if let ["cargo", "xtask", rest @ ..] = words.as_slice()
                && !rest.is_empty()
            {
                found.extend(misspelt(rest).map(|why| format!("{path}: `{command}`: {why}")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repo(files: &[(&str, &str)]) -> (tempfile::TempDir, Repo) {
        let dir = crate::trees::testing::folder(files);
        let repo = Repo::read(dir.path()).unwrap();
        (dir, repo)
    }

    type Files<'a> = &'a [(&'a str, &'a str)];

    /// The names of the rules that these files break.
    fn broken(files: &[(&str, &str)]) -> Vec<&'static str> {
        let (_dir, repo) = repo(files);
        RULES.iter().filter(|rule| !(rule.check)(&repo).is_empty()).map(|rule| rule.name).collect()
    }

    #[test]
    fn each_rule_can_be_broken() {
        let long = format!("//! Long.\n{}", "x\n".repeat(SOURCE_LINES_MAX));
        let tested = format!("//! Short.\n#[cfg(test)]\n{}", "x\n".repeat(SOURCE_LINES_MAX));
        let host = format!("see {}.org\n", "deb.debian");
        let cases: [(Files<'_>, &[&str]); 14] = [
            (&[("xtask/src/a.rs", "//! Good.\n"), ("Cargo.toml", "[workspace]\n")], &[]),
            (&[("xtask/src/a.rs", &tested)], &[]),
            (&[("xtask/src/a.rs", "fn a() {}\n")], &["module-docs"]),
            (&[("tools/a.rs", "//! Stray.\n")], &["layout"]),
            (&[("a/Cargo.toml", "[package]\nname = \"a\"\n")], &["lints"]),
            (&[("xtask/src/a.rs", &long)], &["length"]),
            (&[("docs/a.md", &host)], &["hosts"]),
            (&[("docs/a.md", "a \n")], &["ends"]),
            (&[("board-configs/f/b.toml", "titel = 1\n"), ("board-configs/f/family.toml", "\n")], &["facts"]),
            (&[("docs/a.md", "The `cargo xtask` has `cargo xtask boards` and `cargo xtask plan\nBOARD`; `cargo build`.\n")], &[]),
            (&[("docs/a.md", "```sh\ncargo xtask image BOARD --json   # and so on\ncargo xtask image --help\n```\n")], &[]),
            (&[("docs/a.md", "see `cargo xtask bords`\n")], &["commands"]),
            (&[("docs/a.md", "```sh\ncargo xtask vm BOARD --nodes two\n```\n")], &["commands"]),
            (&[("xtask/golden/none.txt", "a\n")], &["golden"]),
        ];
        for (files, rules) in cases {
            assert_eq!(broken(files), rules, "{files:?}");
        }
    }

    #[test]
    fn a_path_of_this_machine_is_found() {
        let (dir, _) = repo(&[]);
        std::fs::write(dir.path().join("a.md"), format!("see {}/x\n", dir.path().display())).unwrap();
        let repo = Repo::read(dir.path()).unwrap();
        assert_eq!(paths(&repo).len(), 1);
    }
}
