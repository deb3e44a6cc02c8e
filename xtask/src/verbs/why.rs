//! `cargo xtask why BOARD PATH`: where a file of the image comes from.

use anyhow::{Result, bail};
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::tree::{Kind, Tree};
use crate::twin::rules;

/// Names the origin of a file of a board's image.
#[derive(Args)]
pub struct WhyVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// An absolute path on the node.
    path: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
}

impl WhyVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let plan = super::plan::make(&super::root()?, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(super::root()?, None)?;
        let packages = stages::packages(&shop, &plan)?;
        let delta = stages::delta(&shop, &plan)?;
        let whole = stages::whole_tree(&shop, &plan, &packages, &delta)?;
        let path = self.path.trim_matches('/');
        if whole.get(path).is_none() && whole.resolve(path).is_err() {
            if let Some(reason) = rules::left_out(path) {
                println!("/{path} is left out of the delta: {reason}");
                return Ok(());
            }
            bail!("no package, overlay or maintainer script brings /{path}");
        }
        print!("{}", explain(&whole, path));
        if plan.prune.drops(&format!("/{path}")) {
            println!("  but it is left out of the image by a rule of the flavour's [prune]");
        }
        Ok(())
    }
}

/// What the tree says of a path, each link on the way on a line of its own.
fn explain(tree: &Tree, path: &str) -> String {
    let mut text = String::new();
    let mut line = |path: &str| {
        if let Some(entry) = tree.get(path) {
            let what = match &entry.kind {
                Kind::Directory => "folder".to_owned(),
                Kind::File(content) => format!("file of {} bytes", content.len()),
                Kind::Symlink(target) => format!("link to {target}"),
                Kind::Hardlink(target) => format!("second name of /{target}"),
                Kind::CharDevice(major, minor) => format!("character device {major}:{minor}"),
            };
            text.push_str(&format!(
                "/{path}: {what}, mode {:04o}, owner {}:{}\n  from {}\n",
                entry.mode, entry.uid, entry.gid, entry.origin
            ));
        }
    };
    if let Ok(found) = tree.resolve(path) {
        found.links.iter().for_each(|link| line(link));
        line(&found.path);
    } else {
        line(path);
    }
    text
}
