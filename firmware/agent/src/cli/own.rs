//! `cloudy app form`, `compose`, `own`, `allow`: apps of a person's own.

use super::Local;
use crate::apps::{OwnDetails, OwnView, typed};
use crate::http::{OwnWish, encode};
use anyhow::{Context, Result, anyhow};
use clap::Subcommand;
use contract::apps::own::{Definition, Form, FormNetwork, Privilege, TEXT_BYTES};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::io::Read;
use std::path::PathBuf;

/// What is done with apps of one's own.
#[derive(Subcommand)]
pub enum OwnVerb {
    /// Save an app of one's own: any image that Docker has or can pull.
    Form(Box<FormArgs>),
    /// Save an app of one's own: a compose file.
    Compose {
        /// What it is called on this node.
        name: String,
        /// The file; `-` for what comes in.
        #[arg(required_unless_present = "blob", conflicts_with = "blob")]
        file: Option<PathBuf>,
        /// Instead: a file of the microcloud, by its hash or an address with it; it is fetched where it is not here.
        #[arg(long)]
        blob: Option<String>,
        #[command(flatten)]
        said: Said,
        #[command(flatten)]
        local: Local,
    },
    /// List apps of one's own that are saved, or show one.
    Own {
        /// Only this one, with all that was saved.
        name: Option<String>,
        /// Remove it from the list. What is installed of it goes on.
        #[arg(long, requires = "name")]
        forget: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Allow an app of one's own what it asks of the node, as its owner: all that is named, and nothing else.
    Allow {
        /// The app.
        name: String,
        /// Such as `device=/dev/ttyUSB0`; `cloudy app own NAME` lists what it asks for. Without any, nothing is allowed any more.
        privileges: Vec<String>,
        #[command(flatten)]
        local: Local,
    },
}

/// What people read of it.
#[derive(clap::Args)]
pub struct Said {
    /// What people call it [default: its name].
    #[arg(long)]
    title: Option<String>,
    /// What it is for.
    #[arg(long, default_value = "")]
    description: String,
}

/// A form.
#[derive(clap::Args)]
pub struct FormArgs {
    /// What it is called on this node.
    name: String,
    /// The image, such as `nginx:1.27` or `example.org/wiki@sha256:…`.
    #[arg(long)]
    image: String,
    #[command(flatten)]
    said: Said,
    /// A port: `8080:80`, `53/udp` or `8080:80 http`; may be given several times.
    #[arg(long = "port")]
    ports: Vec<String>,
    /// A variable: `NAME=value`, or a name whose value is said when the app is installed; may be given several times.
    #[arg(long = "env")]
    environment: Vec<String>,
    /// What it keeps, `data:/data`; or a folder of the node, `/srv/music:/music:ro`, which an owner must allow.
    #[arg(long = "volume")]
    volumes: Vec<String>,
    /// A device of the node, which an owner must allow.
    #[arg(long = "device")]
    devices: Vec<String>,
    /// `own`, `none`, or `host`, which an owner must allow.
    #[arg(long, default_value = "own")]
    network: String,
    /// A capability, which an owner must allow unless every container has it.
    #[arg(long = "cap-add")]
    capabilities: Vec<String>,
    /// Without confinement, which an owner must allow.
    #[arg(long)]
    privileged: bool,
    /// Its user [default: as the image says].
    #[arg(long)]
    user: Option<String>,
    /// Memory at most, in MiB.
    #[arg(long)]
    memory_mb: Option<u32>,
    /// Hundredths of a processor at most.
    #[arg(long)]
    cpu_percent: Option<u32>,
    /// A word of the program that takes the command; may be given several times [default: as the image says].
    #[arg(long, allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// What it is started with [default: as the image says].
    #[arg(last = true)]
    command: Vec<String>,
    #[command(flatten)]
    local: Local,
}

/// A network as it is typed.
pub fn network(word: &str) -> Result<FormNetwork, String> {
    match word {
        "own" | "" => Ok(FormNetwork::Own),
        "none" => Ok(FormNetwork::None),
        "host" => Ok(FormNetwork::Host),
        other => Err(format!("`{other}` is no network of an app: own, none, host")),
    }
}

impl FormArgs {
    fn form(&self) -> Result<Form, String> {
        let ports: Result<Vec<Vec<_>>, String> = self.ports.iter().map(|line| typed::port(line)).collect();
        Ok(Form {
            image: self.image.clone(),
            entrypoint: self.entrypoint.clone(),
            command: self.command.clone(),
            ports: ports?.into_iter().flatten().collect(),
            environment: self.environment.iter().map(|line| typed::variable(line)).collect(),
            volumes: self.volumes.iter().map(|line| typed::volume(line)).collect::<Result<_, _>>()?,
            devices: self.devices.clone(),
            capabilities: self.capabilities.clone(),
            network: network(&self.network)?,
            privileged: self.privileged,
            user: self.user.clone(),
            memory_mb: self.memory_mb,
            cpu_percent: self.cpu_percent,
        })
    }
}

fn at(name: &str) -> String {
    format!("/api/v1/own-apps/{}", encode(name))
}

fn definition(name: &str, said: Said) -> Definition {
    Definition { title: said.title.unwrap_or_else(|| name.to_owned()), description: said.description, ..Definition::default() }
}

impl OwnVerb {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        match self {
            Self::Form(args) => {
                let form = args.form().map_err(|why| anyhow!("{why}"))?;
                let FormArgs { name, said, local, .. } = *args;
                let definition = Definition { form: Some(form), ..definition(&name, said) };
                local.show(&local.client().put(&at(&name), &definition).await?, saved)
            }
            Self::Compose { name, file, blob, said, local } => {
                let compose = file.as_ref().map(text).transpose()?;
                let Definition { title, description, .. } = definition(&name, said);
                let wish = OwnWish { title, description, compose, blob, form: None };
                local.show(&local.client().put(&at(&name), &wish).await?, saved)
            }
            Self::Own { name: None, local, .. } => local.show(&local.client().list("/api/v1/own-apps", "apps").await?, list),
            Self::Own { name: Some(name), forget: false, local } => local.show(&local.client().get(&at(&name)).await?, show),
            Self::Own { name: Some(name), forget: true, local } => {
                let answer = local.client().delete(&at(&name)).await?;
                local.show(&answer, |_| Ok(format!("`{name}` is not saved any more.")))
            }
            Self::Allow { name, privileges, local } => {
                let known = |text: &String| text.parse::<Privilege>().map_err(|error| anyhow!("{error}"));
                let grants: BTreeSet<Privilege> = privileges.iter().map(known).collect::<Result<_>>()?;
                local.show(&local.client().put(&format!("{}/grants", at(&name)), &grants).await?, saved)
            }
        }
    }
}

/// A file's text, or what comes in.
fn text(file: &PathBuf) -> Result<String> {
    let mut text = String::new();
    let most = u64::try_from(TEXT_BYTES).unwrap_or(u64::MAX) + 1;
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_string(&mut text))
    };
    read.with_context(|| format!("reading `{}`", file.display()))?;
    Ok(text)
}

fn asked(view: &OwnView) -> String {
    let mut out = String::new();
    for asked in &view.asked {
        let place =
            if asked.line > 0 { format!(" (line {}, column {}, `{}`)", asked.line, asked.column, asked.key) } else { String::new() };
        let how = if asked.granted { "allowed" } else { "not allowed" };
        let _ = writeln!(out, "    asks for {}{place}: {how}", asked.privilege);
    }
    out
}

fn next(view: &OwnView) -> String {
    if view.asked.iter().all(|asked| asked.granted) {
        if let Some(container) = &view.by_hand {
            return format!("Next: `cloudy app adopt {container} {}`", view.name);
        }
        let must: String = view.must.iter().map(|name| format!(" --set {name}=…")).collect();
        return format!("Next: `cloudy app install {}{must}`", view.name);
    }
    let all: Vec<String> = view.asked.iter().map(|asked| asked.privilege.to_string()).collect();
    format!("Next: an owner looks at it and allows it: `cloudy app allow {} {}`", view.name, all.join(" "))
}

fn saved(answer: &Value) -> Result<String> {
    let view = OwnView::deserialize(answer).context(super::apps::OTHER_VERSION)?;
    Ok(format!("`{}` is saved.\n{}{}", view.name, asked(&view), next(&view)))
}

fn list(answer: &Value) -> Result<String> {
    let apps: Vec<OwnView> = super::apps::entries(answer, "apps")?;
    let mut out = String::new();
    for app in &apps {
        let here = if app.installed { " (installed)" } else { "" };
        writeln!(out, "{:<20} {:<8} {}  {}{here}", app.name, app.kind, app.image, app.title)?;
        out.push_str(&asked(app));
    }
    if apps.is_empty() {
        out.push_str("No app of one's own is saved. Next: `cloudy app form NAME --image IMAGE` or `cloudy app compose NAME FILE`");
    }
    Ok(out)
}

fn show(answer: &Value) -> Result<String> {
    let details = OwnDetails::deserialize(answer).context(super::apps::OTHER_VERSION)?;
    let definition = &details.definition;
    let text = match &definition.compose {
        Some(text) => text.clone(),
        None => serde_json::to_string_pretty(&definition.form)?,
    };
    let wrong = details.view.wrong.iter().map(|why| format!("This version does not take it any more:\n{why}\n")).collect::<String>();
    Ok(format!("{}: {}\n{}{text}\n{wrong}{}", definition.title, definition.description, asked(&details.view), next(&details.view)))
}
