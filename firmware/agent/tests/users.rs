//! A real agent whose node is claimed, logged in to and used over real HTTP, with forms as a browser without JavaScript sends them, and
//! with the API; up to where Docker would be needed.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use support::layout::layout;
use support::{Agent, cloudy, wait};

const PASSWORD: &str = "a horse in the garden";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A browser: it keeps a cookie, says where it comes from, and finds in a page what its forms carry.
struct Browser {
    at: String,
    cookie: String,
}

impl Browser {
    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        let cookie = if self.cookie.is_empty() { String::new() } else { format!("Cookie: {}\r\n", self.cookie) };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{cookie}{headers}", self.at);
        write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = Answer { status, head: head.to_owned(), body: body.to_owned() };
        if let Some(cookie) = answer.header("set-cookie").split(';').next().filter(|cookie| !cookie.is_empty()) {
            self.cookie = cookie.to_owned();
        }
        answer
    }

    fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "", "")
    }

    /// Presses a button of the page `from`.
    fn press(&mut self, from: &str, action: &str, fields: &str) -> Answer {
        let page = self.get(from);
        assert!(page.body.contains(&format!("action=\"{action}\"")), "{from} has no button for {action}: {}", page.body);
        self.post(from, action, fields)
    }

    /// Sends a form with what those of the page `from` carry.
    fn post(&mut self, from: &str, action: &str, fields: &str) -> Answer {
        let page = self.get(from);
        let csrf = page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let headers = format!("Origin: http://{}\r\nContent-Type: application/x-www-form-urlencoded\r\n", self.at);
        self.send("POST", action, &headers, &format!("csrf={csrf}&{fields}"))
    }

    fn api(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        let csrf = self.get("/api/v1/session").json()["csrf"].as_str().unwrap_or_default().to_owned();
        let headers = format!("Origin: http://{}\r\nX-CSRF-Token: {csrf}\r\nContent-Type: application/json\r\n", self.at);
        self.send(method, path, &headers, &body.to_string())
    }
}

fn said(agent: &Agent, words: &[&str], input: &str) -> std::process::Output {
    let mut child = cloudy();
    let child = child.args(words).arg("--data").arg(agent.data.path());
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_new_owner_is_led_through_the_steps_of_setting_up_without_scripts() {
    let mut agent = Agent::start("garden", "");
    let at = agent.page();
    let (mut ana, mut stranger) = (Browser { at: at.clone(), cookie: String::new() }, Browser { at, cookie: String::new() });
    let claim = stranger.get("/claim").body;
    assert!(claim.contains("Step 1 of 6"), "{claim}");
    assert_eq!(stranger.get("/setup").header("location"), "/login");
    let code = agent.json(&["user", "claim-code"])["code"].as_str().unwrap().to_owned();
    ana.press("/claim", "/claim", &format!("code={code}&name=ana&password={}", PASSWORD.replace(' ', "+")));
    assert!(ana.get("/").body.contains("Go on with setting up") && !stranger.get("/").body.contains("Go on with setting up"));

    // Each step has an address, and the next one is led to.
    assert_eq!(ana.get("/setup").header("location"), "/setup/name");
    let named = ana.press("/setup/name", "/microcloud/rename", "setup=yes&name=orchard");
    assert_eq!((named.status, named.header("location")), (303, "/setup"), "{}", named.body);
    assert_eq!(ana.get("/setup").header("location"), "/setup/microcloud");
    assert_eq!(ana.get("/api/v1/nodes").json()["me"]["name"], "orchard");
    let wrong = ana.press("/setup/microcloud", "/microcloud/join", "setup=yes&token=nonsense");
    assert!(wrong.status >= 400 && wrong.body.contains("Step 3 of 6") && wrong.body.contains("role=\"alert\""), "{}", wrong.body);

    // The kit is shown in one answer, and kept when somebody ticks that it is.
    let founded = ana.press("/setup/microcloud", "/microcloud/found", "setup=yes&name=Home");
    assert!(founded.status == 200 && founded.body.contains("cloudy1-kit-") && founded.body.contains("Step 4 of 6"), "{}", founded.body);
    assert_eq!(ana.get("/setup").header("location"), "/setup/kit");
    let again = ana.get("/setup/kit").body;
    assert!(!again.contains("cloudy1-kit-") && again.contains("sudo cloudy kit"), "{again}");
    ana.press("/setup/kit", "/setup/kit", "");
    assert_eq!(ana.get("/api/v1/setup").json()["left"], json!(["kit"]), "without a tick nobody has kept it");
    assert_eq!(ana.press("/setup/kit", "/setup/kit", "kept=yes").header("location"), "/setup");
    assert_eq!(ana.get("/api/v1/setup").json()["left"], json!([]));
    assert!(ana.get("/setup/microcloud").body.contains("This node belongs to <strong>Home</strong>"));

    // What is left for later is said at the end.
    assert_eq!(ana.get("/setup").header("location"), "/setup/place");
    ana.press("/setup/place", "/setup/place", "later=yes");
    assert_eq!(ana.get("/setup").header("location"), "/setup/done");
    assert!(ana.get("/setup/done").body.contains("href=\"/setup/place\""));
    assert!(ana.get("/").body.contains("Go on with setting up"));
    assert_eq!(ana.press("/setup/done", "/setup/done", "").header("location"), "/apps");
    assert!(!ana.get("/").body.contains("Go on with setting up"));
    let view = ana.get("/api/v1/setup").json();
    assert!(view["over"] == true && view["next"] == "done", "{view}");
    for step in ["claim", "nonsense"] {
        assert_eq!(ana.post("/setup/done", &format!("/setup/{step}"), "").status, 404, "{step}");
    }
    agent.stop();
}

#[test]
fn a_node_is_claimed_and_an_app_begun_from_its_page() {
    let mut agent = Agent::start("garden", "");
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), 7);
    agent.json(&["app", "add", folder.path().to_str().unwrap()]);
    let at = agent.page();
    let mut owner = Browser { at: at.clone(), cookie: String::new() };
    let mut stranger = Browser { at: at.clone(), cookie: String::new() };

    // Nobody owns it: the page teaches how, a wrong code is none, the right one makes an owner, and once only.
    assert!(owner.get("/").body.contains("Nobody owns this node yet."));
    let fields = |code: &str, name: &str| format!("code={code}&name={name}&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(stranger.press("/claim", "/claim", &fields("aaaa-bbbb-cccc", "eva")).status, 403);
    let code = agent.json(&["user", "claim-code"])["code"].as_str().unwrap().to_owned();
    let claimed = owner.press("/claim", "/claim", &fields(&code, "ana"));
    assert_eq!((claimed.status, claimed.header("location")), (303, "/setup"), "{}", claimed.body);
    let late = stranger.send("POST", "/claim", "Content-Type: application/x-www-form-urlencoded\r\n", &fields(&code, "eva"));
    assert!(late.status == 409 && late.body.contains("This node has an owner."), "{}", late.body);
    assert!(!agent.run(&["user", "claim-code"]).status.success());

    // The store offers the app; a stranger sees none of it.
    let page = owner.get("/apps").body;
    assert!(page.contains("data-offer=\"broker\"") && page.contains("21883"), "{page}");
    assert!(page.contains("href=\"/apps/broker/install\"") && !page.contains("action=\"/apps/broker/install\""), "it wants a password");
    assert!(!stranger.get("/apps").body.contains("broker"));
    let begun = owner.press("/apps/broker/install", "/apps/broker/install", "port.mqtt=21884&set.password=se-cret");
    assert_eq!((begun.status, begun.header("location")), (303, "/apps"), "{}", begun.body);
    // There is no broker here: the job says so, on the page and in the API, to those who may see it.
    let shown = wait("the page shows the job", || Some(owner.get("/apps/body").body).filter(|body| body.contains("data-job=\"1\"")));
    assert!(shown.contains("Install: broker") && !shown.contains("se-cret"), "{shown}");
    let jobs = owner.get("/api/v1/jobs").json();
    assert!(jobs["jobs"][0]["app"] == "broker" && !jobs.to_string().contains("se-cret"), "{jobs}");
    assert!(!stranger.get("/apps").body.contains("data-job"));
    let again = owner.press("/apps/broker/install", "/apps/broker/install", "set.password=x");
    assert!(again.status == 409 && again.body.contains("Something is being done with “broker”"), "{}", again.body);
    for path in ["/api/v1/jobs", "/api/v1/catalog", "/api/v1/apps/broker/logs", "/api/v1/apps/broker/settings"] {
        let refused = stranger.get(path);
        assert_eq!((refused.status, refused.header("content-type")), (401, "application/problem+json"), "{path}");
        assert!(!refused.body.contains("se-cret"));
    }
    let refused = stranger.send("DELETE", "/api/v1/apps/broker", "", "");
    assert!(refused.status == 401 && refused.json()["detail"].as_str().unwrap().contains("log in"), "{}", refused.body);
    agent.stop();
}

#[test]
fn people_come_and_go_and_programs_have_tokens() {
    let agent = Agent::start("garden", "");
    let at = agent.page();
    let added = said(&agent, &["user", "add", "ana", "--role", "owner"], &format!("{PASSWORD}\n"));
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let short = said(&agent, &["user", "add", "ben"], "short\n");
    assert!(String::from_utf8_lossy(&short.stderr).contains("at least 10 characters"));
    let login = format!("name=ana&password={}", PASSWORD.replace(' ', "+"));
    let mut ana = Browser { at: at.clone(), cookie: String::new() };
    assert_eq!(ana.press("/login", "/login", &login).status, 303);
    assert_eq!(ana.press("/users", "/users", "name=ben&role=operator&password=another+good+horse").status, 303);
    let mut ben = Browser { at, cookie: String::new() };
    let answer = ben.api("POST", "/api/v1/session", &json!({ "name": "ben", "password": "another good horse" }));
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(ben.get("/users").body.contains("only an owner"));
    assert_eq!(ben.api("POST", "/api/v1/invite", &json!({ "uses": 1, "valid-seconds": null })).status, 403);
    assert_eq!(ben.api("PUT", "/api/v1/users/ana/password", &json!({ "password": "mine now, horse" })).status, 403);

    // A token is shown once, opens what it is for, and nothing when it is revoked.
    let made = ben.press("/account", "/account/token", "scope=apps&label=backup");
    let token = made.body.split("cloudy-user-").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
    assert!(!ben.get("/account").body.contains(&token));
    let mut program = Browser { at: ben.at.clone(), cookie: String::new() };
    let bearer = format!("Authorization: Bearer cloudy-user-{token}\r\nContent-Type: application/json\r\n");
    assert_eq!(program.send("GET", "/api/v1/jobs", &bearer, "").status, 200);
    let absent = program.send("POST", "/api/v1/apps/wiki", &bearer, "{}");
    assert!(absent.status == 404 && absent.json()["detail"].as_str().unwrap().contains("no app `wiki`"), "{}", absent.body);
    assert_eq!(program.send("POST", "/api/v1/apps/wiki", &bearer, "no json").header("content-type"), "application/problem+json");
    assert_eq!(program.send("GET", "/api/v1/users", &bearer, "").status, 403);
    assert_eq!(agent.json(&["user", "tokens", "ben"])["tokens"][0]["label"], "backup");
    assert!(agent.run(&["user", "revoke", "ben", "1"]).status.success());
    assert_eq!(program.send("GET", "/api/v1/jobs", &bearer, "").status, 401);

    // A forgotten password is set on the node; sessions end. A guest changes nothing. The last owner stays.
    let set = said(&agent, &["user", "password", "ben"], "a third good horse\n");
    assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    assert_eq!(ben.get("/api/v1/session").json()["user"], Value::Null);
    assert!(agent.run(&["user", "role", "ben", "guest"]).status.success());
    assert_eq!(ben.api("POST", "/api/v1/session", &json!({ "name": "ben", "password": "a third good horse" })).status, 200);
    assert_eq!(ben.api("POST", "/api/v1/apps/wiki/start", &json!({})).status, 403);
    assert_eq!(ben.get("/api/v1/jobs").status, 403);
    let last = agent.run(&["user", "remove", "ana"]);
    assert!(!last.status.success() && String::from_utf8_lossy(&last.stderr).contains("last owner"));
    assert_eq!(agent.json(&["user", "list"])["users"].as_array().unwrap().len(), 2);
    let kept = std::fs::read_to_string(agent.data.path().join("users.json")).unwrap();
    assert!(kept.contains("$argon2id$") && !kept.contains("horse") && !kept.contains(&token));
}

/// Who owns an agent, logged in.
fn owner_of(agent: &Agent) -> Browser {
    assert!(said(agent, &["user", "add", "ana", "--role", "owner"], &format!("{PASSWORD}\n")).status.success());
    let mut ana = Browser { at: agent.page(), cookie: String::new() };
    assert_eq!(ana.press("/login", "/login", &format!("name=ana&password={}", PASSWORD.replace(' ', "+"))).status, 303);
    ana
}

/// What was just made, as the page shows it once.
fn made(answer: &Answer) -> String {
    answer.body.split("<code id=\"made\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

#[test]
fn a_microcloud_is_begun_on_one_page_and_joined_on_another() {
    let (one, two) = (Agent::start("one", ""), Agent::start("two", ""));
    let (mut ana, mut ben) = (owner_of(&one), owner_of(&two));
    let mut stranger = Browser { at: one.page(), cookie: String::new() };
    assert_eq!(stranger.get("/microcloud").header("location"), "/login");

    // The kit and the invite are shown in the answers that make them, and nowhere else.
    let begun = ana.press("/microcloud", "/microcloud/found", "name=Home");
    let kit = made(&begun);
    assert!(begun.status == 200 && kit.starts_with("cloudy1-kit-"), "{}", begun.body);
    assert_eq!(begun.header("cache-control"), "no-store");
    let invited = ana.press("/microcloud", "/microcloud/invite", "uses=1&days=0");
    let invite = made(&invited);
    assert!(invite.starts_with("cloudy1-invite-") && !invited.body.contains(&kit), "{}", invited.body);
    let page = ana.get("/microcloud").body;
    assert!(page.contains("Home") && !page.contains(&kit) && !page.contains(&invite), "{page}");
    assert_eq!(ana.post("/microcloud", "/microcloud/found", "name=Other").status, 409);

    // What is no invite is refused, and the page stays; one that a letter broke into lines lets in.
    let refused = ben.press("/microcloud", "/microcloud/join", "token=cloudy1-invite-nonsense");
    assert!(refused.status == 409 && refused.body.contains("This is no invite that is good"), "{}", refused.body);
    let (front, back) = invite.split_at(40);
    assert_eq!(ben.press("/microcloud", "/microcloud/join", &format!("token={front}%0D%0A+{back}")).header("location"), "/microcloud");
    wait("both are members", || Some(()).filter(|()| two.alive().len() == 2 && one.alive().len() == 2));
    let page = ben.get("/microcloud").body;
    assert!(page.contains("Home") && page.contains("can't invite") && !page.contains("/microcloud/found"), "{page}");

    // What another node publishes, ana does not want to see, and then nobody is to see; and both end again.
    two.json(&["publish", "wiki"]);
    let node = two.json(&["status"])["node"].as_str().unwrap().to_owned();
    let wiki = format!("node={node}&service=wiki");
    let listed = |page: &Answer| page.body.contains("<strong>wiki</strong>");
    wait("one finds it", || listed(&stranger.get("/search")).then_some(()));
    assert_eq!(ana.press("/search", "/muted/mute", &wiki).header("location"), "/search");
    assert!(!listed(&ana.get("/search")) && !listed(&ana.get("/")) && listed(&stranger.get("/search")) && listed(&stranger.get("/")));
    assert!(ana.get("/api/v1/services?muted=true").json()["services"][0]["muted"] == true);
    assert_eq!(ana.press("/account", "/muted/show", &wiki).header("location"), "/account");
    assert!(listed(&ana.get("/search")));
    assert!(!stranger.get("/search").body.contains("/hidden/hide") && !ben.get("/search").body.contains("/hidden/hide"));
    assert_eq!(ana.press("/search", "/hidden/hide", &format!("{wiki}&reason=spam")).header("location"), "/search");
    assert!(!listed(&ana.get("/search")) && !listed(&stranger.get("/search")));
    assert_eq!(ana.press("/search?hidden=true", "/hidden/show", &wiki).header("location"), "/search?hidden=true");
    assert!(listed(&stranger.get("/search")));
    let all = format!("/api/v1/hidden/{node}");
    assert_eq!(ana.api("PUT", &all, &json!({ "reason": "x" })).status, 200);
    assert_eq!((ana.api("DELETE", &all, &json!({})).status, ana.api("DELETE", &all, &json!({})).status), (200, 404));

    // The door, the name, leaving; what there is not is not there.
    assert_eq!(ana.press("/microcloud", "/microcloud/door", "minutes=10").status, 303);
    assert!(ana.get("/microcloud").body.contains("The door is open."));
    assert_eq!(ana.press("/microcloud", "/microcloud/rename", "name=attic").status, 303);
    assert_eq!(ana.post("/microcloud", "/microcloud/sell", "name=x").status, 404);
    assert_eq!(ben.press("/microcloud", "/microcloud/leave", "").status, 303);
    wait("it has left", || Some(()).filter(|()| ben.get("/microcloud").body.contains("/microcloud/join")));
}

/// Resident memory of a process in kB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_memory_of_a_password_is_given_back() {
    let agent = Agent::start("garden", "");
    assert!(said(&agent, &["user", "add", "ana", "--role", "owner"], &format!("{PASSWORD}\n")).status.success());
    let mut ana = Browser { at: agent.page(), cookie: String::new() };
    let login = format!("name=ana&password={}", PASSWORD.replace(' ', "+"));
    let before = resident(agent.child.id());
    for _ in 0..6 {
        ana.cookie.clear();
        assert_eq!(ana.press("/login", "/login", &login).status, 303);
    }
    let after = resident(agent.child.id());
    assert!(after < before + 10_000, "{before} kB before, {after} kB after");
}
