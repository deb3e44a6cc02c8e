//! What was answered, of which operation, to whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::roles::{Operation, Role};

/// What is done on a booted image instead, since the lab has no systemd and no disks; and where.
pub const ON_IMAGES: [(&str, &str); 11] = [
    ("app_move", "ci/scenarios/storage.toml"),
    ("disk_act", "ci/scenarios/storage.toml"),
    ("disk_install", "ci/scenarios/install-to.toml"),
    ("disk_prepare", "ci/scenarios/storage.toml"),
    ("disks", "ci/scenarios/install-to.toml"),
    ("power", "ci/scenarios/settings.toml"),
    ("replace", "firmware/agent/tests/replaced.rs"),
    ("reset", "ci/scenarios/settings.toml"),
    ("settings_keep", "ci/scenarios/settings.toml"),
    ("settings_set", "ci/scenarios/settings.toml"),
    ("unit", "ci/scenarios/community.toml"),
];
/// What the lab did by the node's command line before anybody asked: without it there would be no app.
const BY_THE_LAB: [&str; 1] = ["catalog_add"];

/// What one run of Schemathesis counted.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    /// Operation → status → how often.
    statuses: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Operation → why what it needs could not be made, or what was answered to a valid request.
    unmade: BTreeMap<String, String>,
    /// What was asked besides, to make what requests need: method, path, status.
    before: Vec<(String, String, u16)>,
    /// What Schemathesis complains of.
    #[serde(skip)]
    pub found: Option<String>,
}

impl Told {
    /// Requests.
    pub fn sent(&self) -> u64 {
        self.statuses.values().flat_map(BTreeMap::values).sum()
    }
}

/// What a role was answered.
#[derive(Debug, Default, Clone, Serialize)]
pub struct OfRole {
    /// Requests.
    sent: u64,
    /// Status → how often.
    statuses: BTreeMap<u16, u64>,
    /// Operations that were done.
    done: BTreeSet<String>,
}

/// All that was answered.
#[derive(Debug, Default)]
pub struct Tally {
    pub roles: BTreeMap<Role, OfRole>,
    pub streams: Vec<String>,
    before: Vec<(String, String)>,
    unmade: BTreeMap<String, String>,
    found: Vec<String>,
}

impl Tally {
    /// Adds what a run counted.
    pub fn add(&mut self, role: Role, told: Told) {
        let of = self.roles.entry(role).or_default();
        of.sent += told.sent();
        for (id, statuses) in told.statuses {
            for (status, times) in statuses {
                *of.statuses.entry(status).or_default() += times;
                if is_done(status) {
                    of.done.insert(id.clone());
                }
            }
        }
        self.before.extend(told.before.into_iter().filter(|(_, _, status)| is_done(*status)).map(|(method, path, _)| (method, path)));
        self.unmade.extend(told.unmade);
        self.found.extend(told.found);
    }

    /// Operations that were done to no request, here or where they are done instead.
    pub fn never(&self, operations: &[Operation]) -> Vec<String> {
        let elsewhere =
            |id: &str| ON_IMAGES.iter().any(|(on, _)| *on == id) || BY_THE_LAB.contains(&id) || self.streams.iter().any(|read| read == id);
        let before = |found: &Operation| self.before.iter().any(|(method, path)| *method == found.method && is_of(path, &found.path));
        let asked = |id: &str| self.roles.values().any(|of| of.done.contains(id));
        operations
            .iter()
            .filter(|found| !asked(&found.id) && !elsewhere(&found.id) && !before(found))
            .map(|found| found.id.clone())
            .collect()
    }

    /// What was not as it has to be. Only where all roles asked must each operation have been done.
    pub fn faults(&self, operations: &[Operation], roles: &[Role]) -> Vec<String> {
        let mut faults = self.found.clone();
        if Role::ALL.iter().all(|role| roles.contains(role)) {
            faults.extend(self.never(operations).into_iter().map(|id| match self.unmade.get(&id) {
                Some(why) => format!("`{id}` was never done: {why}"),
                None => format!("`{id}` was never done"),
            }));
        }
        faults
    }

    /// What a person reads.
    pub fn lines(&self, operations: &[Operation]) -> Vec<String> {
        let mut lines: Vec<String> = self
            .roles
            .iter()
            .map(|(role, of)| {
                let counts: Vec<String> = of.statuses.iter().map(|(status, times)| format!("{status}: {times}")).collect();
                format!("{:8} {:7} requests, {:3} operations done; {}", role.to_string(), of.sent, of.done.len(), counts.join(", "))
            })
            .collect();
        let sent: u64 = self.roles.values().map(|of| of.sent).sum();
        let asked: BTreeSet<&String> = self.roles.values().flat_map(|of| &of.done).collect();
        let (all, here) = (operations.len(), asked.len());
        lines.push(format!("together {sent} requests; of {all} operations {here} were done to requests that Schemathesis sent"));
        let images: Vec<String> =
            ON_IMAGES.iter().filter(|(id, _)| !asked.contains(&(*id).to_owned())).map(|(id, at)| format!("{id} ({at})")).collect();
        lines.push(format!("read as streams: {}; done by the lab before: {}", self.streams.join(", "), BY_THE_LAB.join(", ")));
        lines.push(format!("not done here but elsewhere: {}", images.join(", ")));
        lines
    }
}

fn is_done(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Whether a path is one of a template such as `/api/v1/apps/{name}`.
fn is_of(path: &str, template: &str) -> bool {
    let (mut words, mut wanted) = (path.split('/'), template.split('/'));
    loop {
        match (words.next(), wanted.next()) {
            (None, None) => return true,
            (Some(word), Some(want)) if word == want || want.starts_with('{') && !word.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Told {
        serde_json::from_str(text).unwrap()
    }

    fn operation(id: &str, method: &str, path: &str) -> Operation {
        Operation { id: id.to_owned(), method: method.to_owned(), path: path.to_owned(), local: false }
    }

    #[test]
    fn what_was_never_done_and_what_was_found_are_faults() {
        let operations = [operation("apps", "GET", "/apps"), operation("app", "GET", "/apps/{name}"), operation("power", "POST", "/power")];
        let mut tally = Tally::default();
        tally.add(
            Role::Owner,
            told(r#"{ "statuses": { "apps": { "200": 3, "304": 1 }, "app": { "404": 5 } }, "unmade": { "app": "no app" }, "before": [] }"#),
        );
        assert_eq!(tally.never(&operations), ["app"]);
        assert_eq!(tally.faults(&operations, &Role::ALL), ["`app` was never done: no app"]);
        assert!(tally.faults(&operations, &[Role::Owner]).is_empty());
        // What was refused while something was made counts for nothing.
        tally.add(Role::Local, told(r#"{ "statuses": {}, "unmade": {}, "before": [["GET", "/apps/web", 404]] }"#));
        assert_eq!(tally.never(&operations), ["app"]);
        tally.add(Role::Local, told(r#"{ "statuses": {}, "unmade": {}, "before": [["GET", "/apps/web", 200]] }"#));
        assert!(tally.never(&operations).is_empty());
        tally.add(Role::Guest, Told { found: Some("a fault".to_owned()), ..Told::default() });
        assert_eq!(tally.faults(&operations, &Role::ALL), ["a fault"]);
        assert!(
            tally.lines(&operations).iter().any(|line| line.contains("together 9 requests; of 3 operations 1")),
            "{:?}",
            tally.lines(&operations)
        );
    }

    #[test]
    fn a_path_is_that_of_one_template_alone() {
        assert!(is_of("/api/v1/apps/web", "/api/v1/apps/{name}"));
        assert!(!is_of("/api/v1/apps/", "/api/v1/apps/{name}") && !is_of("/api/v1/apps/web/logs", "/api/v1/apps/{name}"));
        assert!(!is_of("/api/v1/blobs/web", "/api/v1/apps/{name}"));
    }

    #[test]
    fn where_it_is_done_instead_is_there() {
        let repo = crate::verbs::root().unwrap();
        for (id, at) in ON_IMAGES {
            assert!(repo.join(at).is_file(), "{id}: {at}");
        }
    }
}
