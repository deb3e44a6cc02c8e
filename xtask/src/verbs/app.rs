//! `cargo xtask app NAME`: an app's image for all architectures.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use cluster::catalog::Words;
use contract::apps::App;

use crate::apps::catalog::{self, Published, Publisher};
use crate::apps::lab::{self, Trial};
use crate::apps::oci::{Descriptor, Layout};
use crate::apps::plan::AppPlan;
use crate::apps::{Apps, OUT, build};
use crate::board::Arch;
use crate::packages::data;
use crate::packages::fetch;
use crate::packages::lock::LockedPackage;
use crate::packages::sources::Sources;
use crate::stages::Workshop;
use crate::trees::{Trees, command};
use crate::ui;

/// Builds images of apps: OCI, for all architectures, into out/apps.
#[derive(Args)]
pub struct AppVerb {
    /// The apps, as `images/apps` of the checkout and of added trees has them; without a name, they are listed.
    names: Vec<String>,
    /// All of them.
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Only for this architecture (Debian's name); may be given more than once.
    #[arg(long, value_name = "ARCH")]
    arch: Vec<String>,
    /// Use it on a Docker of the builder's own: start, a round trip in its protocol, as `try.toml` says.
    #[arg(long = "try")]
    trial: bool,
    /// The same through a node: this program is its agent and broker, and its command line installs, stops and removes the app.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "trial")]
    node: Option<PathBuf>,
    /// Make all layers a second time, from the packages, and refuse another digest.
    #[arg(long)]
    twice: bool,
    #[command(flatten)]
    publishing: Publishing,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Take .debs from this folder instead of the network.
    #[arg(long, value_name = "DIR")]
    deb_mirror: Option<PathBuf>,
}

/// What makes the signed catalog of what is built.
#[derive(Args)]
struct Publishing {
    /// Make the signed catalog of these apps, by the publisher's key in this file, into out/catalogs: no node is needed for that.
    #[arg(long, value_name = "KEYFILE")]
    catalog: Option<PathBuf>,
    /// Take the apps from this image layout, which was built before, instead of building them.
    #[arg(long, value_name = "DIR", requires = "catalog", conflicts_with_all = ["all", "trial", "node", "twice", "deb_mirror"])]
    built: Option<PathBuf>,
    /// Make that key, for a catalog that its publisher calls so.
    #[arg(long, value_name = "NAME", requires = "catalog")]
    new_key: Option<String>,
    /// What people call the catalog; needed at first.
    #[arg(long, requires = "catalog")]
    title: Option<String>,
    /// The same in Spanish, if it is not the same.
    #[arg(long, requires = "title")]
    title_es: Option<String>,
    /// The same in Catalan.
    #[arg(long, requires = "title")]
    title_ca: Option<String>,
}

impl Publishing {
    fn publisher(&self) -> Result<Option<Publisher>> {
        let Some(file) = &self.catalog else { return Ok(None) };
        self.new_key.as_ref().map_or_else(|| Publisher::read(file), |name| Publisher::new(file, name)).map(Some)
    }

    /// Publishes what is built, where that is wished.
    fn publish(&self, publisher: Option<Publisher>, layout: &Layout, apps: &[(&App, Vec<Arch>)]) -> Result<Option<Published>> {
        publisher.map(|publisher| publisher.publish(layout, apps, self.title())).transpose()
    }

    fn title(&self) -> Option<Words> {
        let en = self.title.clone()?;
        let or_en = |said: &Option<String>| said.clone().unwrap_or_else(|| en.clone());
        Some(Words { es: or_en(&self.title_es), ca: or_en(&self.title_ca), en })
    }
}

impl AppVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(folder) = &self.publishing.built {
            return self.publish_built(folder);
        }
        let repo = super::root()?;
        let apps = Apps::load(&Trees::of(&repo))?;
        if self.names.is_empty() && !self.all {
            apps.apps.iter().for_each(|app| println!("{:14} {}", app.name, app.description.en));
            println!("\nNext: {}", command("app NAME"));
            return Ok(());
        }
        let arches = self.arches()?;
        let chosen: Vec<_> = if self.all {
            apps.apps.iter().filter(|app| arches.is_empty() || arches.iter().any(|arch| app.architectures.contains(arch))).collect()
        } else {
            self.names.iter().map(|name| apps.app(name)).collect::<Result<_>>()?
        };
        // What is wrong with the key is said before anything is built.
        let publisher = self.publishing.publisher()?;
        let plans = chosen.into_iter().map(|app| AppPlan::make(&apps, app, &arches)).collect::<Result<Vec<_>>>()?;
        let shop = Workshop::open(repo, self.deb_mirror.clone())?;
        fetch_all(&shop, &plans)?;
        let layout = Layout::at(&shop.repo.join(OUT))?;
        let mut trials = Vec::new();
        let mut report = serde_json::Map::new();
        for plan in &plans {
            let name = &plan.app.name;
            let stage = ui::stage("app", format!("building {name}"));
            let index = build::app(&shop, &apps, plan, &layout)?;
            drop(stage);
            if self.twice {
                twice(&shop, &apps, plan, &index)?;
            }
            report.insert(name.clone(), self.tell(plan, &layout, &index)?);
            if self.tries() {
                ensure!(plan.images.iter().any(|image| image.arch == Arch::Amd64), "{name} can't be tried without --arch amd64");
                trials.push(Trial::read(&apps, plan.app, &index.digest, self.node.is_some())?);
            }
        }
        if self.tries() {
            lab::run(&shop, &shop.repo.join(OUT), &trials, self.node.as_deref())?;
        }
        let apps: Vec<_> = plans.iter().map(|plan| (plan.app, plan.images.iter().map(|image| image.arch).collect())).collect();
        let published = self.publishing.publish(publisher, &layout, &apps)?;
        if self.json {
            report.extend(published.map(|published| ("signed-catalog".to_owned(), said(&published))));
            println!("{}", serde_json::Value::Object(report));
        } else if let Some(published) = published {
            show(&published);
        } else if !self.tries() {
            let name = plans.first().map(|plan| plan.app.name.as_str()).unwrap_or("NAME");
            println!("\nNext: try it: {}", command(&format!("app {name} --try")));
        }
        Ok(())
    }

    /// Publishes apps that were built before.
    fn publish_built(&self, folder: &Path) -> Result<()> {
        ensure!(!self.names.is_empty(), "name the apps that the catalog shall have: who follows it would lose all others");
        let (publisher, layout, arches) = (self.publishing.publisher()?, Layout::at(folder)?, self.arches()?);
        let mut apps = self.names.iter().map(|name| catalog::built(&layout, name)).collect::<Result<Vec<_>>>()?;
        apps.iter_mut().for_each(|(_, of)| of.retain(|arch| arches.is_empty() || arches.contains(arch)));
        let apps: Vec<_> = apps.iter().map(|(app, arches)| (app, arches.clone())).collect();
        if let Some(published) = self.publishing.publish(publisher, &layout, &apps)? {
            if self.json { println!("{}", said(&published)) } else { show(&published) }
        }
        Ok(())
    }

    fn tries(&self) -> bool {
        self.trial || self.node.is_some()
    }

    fn arches(&self) -> Result<Vec<Arch>> {
        let find = |name: &String| Arch::ALL.into_iter().find(|arch| arch.debian() == name);
        match self.arch.iter().find(|name| find(name).is_none()) {
            Some(unknown) => bail!("there is no architecture `{unknown}`; there are amd64, arm64, armhf"),
            None => Ok(self.arch.iter().filter_map(find).collect()),
        }
    }

    fn tell(&self, plan: &AppPlan<'_>, layout: &Layout, index: &Descriptor) -> Result<serde_json::Value> {
        let mut images = serde_json::Map::new();
        if !self.json {
            println!("{}: {}", plan.app.name, index.digest);
        }
        for (image, manifest) in plan.images.iter().zip(layout.read_index(&index.digest)?.manifests) {
            let layers = layout.layers(&manifest.digest)?;
            let sizes: Vec<u64> = layers.iter().map(|layer| layer.size).collect();
            if !self.json {
                let own = sizes.last().copied().unwrap_or_default();
                let shared: u64 = sizes.iter().rev().skip(1).sum();
                println!("  {:6} {:6.1} MB of its own, {:.1} MB shared by all apps", image.arch.debian(), mb(own), mb(shared));
            }
            images.insert(image.arch.debian().to_owned(), serde_json::json!({ "manifest": manifest.digest, "layers": sizes }));
        }
        Ok(serde_json::json!({ "index": index.digest, "images": images }))
    }
}

fn said(published: &Published) -> serde_json::Value {
    let Published { file, number, key, blobs } = published;
    serde_json::json!({ "key": key, "number": number, "file": file, "blobs": blobs })
}

fn show(published: &Published) {
    let Published { file, number, key, blobs } = published;
    println!("{}: publication {number} of {key}, with {} blobs beside it", file.display(), blobs.len());
    println!("\nNext, on any node: `cloudy catalog add FILE`, and `cloudy blob add` with each blob that it is to give");
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// Fetches and unpacks what all the plans name, each package once.
pub(super) fn fetch_all(shop: &Workshop, plans: &[AppPlan<'_>]) -> Result<()> {
    let mut packages: Vec<LockedPackage> = plans.iter().flat_map(AppPlan::packages).cloned().collect();
    packages.sort_by(|a, b| a.sha256.cmp(&b.sha256));
    packages.dedup_by(|a, b| a.sha256 == b.sha256);
    let _stage = ui::stage("packages", format!("fetching and unpacking {} packages", packages.len()));
    fetch::fetch(&packages, &shop.cache, &Sources::read(&shop.repo)?, shop.deb_mirror.as_deref())?;
    data::prepare_in(&shop.tools.sandbox(), &packages, &shop.cache)
}

/// Builds again with an empty cache of layers.
fn twice(shop: &Workshop, apps: &Apps, plan: &AppPlan<'_>, first: &Descriptor) -> Result<()> {
    let _stage = ui::stage("again", format!("building {} again, from its packages", plan.app.name));
    let folder = tempfile::tempdir().context("failed to make a folder for the second build")?;
    let layout = Layout::without_cache(folder.path())?;
    let second = build::app(shop, apps, plan, &layout)?;
    ensure!(
        second.digest == first.digest,
        "{} was built twice and is {} and {}: something of the build is left to chance",
        plan.app.name,
        first.digest,
        second.digest
    );
    ui::say(&format!("  {} is the same in a second build", plan.app.name));
    Ok(())
}
