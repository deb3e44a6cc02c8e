//! `cloudy catalog`: signed catalogs of apps, those that are followed and those that this node publishes.

use super::blob::bytes as size;
use super::{Local, text};
use crate::catalogs::{CatalogDetails, CatalogInfo, GetWish, Offer, PublishWish, SavedKey};
use crate::cli::apps::{OTHER_VERSION, entries};
use crate::http::encode;
use crate::limits::BLOB_ASK_EVERY;
use crate::net::is_hash;
use crate::pieces;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Longest file of a secret key that is read, in bytes.
const SECRET_BYTES: u64 = 4000;

/// What `cloudy catalog` is told.
#[derive(Args)]
pub struct CatalogArgs {
    #[command(subcommand)]
    verb: CatalogVerb,
}

#[derive(Subcommand)]
enum CatalogVerb {
    /// List catalogs that are followed, and those that nodes of the microcloud tell of.
    Ls(Local),
    /// Show the apps of one.
    Show {
        /// Its key or the beginning of that, or its name where no other is called so.
        catalog: String,
        #[command(flatten)]
        local: Local,
    },
    /// Follow a catalog: its apps stand in the store, and its news arrive by themselves.
    Follow {
        /// Its key; of one that nodes tell of, the beginning or the name is enough.
        catalog: String,
        #[command(flatten)]
        local: Local,
    },
    /// Follow a catalog no more. Apps that were taken from it stay.
    Unfollow {
        /// Its key or the beginning of that, or its name.
        catalog: String,
        #[command(flatten)]
        local: Local,
    },
    /// Take a catalog that somebody brought, and follow it.
    Add {
        /// Its file, or the hash of its blob.
        what: String,
        #[command(flatten)]
        local: Local,
    },
    /// Write a catalog as a file, to be brought elsewhere.
    Save {
        /// Its key or the beginning of that, or its name.
        catalog: String,
        /// Where to.
        file: PathBuf,
        #[command(flatten)]
        local: Local,
    },
    /// Fetch an app of a catalog into the store, and wait until it is there.
    Get {
        /// The catalog.
        catalog: String,
        /// The app.
        app: String,
        /// Install it once it is here.
        #[arg(long)]
        install: bool,
        /// It may take the place of another publisher's app of that name in the store.
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Publish apps of this node's store in a catalog of its own; again, with a higher number.
    Publish {
        /// The catalog's name.
        name: String,
        /// Its apps; without, those of before in the versions that the store has now.
        apps: Vec<String>,
        /// What people call it.
        #[arg(long)]
        title: Option<String>,
        /// Likewise in Spanish.
        #[arg(long)]
        title_es: Option<String>,
        /// Likewise in Catalan.
        #[arg(long)]
        title_ca: Option<String>,
        #[command(flatten)]
        local: Local,
    },
    /// Give the key of a catalog of this node up, since it is lost or stolen: who follows it takes nothing more that it signs.
    GiveUp {
        /// The catalog's name.
        name: String,
        #[command(flatten)]
        local: Local,
    },
    /// Print the secret key of a catalog of this node, to be kept in a safe place.
    Key {
        /// The catalog's name.
        name: String,
        #[command(flatten)]
        local: Local,
    },
    /// Publish a catalog from this node too, by its secret key.
    BringKey {
        /// The catalog's name.
        name: String,
        /// The file with the key; `-` for the standard input.
        file: PathBuf,
        #[command(flatten)]
        local: Local,
    },
}

impl CatalogArgs {
    /// Does what was asked.
    ///
    /// # Errors
    /// The agent does not answer, or refuses; a file can't be read or written.
    pub async fn run(self) -> Result<()> {
        match self.verb {
            CatalogVerb::Ls(local) => local.show(&all(&local).await?, list),
            CatalogVerb::Show { catalog, local } => {
                let key = whole(&local, &catalog).await?;
                local.show(&local.client().get(&at(&key)).await?, show)
            }
            CatalogVerb::Follow { catalog, local } => {
                let key = whole(&local, &catalog).await?;
                local.show(&local.client().put(&at(&key), &()).await?, |answer| {
                    let name = text(answer, "name");
                    Ok(format!("Followed: {key} {name}\nNext: `cloudy catalog show {}` once it is here.", short(&key)))
                })
            }
            CatalogVerb::Unfollow { catalog, local } => {
                let key = whole(&local, &catalog).await?;
                local.show(&local.client().delete(&at(&key)).await?, |_| {
                    Ok("Followed no more. Apps that were taken from it stay.".to_owned())
                })
            }
            CatalogVerb::Add { what, local } => add(&what, &local).await,
            CatalogVerb::Save { catalog, file, local } => save(&catalog, &file, &local).await,
            CatalogVerb::Get { catalog, app, install, replace, local } => get(&catalog, &app, &GetWish { install, replace }, &local).await,
            CatalogVerb::Publish { name, apps, title, title_es, title_ca, local } => {
                let titles = [("en", title), ("es", title_es), ("ca", title_ca)];
                let title: BTreeMap<_, _> = titles.into_iter().filter_map(|(tag, text)| Some((tag.to_owned(), text?))).collect();
                let wish = PublishWish { title, apps: (!apps.is_empty()).then_some(apps) };
                local.show(&local.client().put(&own(&name), &wish).await?, published)
            }
            CatalogVerb::GiveUp { name, local } => local.show(&local.client().delete(&own(&name)).await?, |_| {
                Ok("Its key is given up; all who follow it hear of that. Next: `cloudy catalog publish` makes one with a new key."
                    .to_owned())
            }),
            CatalogVerb::Key { name, local } => {
                local.show(&local.client().get(&format!("{}/key", own(&name))).await?, |answer| Ok(text(answer, "secret")))
            }
            CatalogVerb::BringKey { name, file, local } => {
                let saved = SavedKey { secret: secret(&file)? };
                local.show(&local.client().put(&format!("{}/key", own(&name)), &saved).await?, |answer| {
                    Ok(format!("Its key is here: {}\nNext: `cloudy catalog publish {name}`", text(answer, "key")))
                })
            }
        }
    }
}

fn at(key: &str) -> String {
    format!("/api/v1/catalogs/{}", encode(key))
}

fn own(name: &str) -> String {
    format!("/api/v1/own-catalogs/{}", encode(name))
}

fn short(key: &str) -> &str {
    key.get(..10).unwrap_or(key)
}

async fn all(local: &Local) -> Result<Value> {
    local.client().list("/api/v1/catalogs", "catalogs").await
}

/// The key of the catalog that is meant.
fn chosen(catalogs: &[CatalogInfo], said: &str) -> Result<String> {
    if is_hash(said) {
        return Ok(said.to_owned());
    }
    let fits = |catalog: &&CatalogInfo| catalog.name == said || (said.len() >= 4 && catalog.key.starts_with(said));
    let found: Vec<&CatalogInfo> = catalogs.iter().filter(fits).collect();
    match found.as_slice() {
        [one] => Ok(one.key.clone()),
        [] => bail!(
            "no catalog is called `{said}`, nor begins a key so: `cloudy catalog ls` lists them; one that nobody tells of needs its whole key"
        ),
        _ => bail!("several catalogs are called `{said}`: name one by its key (`cloudy catalog ls`)"),
    }
}

async fn whole(local: &Local, said: &str) -> Result<String> {
    chosen(&entries(&all(local).await?, "catalogs")?, said)
}

async fn add(what: &str, local: &Local) -> Result<()> {
    let client = local.client();
    let path = Path::new(what);
    let content = if path.exists() || !is_hash(what) {
        let mut file = std::fs::File::open(path).with_context(|| format!("reading `{what}`"))?;
        pieces::written(move |to| std::io::copy(&mut file, to).map(drop))
    } else {
        let begun = client.post(&format!("/api/v1/blobs/{what}"), &()).await?;
        super::blob::follow(local, begun, |here| here.get("complete") == Some(&Value::Bool(true))).await?;
        let mut whole = Vec::new();
        client.download(&format!("/api/v1/blobs/{what}/content"), &mut whole).await?;
        pieces::written(move |to| to.write_all(&whole))
    };
    let answer = client.upload("/api/v1/catalogs", "application/octet-stream", content).await?;
    local.show(&answer, |answer| {
        let key = text(answer, "key");
        Ok(format!(
            "Followed: {key} {}\nCompare the key with the one that its publisher tells you. Next: `cloudy catalog show {}`",
            text(answer, "name"),
            short(&key)
        ))
    })
}

async fn save(catalog: &str, file: &Path, local: &Local) -> Result<()> {
    let client = local.client();
    let key = whole(local, catalog).await?;
    let details = client.get(&at(&key)).await?;
    let hash = text(&details, "hash");
    if hash.is_empty() {
        bail!("nothing of it has come yet: `cloudy catalog ls` says why");
    }
    let mut content = Vec::new();
    client.download(&format!("/api/v1/blobs/{hash}/content"), &mut content).await?;
    std::fs::write(file, content).with_context(|| format!("writing `{}`", file.display()))?;
    local.show(&details, |_| Ok(format!("Written to `{}`. Next: `cloudy catalog add {0}` on another node.", file.display())))
}

async fn get(catalog: &str, app: &str, wish: &GetWish, local: &Local) -> Result<()> {
    let client = local.client();
    let key = whole(local, catalog).await?;
    client.post(&format!("{}/apps/{}", at(&key), encode(app)), wish).await?;
    let answer = loop {
        let details = CatalogDetails::deserialize(&client.get(&at(&key)).await?).context(OTHER_VERSION)?;
        let offer = details.offers.into_iter().find(|offer| offer.name == app).context("the catalog has that app no more")?;
        if offer.in_store && !offer.coming {
            break serde_json::to_value(&offer)?;
        }
        if let Some(problem) = offer.problem.filter(|_| !offer.coming) {
            bail!("it is not in the store: {problem}");
        }
        tokio::time::sleep(BLOB_ASK_EVERY).await;
    };
    local.show(&answer, |_| {
        let next = if wish.install { "cloudy jobs".to_owned() } else { format!("cloudy app install {app}") };
        Ok(format!("In the store now: {app}\nNext: `{next}`"))
    })
}

fn secret(file: &Path) -> Result<String> {
    use std::io::Read;
    let doing = || format!("reading the key from `{}`", file.display());
    let mut said = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(SECRET_BYTES).read_to_string(&mut said).with_context(doing)?;
    } else {
        std::fs::File::open(file).with_context(doing)?.take(SECRET_BYTES).read_to_string(&mut said).with_context(doing)?;
    }
    Ok(said)
}

fn list(answer: &Value) -> Result<String> {
    let catalogs: Vec<CatalogInfo> = entries(answer, "catalogs")?;
    let mut out = String::new();
    for catalog in &catalogs {
        let title = catalog.title.get("en").unwrap_or(&catalog.name);
        let mut how = Vec::new();
        if let Some(name) = &catalog.mine {
            how.push(format!("published here as `{name}`"));
        }
        match (catalog.followed, catalog.number) {
            (true, Some(number)) => how.push(format!("followed, publication {number}, {} apps", catalog.apps)),
            (true, None) => how.push("followed, not here yet".to_owned()),
            (false, _) => how.push("not followed".to_owned()),
        }
        if catalog.revoked {
            how.push("its key was given up".to_owned());
        }
        if catalog.fork {
            how.push("its publisher has signed two of that number".to_owned());
        }
        if catalog.refused {
            how.push(
                "nothing more is taken of it until you go on with it (`cloudy catalog follow KEY`) or leave it (`unfollow`)".to_owned(),
            );
        }
        writeln!(out, "{}  {}  {title}\n    {}", catalog.key, catalog.name, how.join("; "))?;
        for teller in &catalog.told {
            writeln!(out, "    {} has publication {}", teller.node_name, teller.number)?;
        }
        if let Some(problem) = &catalog.problem {
            writeln!(out, "    {problem}")?;
        }
    }
    out.push_str(if catalogs.is_empty() {
        "There is no catalog. Next: `cloudy catalog publish NAME --title … APP…`, or `cloudy catalog add FILE`"
    } else {
        "Next: `cloudy catalog follow KEY`, `cloudy catalog show KEY`"
    });
    Ok(out)
}

/// How an app of a catalog stands to this node.
fn how(offer: &Offer) -> String {
    if offer.in_store {
        return if offer.installed { " (installed)" } else { " (in the store)" }.to_owned();
    }
    if offer.size_bytes.is_none() {
        return format!(" (for {})", offer.machines.join(", "));
    }
    match &offer.other {
        _ if offer.coming => " (on its way)".to_owned(),
        _ if offer.own => " (an own app has that name)".to_owned(),
        Some(other) if other.is_empty() => " (another app has that name)".to_owned(),
        Some(other) => format!(" (another app has that name, from {other})"),
        None if offer.update => " (the store has another version)".to_owned(),
        None => String::new(),
    }
}

fn show(answer: &Value) -> Result<String> {
    let details = CatalogDetails::deserialize(answer).context(OTHER_VERSION)?;
    let mut out = String::new();
    for offer in &details.offers {
        let title = offer.title.get("en").unwrap_or(&offer.name);
        writeln!(out, "{:<20} {:>8}  {title}{}", offer.name, offer.size_bytes.map(size).unwrap_or_default(), how(offer))?;
        if let Some(problem) = &offer.problem {
            writeln!(out, "    {problem}")?;
        }
    }
    write!(out, "Next: `cloudy catalog get {} APP --install`", details.catalog.short())?;
    Ok(out)
}

fn published(answer: &Value) -> Result<String> {
    let catalog = CatalogInfo::deserialize(answer).context(OTHER_VERSION)?;
    let name = catalog.mine.as_deref().unwrap_or(&catalog.name);
    Ok(format!(
        "Publication {} of {name}, {} apps.\n{}\nTell this key to those who shall follow it. Next: `cloudy catalog key {name}` prints its secret key, to be kept in a safe place.",
        catalog.number.unwrap_or_default(),
        catalog.apps,
        catalog.key
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogs::some_catalog;

    #[test]
    fn a_catalog_is_meant_by_its_key_or_by_what_no_other_has() {
        let one = some_catalog(true);
        let two = CatalogInfo { key: "0b".repeat(32), name: "other".to_owned(), ..one.clone() };
        let choose = |said: &str| chosen(&[one.clone(), two.clone()], said).map_err(|error| error.to_string());
        assert_eq!((choose("gracia"), choose("0b0b")), (Ok(one.key.clone()), Ok(two.key.clone())));
        assert_eq!(choose(&"0c".repeat(32)), Ok("0c".repeat(32)), "a whole key need not be told of");
        assert!(choose("0b").unwrap_err().contains("no catalog"));
        let twin = CatalogInfo { name: "gracia".to_owned(), ..two };
        assert!(chosen(&[one.clone(), twin], "gracia").unwrap_err().to_string().contains("several"));
    }
}
