//! `cargo xtask image BOARD`: a flashable image.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::aside::Aside;
use crate::full_disk;
use crate::image::Image;
use crate::plan::{Plan, Profile};
use crate::release::{self, Download};
use crate::sandbox;
use crate::stages::{self, Workshop};
use crate::trees::{Trees, command};
use crate::ui;

/// Where images land, below the checkout.
pub const OUT: &str = "out";

/// Builds a flashable image of a board.
#[derive(Args)]
pub struct ImageVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// Build what is shipped: small, with .xz and SHA256SUMS.
    #[arg(long)]
    release: bool,
    /// Refuse where other processors' programs would run in the build (binfmt_misc): to prove that it needs no emulation.
    #[arg(long)]
    without_emulation: bool,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
    /// Take .debs from this folder instead of the network.
    #[arg(long, value_name = "DIR")]
    deb_mirror: Option<PathBuf>,
}

impl ImageVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let profile = if self.release { Profile::Release } else { Profile::Dev };
        let repo = super::root()?;
        let plan = super::plan::make(&repo, &self.board, &self.flavour, profile)?;
        let shop = Workshop::open(repo, self.deb_mirror.clone())?;
        if self.without_emulation {
            sandbox::refuse_emulation(&shop.tools.sandbox())?;
        }
        let (image, packed) = build(&shop, &plan, &shop.repo.join(OUT), self.release || self.json)?;
        self.report(&plan, &image, packed.as_ref())
    }

    fn report(&self, plan: &Plan, image: &Image, packed: Option<&Download>) -> Result<()> {
        if self.json {
            let seconds: serde_json::Map<String, serde_json::Value> =
                ui::stages().into_iter().map(|(stage, seconds)| (stage, seconds.into())).collect();
            let report = serde_json::json!({
                "image": image.path, "sha256": image.sha256, "bytes": image.bytes, "build-id": plan.build_id, "bmap": image.bmap,
                "xz": packed.map(|packed| &packed.path), "xz-sha256": packed.map(|packed| &packed.sha256),
                "xz-bytes": packed.map(|packed| packed.bytes), "seconds": seconds,
            });
            println!("{report}");
            return Ok(());
        }
        let board = Trees::of(&super::root()?).catalog()?.board(&self.board)?.clone();
        println!("{}: {} MB, build {}", image.path.display(), image.bytes / 1_000_000, plan.build_id);
        println!("for {}", board.title);
        if let Some(sum) = &image.sha256 {
            println!("sha256 {sum}");
        }
        if let Some(packed) = packed {
            let most = plan.download_max_mb.map(|most| format!(" (at most {most})")).unwrap_or_default();
            println!("{}: {:.1} MB{most}", packed.path.display(), packed.bytes as f64 / 1e6);
        }
        println!("\nNext: write it onto a card, stick or disk: {} (it lists the disks)", command(&format!("flash {}", self.board)));
        if board.qemu.is_some() {
            println!("      or try it: {}", command(&format!("vm {} --nodes 2", self.board)));
        }
        Ok(())
    }
}

/// Builds a plan's image in `out`, and its download where the plan has one; `summed` says whether checksums are taken.
pub fn build(shop: &Workshop, plan: &Plan, out: &Path, summed: bool) -> Result<(Image, Option<Download>)> {
    std::fs::create_dir_all(out).with_context(|| format!("failed to make `{}`", out.display()))?;
    let work = Aside::begin(out)?;

    let full = |folder: &Path, mend| {
        let folder = folder.to_owned();
        move |error| full_disk::explain(error, &folder, mend)
    };
    let of_cache = full(shop.cache.root(), full_disk::OF_CACHE);
    let of_images = full(out, full_disk::OF_IMAGES);
    let devices = stages::drivers(shop, plan)?;
    let packages = stages::packages(shop, plan)?;
    let programs = stages::programs(shop, plan).map_err(full(&shop.repo, full_disk::OF_CHECKOUT))?;
    let delta = stages::delta(shop, plan).map_err(&of_cache)?;
    let whole = stages::whole_tree(shop, plan, &packages, &delta)?;
    let root = stages::root(shop, plan, &whole, &programs, devices).map_err(&of_cache)?;

    let partitions = stages::partitions(shop, plan, &whole, &root, &programs, work.path()).map_err(&of_images)?;
    let image = stages::image(plan, &partitions, out, summed)?;
    let packed = plan.xz_preset.is_some().then(|| release::make(shop, plan, &image, work.path())).transpose().map_err(&of_images)?;
    work.leave();
    Ok((image, packed))
}
