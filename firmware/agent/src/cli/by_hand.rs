//! `cloudy app by-hand`, `adopt`, `clear`: what was made with Docker by hand.

use super::Local;
use super::apps::{OTHER_VERSION, follow};
use crate::apps::{AdoptWish, HandView};
use crate::broker::ByHand;
use crate::http::encode;
use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write;
use std::process::ExitCode;

/// What is done with what was made by hand.
#[derive(Subcommand)]
pub enum HandVerb {
    /// List containers, images and volumes that were made with Docker by hand, or show what one container would be as an app.
    ByHand {
        /// Only this container: its name or number.
        container: Option<String>,
        #[command(flatten)]
        local: Local,
    },
    /// Make an app of a container that was made by hand, with what it keeps, and wait until it runs. The old one stays, stopped.
    Adopt {
        /// The container: its name or number.
        container: String,
        /// What the app is called on this node [default: as the container].
        name: Option<String>,
        /// What people call it [default: the container's name].
        #[arg(long)]
        title: Option<String>,
        /// A port of the node for one of the app's, such as `tcp-80=8081`; may be given several times [default: as the container].
        #[arg(long = "port", value_name = "NAME=NUMBER", value_parser = super::apps::port)]
        ports: Vec<(String, u16)>,
        #[command(flatten)]
        local: Local,
    },
    /// Remove something that was made by hand and that nothing uses: an image, a volume, or a container whose place an app has taken.
    Clear {
        /// What it is.
        #[arg(value_enum)]
        kind: Kind,
        /// Its number or name.
        which: String,
        #[command(flatten)]
        local: Local,
    },
}

/// What is removed.
#[derive(Clone, Copy, ValueEnum)]
pub enum Kind {
    /// A container that is kept, stopped, since an app has taken its place.
    Container,
    /// An image.
    Image,
    /// A volume, with what it holds.
    Volume,
}

const AT: &str = "/api/v1/by-hand";

fn at(container: &str) -> String {
    format!("{AT}/containers/{}", encode(container))
}

impl HandVerb {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<ExitCode> {
        match self {
            Self::ByHand { container: None, local } => local.show(&local.client().get(AT).await?, list)?,
            Self::ByHand { container: Some(container), local } => local.show(&local.client().get(&at(&container)).await?, show)?,
            Self::Adopt { container, name, title, ports, local } => {
                let looked = HandView::deserialize(&local.client().get(&at(&container)).await?).context(OTHER_VERSION)?;
                let wish = AdoptWish { name: name.unwrap_or(looked.proposed), title, ports: ports.into_iter().collect() };
                let begun = local.client().post(&at(&looked.id), &wish).await?;
                return follow(&local, begun).await;
            }
            Self::Clear { kind, which, local } => {
                let path = match kind {
                    // Its number is what is kept of it.
                    Kind::Container => {
                        let looked = HandView::deserialize(&local.client().get(&at(&which)).await?).context(OTHER_VERSION)?;
                        at(&looked.id)
                    }
                    Kind::Image => format!("{AT}/images/{}", encode(&which)),
                    Kind::Volume => format!("{AT}/volumes/{}", encode(&which)),
                };
                local.show(&local.client().delete(&path).await?, |_| Ok(format!("`{which}` is removed.")))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn used(by: &[String]) -> String {
    if by.is_empty() { "used by nothing".to_owned() } else { format!("used by {}", by.join(", ")) }
}

fn list(answer: &Value) -> Result<String> {
    let all = ByHand::deserialize(answer).context(OTHER_VERSION)?;
    let mut out = String::new();
    for container in &all.containers {
        let parts = container.ports.iter().chain(&container.mounts).cloned().collect::<Vec<_>>().join(" ");
        writeln!(out, "container {:<24} {:<10} {}  {parts}", container.name, container.state, container.image)?;
        if let Some(why) = &container.stays {
            writeln!(out, "    is not adopted: {why}")?;
        }
        if let Some(app) = &container.adopted {
            writeln!(out, "    the app `{app}` has taken its place: `cloudy app clear container {}` removes it,", container.name)?;
            writeln!(out, "    with what it wrote outside of its volumes, which is in it alone")?;
        }
    }
    for image in &all.images {
        let name = if image.tags.is_empty() { image.id.clone() } else { image.tags.join(", ") };
        writeln!(out, "image     {name}  {} MB, {}", image.bytes / 1_000_000, used(&image.used_by))?;
    }
    for volume in &all.volumes {
        writeln!(out, "volume    {}  {}", volume.name, used(&volume.used_by))?;
    }
    if all.more {
        out.push_str("There are more than are shown here.\n");
    }
    let next = all.containers.iter().find(|container| container.stays.is_none() && container.adopted.is_none());
    match next {
        Some(container) => write!(out, "Next: `cloudy app by-hand {}`", container.name)?,
        None if out.is_empty() => out.push_str("Nothing was made by hand."),
        None => {}
    }
    Ok(out)
}

fn show(answer: &Value) -> Result<String> {
    let one = HandView::deserialize(answer).context(OTHER_VERSION)?;
    let mut out = format!("{}: {}\n", one.name, one.image);
    let lines = [
        ("starts", vec![one.command.join(" ")]),
        ("variable", one.environment),
        ("port", one.ports),
        ("volume", one.volumes),
        ("asks for", one.asks),
        ("will differ", one.differs),
    ];
    for (what, lines) in lines {
        for line in lines.iter().filter(|line| !line.is_empty()) {
            writeln!(out, "{what:<12} {line}")?;
        }
    }
    for not in &one.not {
        writeln!(out, "can't be taken over: `{}`: {}", not.what, not.why)?;
    }
    match (one.adopted, one.not.is_empty()) {
        (Some(app), _) => write!(out, "The app `{app}` has taken its place.")?,
        (None, true) => write!(out, "Next: `cloudy app adopt {} {}`", one.name, one.proposed)?,
        (None, false) => out.push_str("It is not adopted. Next: `cloudy app compose NAME FILE`"),
    }
    Ok(out)
}
