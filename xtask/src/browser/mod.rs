//! A person's browser: Chromium of the tools tree, without a window, driven by WebDriver.
//!
//! WebDriver is a dozen JSON requests, asked with the HTTP client that is here anyway: its client crates bring an asynchronous runtime
//! and another HTTP client into the builder, which every newcomer compiles first.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::sandbox::Running;
use crate::tools::Tools;

pub mod axe;
pub mod step;

/// Where what is given to the browser lies, as it sees it.
pub const INSIDE: &str = "/lab";
/// Between two looks.
const POLL: Duration = Duration::from_millis(200);

/// Where the browser is in the tools tree; the program beside it is a script of the distribution's.
const CHROMIUM: &str = "/usr/lib/chromium/chromium";
/// How long the driver may take to listen.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long one request may take: pages of translated machines are slow.
const REQUEST_LIMIT: Duration = Duration::from_secs(120);
/// The most of an answer that is read: a picture is the largest.
const ANSWER_MAX_BYTES: u64 = 64 << 20;
/// What is sent to the driver.
const JSON: &str = "application/json";
/// The name under which WebDriver hands out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// The width of a phone.
pub const PHONE: u32 = 360;
/// Widths at which pages are looked at: a phone, a tablet, a laptop.
const WIDTHS: [u32; 3] = [PHONE, 768, 1280];
/// Height of the window.
const HEIGHT: u32 = 900;
/// How much of a page that does not show what it shall an error holds.
const SHOWN_CHARS: usize = 1500;

/// The driver, and the people who use it.
pub struct Browser {
    running: Running,
    driver: String,
    http: ureq::Agent,
    people: BTreeMap<String, Visitor>,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // All that it started ends with it.
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }
}

impl Browser {
    /// Starts the driver, whose log lies in `folder`, which the browser sees too; it has to be in the tools.
    pub fn start(tools: &Tools, folder: &Path) -> Result<Self> {
        let log = folder.join("chromedriver.log");
        let errors = File::create(folder.join("chromedriver.errors"))?;
        // It looks its browser up as `localhost`, which a tree that nobody configured does not know.
        let words = ["sh", "-c", "echo 127.0.0.1 localhost >/etc/hosts && exec chromedriver --port=0"].map(str::to_owned);
        let sandbox = tools.sandbox().network().bind_writable(folder, INSIDE).cwd(INSIDE);
        let mut running = sandbox.command(words).spawn(Stdio::null(), File::create(&log)?.into(), errors.into())?;
        let begun = Instant::now();
        let port = loop {
            let said = fs::read_to_string(&log)?;
            if let Some(port) = port_of(&said) {
                break port;
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("chromedriver ended with {status}: see `{}`", log.display());
            }
            ensure!(begun.elapsed() < START_LIMIT, "chromedriver listens on no port after {} s", START_LIMIT.as_secs());
            std::thread::sleep(POLL);
        };
        let config = ureq::Agent::config_builder().timeout_global(Some(REQUEST_LIMIT)).http_status_as_error(false).proxy(None);
        Ok(Self { running, driver: format!("http://127.0.0.1:{port}"), http: config.build().into(), people: BTreeMap::new() })
    }

    /// The person of that name, with cookies of their own; their browser is started when they first come.
    pub fn person(&mut self, name: &str, language: &str, scripts: bool) -> Result<&Visitor> {
        if !self.people.contains_key(name) {
            let visitor = Visitor::new(&self.http, &self.driver, language, scripts).context("failed to start Chromium")?;
            self.people.insert(name.to_owned(), visitor);
        }
        self.known(name)
    }

    /// The person of that name, who has come before.
    pub fn known(&self, name: &str) -> Result<&Visitor> {
        self.people.get(name).with_context(|| format!("nobody of the name `{name}` came"))
    }
}

/// The port that the driver says it listens on.
fn port_of(said: &str) -> Option<u16> {
    let rest = said.split_once("started successfully on port ")?.1;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Runs axe-core, once it was defined, and tells each serious violation in a line.
const AXE_RUN: &str = r#"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"] }).then(
    found => done(found.violations.filter(one => ["serious", "critical"].includes(one.impact)).map(
        one => `${one.id}: ${one.help}: ` + one.nodes.map(node => node.target.join(" ") + " " + (node.any[0] || node.all[0] || node.none[0] || {}).message).join("; "))),
    error => done([`axe-core itself failed: ${error}`]));"#;

/// One person's browser.
pub struct Visitor {
    http: ureq::Agent,
    session: String,
    language: String,
    /// Whether pages' scripts run.
    scripts: bool,
}

/// An element of the page that is shown.
struct Element(String);

impl Visitor {
    fn new(http: &ureq::Agent, driver: &str, language: &str, scripts: bool) -> Result<Self> {
        let lang = format!("--lang={language}");
        let args = [
            "--headless=new",
            // It runs in a sandbox of ours already, in which it could make none.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            // A phone's lie over the page.
            "--hide-scrollbars",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-proxy-server",
            // Whatever it would look up is not there: it talks to loopback alone.
            "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
            lang.as_str(),
        ];
        // 1 allows, 2 blocks.
        let script = if scripts { 1 } else { 2 };
        let prefs = json!({ "intl.accept_languages": language, "profile.managed_default_content_settings.javascript": script });
        let options = json!({ "binary": CHROMIUM, "args": args, "prefs": prefs });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": { "browser": "ALL" } });
        let made = answer(
            http.post(format!("{driver}/session"))
                .header("content-type", JSON)
                .send(json!({ "capabilities": { "alwaysMatch": wanted } }).to_string()),
        )?;
        let id = made.get("sessionId").and_then(Value::as_str).context("the driver gave no session")?;
        let visitor = Self { http: http.clone(), session: format!("{driver}/session/{id}"), language: language.to_owned(), scripts };
        visitor.open("data:text/html,<title>asleep</title><script>document.title='awake'</script>")?;
        let awake = visitor.script("return document.title")? == "awake";
        ensure!(awake == scripts, "scripts were to run: {scripts}; they did: {awake}");
        Ok(visitor)
    }

    /// The language that pages are asked for in.
    pub fn language(&self) -> &str {
        &self.language
    }

    /// Goes to an address.
    pub fn open(&self, url: &str) -> Result<()> {
        self.post("url", &json!({ "url": url })).map(|_| ())
    }

    /// Fills fields by their names, all within `within` (a CSS selector) if there is one.
    pub fn fill(&self, within: Option<&str>, fields: &BTreeMap<String, String>) -> Result<()> {
        for (name, value) in fields {
            let field = self.only(within, "css selector", &format!("[name=\"{name}\"]")).with_context(|| format!("the field `{name}`"))?;
            if self.get(&format!("element/{}/name", field.0))? == "select" {
                ensure!(!value.contains(['"', '\\']), "`{name}` has no choice with a quote or a backslash");
                let choice = self.elements(Some(&field), "css selector", &format!("option[value=\"{value}\"]"))?;
                let choice = choice.first().with_context(|| format!("`{name}` has no choice `{value}`"))?;
                self.click(choice)?;
            } else if self.get(&format!("element/{}/property/type", field.0))? == "checkbox" {
                // `yes` ticks it; everything else leaves it without a tick.
                if self.get(&format!("element/{}/selected", field.0))? != (value == "yes") {
                    self.click(&field)?;
                }
            } else {
                // A file is chosen by its path, as the browser sees it.
                if self.get(&format!("element/{}/property/type", field.0))? != "file" {
                    self.post(&format!("element/{}/clear", field.0), &json!({}))?;
                }
                self.post(&format!("element/{}/value", field.0), &json!({ "text": value }))?;
            }
        }
        Ok(())
    }

    /// Presses the one button, link or summary that shows `label`.
    pub fn press(&self, within: Option<&str>, label: &str) -> Result<()> {
        let by = format!(".//*[self::a or self::button or self::summary][normalize-space()=\"{label}\"]");
        match self.only(within, "xpath", &by) {
            Ok(found) => self.click(&found),
            Err(error) => {
                let all = self.elements(None, "css selector", "a, button, summary")?;
                let labels: Vec<String> = all.iter().filter_map(|each| self.text_of(each).ok()).filter(|text| !text.is_empty()).collect();
                Err(error.context(format!("the button `{label}`; there are: {}", labels.join(", "))))
            }
        }
    }

    /// What the page shows, as text.
    pub fn text(&self) -> Result<String> {
        let text = self.script("return document.body.innerText")?;
        Ok(text.as_str().context("the page has no text")?.to_owned())
    }

    /// The text of the one element that a CSS selector finds.
    pub fn text_at(&self, selector: &str) -> Result<String> {
        let found = self.only(None, "css selector", selector).with_context(|| format!("what `{selector}` is"))?;
        self.text_of(&found)
    }

    /// Takes a picture of the whole page at each width, `NAME-360.png` and so on, in `folder`.
    ///
    /// # Errors
    /// When the page is wider than its window: a phone would have to be pushed to and fro.
    pub fn pictures(&self, folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
        fs::create_dir_all(folder)?;
        let mut taken = Vec::new();
        for width in WIDTHS {
            let wide = self.wide(width)?;
            let png = self.devtools("Page.captureScreenshot", &json!({ "format": "png", "captureBeyondViewport": true }))?;
            let png = BASE64.decode(png.get("data").and_then(Value::as_str).context("there is no picture")?.as_bytes())?;
            let path = folder.join(format!("{name}-{width}.png"));
            fs::write(&path, png)?;
            taken.push(path);
            ensure!(wide <= u64::from(width), "the page `{name}` is {wide} wide in a window of {width}");
        }
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}))?;
        Ok(taken)
    }

    /// How wide the page is in a window of that width.
    pub fn width_at(&self, width: u32) -> Result<u64> {
        let wide = self.wide(width)?;
        self.devtools("Emulation.clearDeviceMetricsOverride", &json!({}))?;
        Ok(wide)
    }

    fn wide(&self, width: u32) -> Result<u64> {
        let size = json!({ "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", &size)?;
        self.script("return document.documentElement.scrollWidth")?.as_u64().context("the page has no width")
    }

    /// What somebody who hears the page instead of seeing it can't tell apart: controls and pictures that have no name in the browser's
    /// own accessibility tree.
    pub fn nameless(&self) -> Result<Vec<String>> {
        self.devtools("Accessibility.enable", &json!({}))?;
        let tree = self.devtools("Accessibility.getFullAXTree", &json!({}))?;
        self.devtools("Accessibility.disable", &json!({}))?;
        Ok(nameless(&tree))
    }

    /// What the browser's console said since it was asked last, but for requests that failed: a script's faults, and what the page's
    /// policy kept from happening.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let log = self.post("se/log", &json!({ "type": "browser" }))?;
        let entries = log.as_array().cloned().unwrap_or_default();
        let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(entries
            .iter()
            .filter(|entry| text(entry, "level") == "SEVERE" && text(entry, "source") != "network")
            .map(|entry| text(entry, "message"))
            .collect())
    }

    /// What axe-core, whose text is given, finds on the page that keeps people out of it: serious and critical violations. Where no scripts
    /// run, it can't, and nothing is found; pages are the same for those with scripts.
    pub fn violations(&self, axe: &str) -> Result<Vec<String>> {
        if !self.scripts {
            return Ok(Vec::new());
        }
        let script = format!("{axe}\n{AXE_RUN}");
        let found = self.post("execute/async", &json!({ "script": script, "args": [] }))?;
        let found = found.as_array().context("axe-core gave no answer")?;
        Ok(found.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// The one element that is shown of those that match.
    fn only(&self, within: Option<&str>, using: &str, value: &str) -> Result<Element> {
        let parent = match within {
            Some(selector) => {
                let found = self.elements(None, "css selector", selector)?;
                Some(found.into_iter().next().with_context(|| format!("nothing is `{selector}`"))?)
            }
            None => None,
        };
        let mut shown = Vec::new();
        for element in self.elements(parent.as_ref(), using, value)? {
            if self.get(&format!("element/{}/displayed", element.0))? == true {
                shown.push(element);
            }
        }
        let count = shown.len();
        ensure!(count < 2, "{count} of them are shown: say which by `within`");
        shown.pop().context("none is shown")
    }

    fn elements(&self, parent: Option<&Element>, using: &str, value: &str) -> Result<Vec<Element>> {
        let path = parent.map_or_else(|| "elements".to_owned(), |parent| format!("element/{}/elements", parent.0));
        let found = self.post(&path, &json!({ "using": using, "value": value }))?;
        let ids = found.as_array().into_iter().flatten().filter_map(|each| each.get(ELEMENT).and_then(Value::as_str));
        Ok(ids.map(|id| Element(id.to_owned())).collect())
    }

    fn text_of(&self, element: &Element) -> Result<String> {
        Ok(self.get(&format!("element/{}/text", element.0))?.as_str().unwrap_or_default().to_owned())
    }

    fn click(&self, element: &Element) -> Result<()> {
        self.post(&format!("element/{}/click", element.0), &json!({})).map(|_| ())
    }

    /// What a script of ours says of the page; it runs where the page's own may not.
    pub fn script(&self, script: &str) -> Result<Value> {
        self.post("execute/sync", &json!({ "script": script, "args": [] }))
    }

    fn devtools(&self, command: &str, params: &Value) -> Result<Value> {
        self.post("goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(self.http.post(format!("{}/{path}", self.session)).header("content-type", JSON).send(body.to_string()))
    }

    fn get(&self, path: &str) -> Result<Value> {
        answer(self.http.get(format!("{}/{path}", self.session)).call())
    }
}

/// What the driver answered, or why it did not do it.
fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Value> {
    let mut response = response?;
    let body = response.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_string()?;
    value_of(response.status().is_success(), &body)
}

fn value_of(good: bool, body: &str) -> Result<Value> {
    let json: Value = serde_json::from_str(body).context("the driver's answer is no JSON")?;
    let value = json.get("value").cloned().unwrap_or_default();
    if good {
        return Ok(value);
    }
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    // What follows the first line is the driver's own stack.
    bail!("{}: {}", text("error"), text("message").lines().next().unwrap_or_default())
}

/// Roles whose elements must have a name.
const NAMED: [&str; 12] =
    ["button", "link", "textbox", "searchbox", "combobox", "listbox", "spinbutton", "checkbox", "radio", "image", "progressbar", "meter"];

/// The roles of those in an accessibility tree that must have a name and have none.
fn nameless(tree: &Value) -> Vec<String> {
    let nodes = tree.get("nodes").and_then(Value::as_array).into_iter().flatten();
    let text =
        |node: &Value, key: &str| node.pointer(&format!("/{key}/value")).and_then(Value::as_str).unwrap_or_default().trim().to_owned();
    let heard = nodes.filter(|node| node.get("ignored") != Some(&Value::Bool(true)));
    let named = heard.map(|node| (text(node, "role"), text(node, "name")));
    named.filter(|(role, name)| NAMED.contains(&role.as_str()) && name.is_empty()).map(|(role, _)| role).collect()
}

/// Whether a page shows all that it shall, and nothing that it shall not.
pub fn check_shown(text: &str, see: &[String], lacks: &[String]) -> Result<()> {
    let short = || text.chars().take(SHOWN_CHARS).collect::<String>();
    if let Some(missing) = see.iter().find(|part| !text.contains(part.as_str())) {
        bail!("the page does not show `{missing}`; it shows: {}", short());
    }
    if let Some(there) = lacks.iter().find(|part| text.contains(part.as_str())) {
        bail!("the page shows `{there}`; all of it: {}", short());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_port_is_read_once_it_is_whole() {
        assert_eq!(port_of("Starting ChromeDriver\nChromeDriver was started successfully on port 41234.\n"), Some(41234));
        assert_eq!(port_of("Starting ChromeDriver on port 0\n"), None);
        assert_eq!(port_of("started successfully on port .\n"), None);
    }

    #[test]
    fn a_refusal_is_told_without_the_drivers_stack() {
        let error = r#"{"value":{"error":"no such element","message":"no such element: x\n  (Session info)","stacktrace":"0x1"}}"#;
        assert_eq!(value_of(false, error).unwrap_err().to_string(), "no such element: no such element: x");
        assert_eq!(value_of(true, r#"{"value":null}"#).unwrap(), Value::Null);
        assert!(value_of(true, "<html>").is_err());
    }

    #[test]
    fn what_has_no_name_in_the_accessibility_tree_is_found() {
        let node =
            |role: &str, name: &str, ignored: bool| json!({ "role": { "value": role }, "name": { "value": name }, "ignored": ignored });
        let nodes = [
            node("button", "Install", false),
            node("textbox", " ", false),
            node("link", "", true),
            node("generic", "", false),
            json!({ "role": { "value": "progressbar" } }),
        ];
        assert_eq!(nameless(&json!({ "nodes": nodes })), ["textbox", "progressbar"]);
        assert_eq!(nameless(&Value::Null), Vec::<String>::new());
    }

    #[test]
    fn what_a_page_shows_is_compared_with_what_it_shall() {
        let parts = |all: &[&str]| all.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>();
        assert!(check_shown("Mosquitto running", &parts(&["Mosquitto", "running"]), &parts(&["stopped"])).is_ok());
        assert!(check_shown("Mosquitto", &parts(&["running"]), &[]).unwrap_err().to_string().contains("does not show `running`"));
        assert!(check_shown("Mosquitto", &[], &parts(&["Mosq"])).unwrap_err().to_string().contains("shows `Mosq`"));
    }
}
