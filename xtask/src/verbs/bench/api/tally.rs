//! What was answered, of which operation, to whom.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::roles::{Operation, Role};

/// What is done elsewhere, since the lab has no systemd, no disks, and no node that is gone: operation, file, and what of that file does it.
pub const ELSEWHERE: [(&str, &str, &str); 11] = [
    ("app_move", "ci/scenarios/storage.toml", "cloudy disk move mosquitto"),
    ("disk_act", "ci/scenarios/storage.toml", "cloudy disk eject"),
    ("disk_install", "ci/scenarios/install-to.toml", "cloudy install-to"),
    ("disk_prepare", "ci/scenarios/storage.toml", "cloudy disk prepare"),
    ("disks", "ci/scenarios/install-to.toml", "cloudy install-to"),
    ("power", "ci/scenarios/settings.toml", "press = \"Restart now\""),
    ("replace", "firmware/agent/tests/replaced.rs", "\"replace\", \"roof\""),
    ("reset", "ci/scenarios/settings.toml", "/settings/reset"),
    ("settings_keep", "ci/scenarios/wifi.toml", "cloudy settings keep"),
    ("settings_set", "ci/scenarios/settings.toml", "cloudy settings set"),
    ("unit", "ci/scenarios/community.toml", "cloudy unit restart"),
];
/// What the lab did by the node's command line before anybody asked: without it there would be no app.
const BY_THE_LAB: [&str; 1] = ["catalog_add"];

/// What one run of Schemathesis counted.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    /// Operation → status → how often, of requests with its own method.
    statuses: BTreeMap<String, BTreeMap<u16, u64>>,
    /// Operation → why what it needs could not be made, or what was answered to a valid request.
    unmade: BTreeMap<String, String>,
    /// Requests with other methods.
    others: u64,
    /// Operations whose job was not done although it was begun, or that somebody else did: what their answers say does not count.
    not_done: BTreeSet<String>,
    /// What was asked besides, to make what requests need: method, path, status.
    before: Vec<(String, String, u16)>,
    /// What Schemathesis complains of.
    #[serde(skip)]
    pub found: Option<String>,
}

impl Told {
    /// Requests.
    pub fn sent(&self) -> u64 {
        self.statuses.values().flat_map(BTreeMap::values).sum::<u64>() + self.others
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
                if is_done(status) && !told.not_done.contains(&id) {
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
        let elsewhere = |id: &str| {
            ELSEWHERE.iter().any(|(on, _, _)| *on == id) || BY_THE_LAB.contains(&id) || self.streams.iter().any(|read| read == id)
        };
        let before = |found: &Operation| {
            self.before.iter().any(|(method, path)| operation_of(method, path, operations).is_some_and(|of| of.id == found.id))
        };
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
        let elsewhere = ELSEWHERE.iter().filter(|(id, _, _)| !asked.contains(&(*id).to_owned()));
        let elsewhere: Vec<String> = elsewhere.map(|(id, at, _)| format!("{id} ({at})")).collect();
        let of_before = |(method, path): &(String, String)| operation_of(method, path, operations).map(|found| found.id.clone());
        let before: BTreeSet<String> = self.before.iter().filter_map(of_before).filter(|id| !asked.contains(id)).collect();
        let before: Vec<String> = before.into_iter().chain(BY_THE_LAB.map(str::to_owned)).collect();
        lines.push(format!("read as streams: {}; done while the nodes were made ready: {}", self.streams.join(", "), before.join(", ")));
        lines.push(format!("not done here but elsewhere: {}", elsewhere.join(", ")));
        lines
    }
}

fn is_done(status: u16) -> bool {
    (200..300).contains(&status)
}

/// The operation that a request is for: of templates that fit, the one that says most by itself.
fn operation_of<'a>(method: &str, path: &str, operations: &'a [Operation]) -> Option<&'a Operation> {
    let fits = operations.iter().filter(|found| found.method == method && is_of(path, &found.path));
    fits.min_by_key(|found| found.path.matches('{').count())
}

/// Whether a path fits a template such as `/api/v1/apps/{name}`.
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
            told(r#"{ "statuses": { "apps": { "200": 3, "304": 1 }, "app": { "404": 5 } }, "others": 0, "not_done": [], "unmade": { "app": "no app" }, "before": [] }"#),
        );
        assert_eq!(tally.never(&operations), ["app"]);
        assert_eq!(tally.faults(&operations, &Role::ALL), ["`app` was never done: no app"]);
        assert!(tally.faults(&operations, &[Role::Owner]).is_empty());
        // What was refused while something was made counts for nothing.
        tally.add(
            Role::Local,
            told(r#"{ "statuses": {}, "others": 0, "not_done": [], "unmade": {}, "before": [["GET", "/apps/web", 404]] }"#),
        );
        assert_eq!(tally.never(&operations), ["app"]);
        tally.add(
            Role::Local,
            told(r#"{ "statuses": {}, "others": 0, "not_done": [], "unmade": {}, "before": [["GET", "/apps/web", 200]] }"#),
        );
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
    fn a_request_is_for_one_operation_alone() {
        let operations = [
            operation("app_act", "POST", "/apps/{name}/{action}"),
            operation("app_backup", "POST", "/apps/{name}/backup"),
            operation("app", "GET", "/apps/{name}"),
        ];
        let of = |method: &str, path: &str| operation_of(method, path, &operations).map(|found| found.id.as_str());
        assert_eq!(of("POST", "/apps/web/backup"), Some("app_backup"));
        assert_eq!(of("POST", "/apps/web/restart"), Some("app_act"));
        assert_eq!(of("GET", "/apps/web"), Some("app"));
        for (method, path) in [("PUT", "/apps/web"), ("GET", "/apps/"), ("GET", "/apps/web/logs"), ("GET", "/blobs/web")] {
            assert_eq!(of(method, path), None, "{method} {path}");
        }
    }

    #[test]
    fn what_was_begun_and_not_done_does_not_count() {
        let mut tally = Tally::default();
        tally.add(
            Role::Owner,
            told(r#"{ "statuses": { "app_act": { "202": 3 } }, "others": 0, "not_done": ["app_act"], "unmade": {}, "before": [] }"#),
        );
        assert_eq!(tally.never(&[operation("app_act", "POST", "/apps/{name}/{action}")]), ["app_act"]);
    }

    #[test]
    fn where_it_is_done_instead_it_is_done() {
        let repo = crate::verbs::root().unwrap();
        for (id, at, how) in ELSEWHERE {
            assert!(std::fs::read_to_string(repo.join(at)).unwrap().contains(how), "{id}: {at}: {how}");
        }
    }
}
