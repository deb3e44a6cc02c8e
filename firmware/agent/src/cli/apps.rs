//! `cloudy app …` and `cloudy jobs`.

mod found;
mod layout;
mod running;
mod update;

use super::by_hand::HandVerb;
use super::own::OwnVerb;
use super::{Local, say, text};
use crate::apps::{AppView, JobView, Publication, Wish};
use crate::broker::Run;
use crate::http::encode;
use crate::limits::JOB_ASK_EVERY;
use crate::units::Action;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// `cloudy app`.
#[derive(clap::Args)]
pub struct AppArgs {
    #[command(subcommand)]
    verb: AppVerb,
}

#[derive(Subcommand)]
enum AppVerb {
    /// List what can be installed.
    Catalog(Local),
    /// Take apps into the catalog: a folder or tar that `cargo xtask app` wrote.
    Add {
        /// The image layout: a folder, or a tar of one.
        path: PathBuf,
        /// Only these apps of a folder.
        names: Vec<String>,
        #[command(flatten)]
        local: Local,
    },
    /// Take an app out of the catalog. One that is installed goes on.
    Forget(Named),
    /// Install an app of the catalog, and wait until it runs.
    Install {
        /// The app.
        name: String,
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        local: Local,
    },
    /// Change an app's settings or ports; what is not said stays.
    Set {
        /// The app.
        name: String,
        #[command(flatten)]
        chosen: Chosen,
        /// Take the version that the catalog has now.
        #[arg(long)]
        update: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Show what an update of an app would change, before it is made: what it asks for first.
    Changes(Named),
    /// List what is installed, and how it is.
    List(Local),
    /// Show an app with its settings.
    Show(Named),
    /// Start an app.
    Start(Named),
    /// Stop an app; it stays stopped after a restart of the node too.
    Stop(Named),
    /// Stop and start an app.
    Restart(Named),
    /// Take an app away. What it keeps stays, for when it is installed again.
    Remove {
        /// The app.
        name: String,
        /// With all that it keeps.
        #[arg(long)]
        with_data: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Show what an app said last, and with --follow what it says from then on.
    Logs {
        /// The app.
        name: String,
        /// So many lines.
        #[arg(long, default_value_t = 100)]
        lines: u32,
        /// Go on until the app is removed, or this is stopped.
        #[arg(long)]
        follow: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Publish an app to the microcloud, with how it is.
    Publish {
        /// The app.
        name: String,
        /// What it is in a few words [default: the app's title].
        #[arg(long)]
        title: Option<String>,
        /// What it is in some sentences [default: the app's].
        #[arg(long)]
        description: Option<String>,
        /// A word to find it by [default: the app's category].
        #[arg(long)]
        category: Option<String>,
        /// Its whole address, where it is reached elsewhere than at its port on this node.
        #[arg(long, conflicts_with = "port")]
        url: Option<String>,
        /// Which of its ports, by its name [default: the only one].
        #[arg(long)]
        port: Option<String>,
        /// A language that it speaks to people, such as ca; may be given more than once.
        #[arg(long)]
        language: Vec<String>,
        #[command(flatten)]
        local: Local,
    },
    /// Publish an app no more.
    Withdraw(Named),
    #[command(flatten)]
    Found(found::FoundVerb),
    #[command(flatten)]
    Own(OwnVerb),
    #[command(flatten)]
    ByHand(HandVerb),
}

#[derive(clap::Args)]
struct Named {
    /// The app.
    name: String,
    #[command(flatten)]
    local: Local,
}

#[derive(clap::Args)]
struct Chosen {
    /// A setting, such as `user=garden`; may be given several times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// A setting whose value is what a file holds, such as `password=/root/mqtt`: what stands in a command can be seen by others.
    #[arg(long = "set-from", value_name = "NAME=FILE", value_parser = pair)]
    from: Vec<(String, String)>,
    /// A port of the node for one of the app's, such as `mqtt=1884`; may be given several times.
    #[arg(long = "port", value_name = "NAME=NUMBER", value_parser = port)]
    ports: Vec<(String, u16)>,
}

/// `cloudy jobs`.
#[derive(clap::Args)]
pub struct Jobs {
    /// Only this one, with what was said when it failed.
    id: Option<u64>,
    #[command(flatten)]
    local: Local,
}

fn pair(text: &str) -> Result<(String, String), String> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

pub(super) fn port(text: &str) -> Result<(String, u16), String> {
    let (name, number) = pair(text)?;
    let number = number.parse().map_err(|_| format!("`{number}` is no port: a number from 1 to 65535"))?;
    Ok((name, number))
}

impl Chosen {
    fn wish(self, update: bool) -> Result<Wish> {
        let mut settings: BTreeMap<String, String> = self.settings.into_iter().collect();
        for (name, file) in self.from {
            let text = std::fs::read_to_string(&file).with_context(|| format!("reading `{file}`"))?;
            settings.insert(name, text.trim_end_matches('\n').to_owned());
        }
        Ok(Wish { ports: self.ports.into_iter().collect(), settings, update })
    }
}

fn at(name: &str) -> String {
    format!("/api/v1/apps/{}", encode(name))
}

impl AppArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<ExitCode> {
        match self.verb {
            AppVerb::Own(verb) => verb.run().await?,
            AppVerb::ByHand(verb) => return verb.run().await,
            AppVerb::Found(verb) => verb.run().await?,
            AppVerb::Catalog(local) => local.show(&local.client().list("/api/v1/catalog", "apps").await?, catalog)?,
            AppVerb::List(local) => {
                let mut answer = local.client().list("/api/v1/apps", "apps").await?;
                if let Some(apps) = answer.get_mut("apps").and_then(Value::as_array_mut) {
                    running::with_uses(&local, apps).await;
                }
                local.show(&answer, list)?;
            }
            AppVerb::Add { path, names, local } => {
                let answer = local.client().upload("/api/v1/catalog", "application/x-tar", layout::pieces(&path, &names)?).await?;
                local.show(&answer, |answer| {
                    let names = Vec::<String>::deserialize(answer.get("added").unwrap_or(&Value::Null))?;
                    let next = names.first().map(|name| format!("Next: `cloudy app install {name}`")).unwrap_or_default();
                    Ok(format!("In the catalog now: {}\n{next}", names.join(", ")))
                })?;
            }
            AppVerb::Forget(Named { name, local }) => {
                let answer = local.client().delete(&format!("/api/v1/catalog/{}", encode(&name))).await?;
                local.show(&answer, |_| Ok(format!("`{name}` is not in the catalog any more.")))?;
            }
            AppVerb::Install { name, chosen, local } => {
                let begun = local.client().post(&at(&name), &chosen.wish(false)?).await?;
                return follow(&local, begun).await;
            }
            AppVerb::Changes(Named { name, local }) => {
                local.show(&local.client().get(&format!("{}/changes", at(&name))).await?, update::show)?;
            }
            AppVerb::Set { name, chosen, update, local } => {
                if update && !local.json {
                    let said = local.client().get(&format!("{}/changes", at(&name))).await.and_then(|answer| update::said(&answer));
                    say(&said.unwrap_or_else(|why| format!("What it changes can't be said: {why:#}")));
                }
                let begun = local.client().put(&at(&name), &chosen.wish(update)?).await?;
                return follow(&local, begun).await;
            }
            AppVerb::Show(Named { name, local }) => {
                let mut app = local.client().get(&at(&name)).await?;
                let settings = local.client().get(&format!("{}/settings", at(&name))).await?;
                running::with_uses(&local, std::slice::from_mut(&mut app)).await;
                if let Some(app) = app.as_object_mut() {
                    app.insert("settings".to_owned(), settings);
                }
                local.show(&app, show)?;
            }
            AppVerb::Start(named) => return act(named, Action::Start).await,
            AppVerb::Stop(named) => return act(named, Action::Stop).await,
            AppVerb::Restart(named) => return act(named, Action::Restart).await,
            AppVerb::Remove { name, with_data, local } => {
                let begun = local.client().delete(&format!("{}?with-data={with_data}", at(&name))).await?;
                return follow(&local, begun).await;
            }
            AppVerb::Logs { name, lines, follow, local } => running::logs(&name, lines, follow, &local).await?,
            AppVerb::Publish { name, title, description, category, url, port, language, local } => {
                let wanted = Publication { title, description, category, url, port, languages: language };
                let answer = local.client().put(&format!("{}/publication", at(&name)), &wanted).await?;
                local.show(&answer, |_| Ok(format!("`{name}` is published.\nNext: `cloudy search` on any node.")))?;
            }
            AppVerb::Withdraw(Named { name, local }) => {
                let answer = local.client().delete(&format!("{}/publication", at(&name))).await?;
                local.show(&answer, |_| Ok(format!("`{name}` is not published any more.")))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn act(Named { name, local }: Named, action: Action) -> Result<ExitCode> {
    let begun = local.client().post(&format!("{}/{}", at(&name), action.word()), &()).await?;
    follow(&local, begun).await
}

impl Jobs {
    /// Shows jobs.
    ///
    /// # Errors
    /// The agent does not answer, or knows no such job.
    pub async fn run(self) -> Result<()> {
        match self.id {
            None => self.local.show(&self.local.client().list("/api/v1/jobs", "jobs").await?, |answer| {
                let jobs: Vec<JobView> = entries(answer, "jobs")?;
                let lines: Vec<String> = jobs.iter().map(line).collect();
                Ok(if lines.is_empty() { "Nothing was done with apps yet.".to_owned() } else { lines.join("\n") })
            }),
            Some(id) => self.local.show(&self.local.client().get(&format!("/api/v1/jobs/{id}")).await?, |answer| {
                let job = JobView::deserialize(answer).context(OTHER_VERSION)?;
                Ok(format!("{}\n{}", line(&job), job.output))
            }),
        }
    }
}

pub(super) const OTHER_VERSION: &str = "the agent speaks another version's language; restart it";

/// The entries of a list.
pub(super) fn entries<T: serde::de::DeserializeOwned>(answer: &Value, field: &str) -> Result<Vec<T>> {
    Vec::deserialize(answer.get(field).unwrap_or(&Value::Null)).context(OTHER_VERSION)
}

/// Waits until a job is over, and says how far it is.
pub(super) async fn follow(local: &Local, begun: Value) -> Result<ExitCode> {
    let (client, mut said, mut answer) = (local.client(), String::new(), begun);
    loop {
        let job = JobView::deserialize(&answer).context(OTHER_VERSION)?;
        let now = line(&job);
        if !local.json && now != said {
            say(&now);
            said = now;
        }
        if job.over {
            if local.json {
                say(&serde_json::to_string(&answer)?);
            } else if !job.output.is_empty() {
                say(job.output.trim_end());
            }
            return Ok(if job.state == "done" { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        tokio::time::sleep(JOB_ASK_EVERY).await;
        answer = client.get(&format!("/api/v1/jobs/{}", job.id)).await?;
    }
}

/// A word of the API's, as people read it.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().map(|word| word.replace('-', " ")).or_else(|| Some(text(&value, "kind"))).unwrap_or_default()
}

/// A job in one line.
fn line(job: &JobView) -> String {
    let mut line = format!("job {:<4} {} {}: {}", job.id, word(&job.kind), job.app, job.state);
    let mut more = |text: String| line.push_str(&text);
    if let Some(by) = &job.asked.by {
        more(format!(", asked by {by}"));
    }
    if let Some(step) = job.step.filter(|_| !job.over) {
        more(format!(", {} ({} of {})", word(&step), (job.done + 1).min(job.steps.max(1)), job.steps.max(1)));
    }
    if let Some(progress) = job.progress.filter(|progress| progress.total > 0) {
        more(format!(", {} of {} MB", progress.done / 1_000_000, progress.total.div_ceil(1_000_000)));
    }
    if let Some(waits) = &job.waits {
        more(format!(", waits: {waits}"));
    }
    if let Some(reason) = &job.reason {
        more(format!(": {reason}"));
    }
    if let Some(backup) = &job.backup {
        more(format!(", backup {backup}"));
    }
    line
}

fn catalog(answer: &Value) -> Result<String> {
    let apps: Vec<crate::apps::CatalogView> = entries(answer, "apps")?;
    let mut out = String::new();
    for app in &apps {
        let here = if app.installed { " (installed)" } else { "" };
        writeln!(out, "{:<20} {:>6} MB  {}{here}", app.name, app.bytes / 1_000_000, app.title.get("en").unwrap_or(&app.name))?;
        writeln!(out, "    {}", app.description.get("en").map_or("", String::as_str))?;
        if let Some(source) = &app.source {
            writeln!(out, "    from the catalog {} ({})", source.name, source.short())?;
        }
        if !app.must.is_empty() {
            let words: Vec<String> = app.must.iter().map(|name| format!("--set {name}=…")).collect();
            writeln!(out, "    must be said: {}", words.join(" "))?;
        }
    }
    out.push_str(if apps.is_empty() {
        "The catalog is empty. Next: `cloudy app found`, or `cloudy app add PATH`"
    } else {
        "Next: `cloudy app install NAME`"
    });
    Ok(out)
}

/// How an app is, in words.
fn state(app: &AppView) -> String {
    let word = match (app.run, &app.unknown) {
        (Some(Run::Absent), _) => "is gone: `cloudy app start` makes it anew",
        (Some(Run::Stopped), _) => "stopped",
        (Some(Run::Failing), _) => "ends again and again",
        (Some(Run::Starting), _) => "starting",
        (Some(Run::Ill), _) => "runs and is not well",
        (Some(Run::Running), _) => "runs",
        (None, _) => "unknown",
    };
    let why = app.unknown.iter().map(|why| format!(": {why}"));
    let job = app.job.map(|job| format!(", job {job} is at work"));
    let published = app.published.then(|| ", published".to_owned());
    let newer = app.newer.then(|| ", another version is there: `cloudy app changes` says what it changes".to_owned());
    word.to_owned() + &why.chain(job).chain(published).chain(newer).collect::<String>()
}

fn list(answer: &Value) -> Result<String> {
    let apps: Vec<AppView> = entries(answer, "apps")?;
    let mut out = String::new();
    for (app, said) in apps.iter().zip(answer.get("apps").and_then(Value::as_array).into_iter().flatten()) {
        let ports: Vec<String> = app.ports.values().map(|port| format!("{}:{}", port.scheme, port.port)).collect();
        let used = Some(running::used(said)).filter(|used| !used.is_empty()).map(|used| format!(", {used}")).unwrap_or_default();
        writeln!(out, "{:<20} {:<24} {}{used}", app.name, ports.join(" "), state(app))?;
    }
    if apps.is_empty() {
        out.push_str("No app is installed. Next: `cloudy app catalog`");
    }
    Ok(out)
}

fn show(answer: &Value) -> Result<String> {
    let app = AppView::deserialize(answer).context(OTHER_VERSION)?;
    let mut out = format!("{}: {}\n", app.title.get("en").unwrap_or(&app.name), state(&app));
    for (name, port) in &app.ports {
        writeln!(out, "port {name:<15} {} ({})", port.port, port.scheme)?;
    }
    let settings = BTreeMap::<String, String>::deserialize(answer.get("settings").unwrap_or(&Value::Null)).unwrap_or_default();
    for (name, value) in &settings {
        writeln!(out, "{name:<20} {value}")?;
    }
    let used = running::used(answer);
    if !used.is_empty() {
        writeln!(out, "uses                 {used}")?;
    }
    writeln!(out, "image                {}", app.image)?;
    if out.is_empty() {
        bail!("{OTHER_VERSION}");
    }
    Ok(out)
}
