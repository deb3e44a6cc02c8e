//! `ci/compose`: one small compose file a key, whose first lines say what becomes of it on a node. Data, no code.
//!
//! A file works (`# works: …`, once a thing that is looked at), or is refused (`# refused: line N, KEY, …`) by the node for everybody, or until
//! an owner allows what it asks for; then it works.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use contract::apps::own::Privilege;
use serde_json::Value;

/// Where the files lie, below the checkout.
pub const FOLDER: &str = "ci/compose";
const END: &str = ".yaml";

/// One file.
#[derive(Debug)]
pub struct Case {
    /// The key that it is about, and more where a key has several files.
    pub name: String,
    pub text: String,
    pub refusal: Option<Refusal>,
    /// What is said when it is installed: names and values.
    pub said: Vec<(String, String)>,
    /// How it is seen that it works; empty where it never does.
    pub shows: Vec<Shows>,
    /// Why it can't run in the lab, though an owner may allow it.
    pub not_here: Option<String>,
}

/// Where and why a file is refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub line: usize,
    pub key: String,
    /// What an owner may allow; nothing where nobody may allow it.
    pub owner: Option<Privilege>,
}

/// What shows that a file works: of the service `app`.
#[derive(Debug, PartialEq)]
pub enum Shows {
    /// `docker inspect` has this there.
    Is(String, Value),
    /// There is something in which this text stands.
    Has(String, String),
    /// A command in the container says this.
    Says(String, String),
}

impl Case {
    /// What the app is called.
    pub fn app(&self) -> String {
        format!("listed-{}", self.name.replace(['.', '_'], "-"))
    }

    fn read(name: &str, text: &str) -> Result<Self> {
        let mut case =
            Self { name: name.to_owned(), text: text.to_owned(), refusal: None, said: Vec::new(), shows: Vec::new(), not_here: None };
        for line in text.lines().map_while(|line| line.strip_prefix("# ")) {
            let (kind, what) = line.split_once(": ").with_context(|| format!("`{line}` says nothing"))?;
            match kind {
                "refused" if case.refusal.is_none() => case.refusal = Some(Refusal::read(what)?),
                "works" => case.shows.push(Shows::read(what)?),
                "say" => {
                    let (name, value) = what.split_once('=').context("NAME=VALUE belongs after `say`")?;
                    case.said.push((name.to_owned(), value.to_owned()));
                }
                "not in the lab" => case.not_here = Some(what.to_owned()),
                _ => bail!("`{kind}` is none of refused (once), works, say, not in the lab"),
            }
        }
        let allowable = case.refusal.as_ref().is_none_or(|refusal| refusal.owner.is_some());
        ensure!(allowable != (case.shows.is_empty() && case.not_here.is_none()), "what works says how that is seen, and nothing else does");
        Ok(case)
    }
}

impl Refusal {
    fn read(text: &str) -> Result<Self> {
        let whole = "`line N, KEY, nobody may allow it` or `line N, KEY, an owner may allow PRIVILEGE` belongs after `refused`";
        let mut parts = text.splitn(3, ", ");
        let mut part = || parts.next().context(whole);
        let line = part()?.strip_prefix("line ").context(whole)?.parse()?;
        let (key, who) = (part()?.to_owned(), part()?);
        let owner = match who.strip_prefix("an owner may allow ") {
            Some(privilege) => Some(privilege.parse()?),
            None if who == "nobody may allow it" => None,
            None => bail!(whole),
        };
        Ok(Self { line, key, owner })
    }
}

impl Shows {
    fn read(text: &str) -> Result<Self> {
        let two = |(one, other): (&str, &str)| (one.to_owned(), other.to_owned());
        if let Some((command, said)) = text.split_once(" -> ").map(two) {
            return Ok(Self::Says(command, said));
        }
        if let Some((at, part)) = text.split_once(" ~ ").map(two) {
            return Ok(Self::Has(at, part));
        }
        let (at, value) = text.split_once(" = ").context("`/PLACE = JSON`, `/PLACE ~ TEXT` or `COMMAND -> TEXT` belongs after `works`")?;
        Ok(Self::Is(at.to_owned(), serde_json::from_str(value).with_context(|| format!("`{value}` is no JSON"))?))
    }
}

/// Reads all files of a folder, in order.
pub fn load(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))? {
        let path = entry?.path();
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = file.strip_suffix(END).with_context(|| format!("`{file}` is no compose file"))?;
        let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read `{file}`"))?;
        cases.push(Case::read(name, &text).with_context(|| format!("`{FOLDER}/{file}`"))?);
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use contract::apps::compose::Choices;
    use contract::apps::own::{self, Definition, NotRun};

    use super::*;
    use crate::apps::testing::repo;

    /// What people who run compose files elsewhere count on: works here, or is refused with its line.
    const ACCEPTED: [&str; 32] = [
        "build",
        "cap_add",
        "cap_drop",
        "command",
        "configs",
        "cpus",
        "depends_on",
        "deploy.mode",
        "deploy.replicas",
        "deploy.resources",
        "deploy.update_config",
        "devices",
        "entrypoint",
        "env_file",
        "environment",
        "gpus",
        "healthcheck",
        "image",
        "mem_limit",
        "mem_reservation",
        "networks",
        "pid",
        "ports",
        "privileged",
        "pull_policy",
        "secrets",
        "shm_size",
        "stop_grace_period",
        "sysctls",
        "ulimits",
        "user",
        "volumes",
    ];
    /// Further ways out of an app's containers, and to files and apps that are not its own.
    const ESCAPES: [&str; 28] = [
        "build.context",
        "cap_add.all",
        "cgroup_parent",
        "configs.file",
        "deploy.replicas.two",
        "device_cgroup_rules",
        "devices.disk",
        "extends",
        "include",
        "ipc",
        "network_mode",
        "network_mode.container",
        "networks.external",
        "pid.container",
        "runtime",
        "secrets.file",
        "security_opt",
        "security_opt.file",
        "sysctls.node",
        "userns_mode",
        "uts",
        "volumes.beside",
        "volumes.bind",
        "volumes.docker-socket",
        "volumes.driver_opts",
        "volumes.external",
        "volumes.name",
        "volumes_from",
    ];

    fn cases() -> Vec<Case> {
        load(&repo().join(FOLDER)).unwrap()
    }

    /// What the node says of a file: the function that agent and broker ask.
    fn refusal(case: &Case) -> Option<Refusal> {
        let definition = Definition { title: case.name.clone(), compose: Some(case.text.clone()), ..Definition::default() };
        let project = match own::read(&definition) {
            Ok(project) => project,
            Err(faults) => {
                let [fault] = &faults.0[..] else { panic!("{}: one thing should be wrong:\n{faults}", case.name) };
                return Some(Refusal { line: fault.place.line, key: fault.key.clone(), owner: None });
            }
        };
        let choices = Choices { settings: case.said.iter().cloned().collect(), ..Choices::default() };
        let written = |grants: BTreeSet<Privilege>| own::write(&project, &case.app(), &format!("cloudy-{}", case.app()), &choices, &grants);
        let Some(asked) = project.asked.first() else {
            written(BTreeSet::new()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            return None;
        };
        assert_eq!(project.asked.len(), 1, "{}", case.name);
        let Err(NotRun::NotGranted(why)) = written(BTreeSet::new()) else { panic!("{}: nobody allowed it", case.name) };
        assert!(
            why.contains(&format!("line {}, column ", asked.place.line)) && why.contains("which an owner of this node may allow"),
            "{why}"
        );
        written([asked.privilege.clone()].into()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        Some(Refusal { line: asked.place.line, key: asked.key.clone(), owner: Some(asked.privilege.clone()) })
    }

    #[test]
    fn each_key_of_the_list_and_each_escape_has_a_file() {
        let (files, listed): (BTreeSet<String>, BTreeSet<String>) =
            (cases().into_iter().map(|case| case.name).collect(), ACCEPTED.iter().chain(&ESCAPES).map(|name| (*name).to_owned()).collect());
        assert_eq!(files, listed);
        for case in cases() {
            let keys: Vec<&str> = case.name.split('.').collect();
            let keys = if ACCEPTED.contains(&case.name.as_str()) { &keys[..] } else { &keys[..1] };
            let said = case.text.lines().filter(|line| !line.starts_with('#')).collect::<String>();
            assert!(keys.iter().all(|key| said.contains(&format!("{key}:"))), "{} is about another key", case.name);
        }
    }

    #[test]
    fn each_file_works_or_is_refused_with_its_line_its_key_and_who_may_allow_it() {
        for case in cases() {
            assert_eq!(refusal(&case), case.refusal, "{}", case.name);
        }
    }

    #[test]
    fn what_a_file_says_of_itself_is_read_or_refused() {
        let read = |head: &str| Case::read("user", &format!("{head}\nservices: {{ }}\n# works: not read here\n"));
        let case = read("# refused: line 4, services.app.pid, an owner may allow host-pid\n# say: A=b=c\n# works: /a/b = [1]").unwrap();
        let expected = Refusal { line: 4, key: "services.app.pid".to_owned(), owner: Some(Privilege::HostPid) };
        assert_eq!((case.refusal, case.said), (Some(expected), vec![("A".to_owned(), "b=c".to_owned())]));
        assert_eq!(case.shows, [Shows::Is("/a/b".to_owned(), serde_json::json!([1]))]);
        assert_eq!(read("# works: id -u -> 1").unwrap().shows, [Shows::Says("id -u".to_owned(), "1".to_owned())]);
        assert_eq!(read("# works: /a ~ b").unwrap().shows, [Shows::Has("/a".to_owned(), "b".to_owned())]);
        for wrong in [
            "",
            "# works",
            "# works: x",
            "# works: /a = b",
            "# refused: line 4, pid",
            "# refused: line x, pid, nobody may allow it",
            "# refused: line 4, pid, an owner may allow everything",
            "# refused: line 4, pid, an owner may allow host-pid",
            "# refused: line 4, pid, nobody may allow it\n# works: /a = 1",
            "# refused: line 4, pid, nobody may allow it\n# refused: line 5, pid, nobody may allow it",
            "# wroks: /a = 1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
