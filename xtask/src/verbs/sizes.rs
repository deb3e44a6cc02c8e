//! `cargo xtask sizes BOARD`: what the root is made of, largest first.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;

use super::plan::DEFAULT_FLAVOUR;
use crate::plan::Profile;
use crate::stages::{self, Workshop};
use crate::tree::{Kind, Origin, Tree};

/// Shows what the root of a board's image is made of: by package, and its largest files.
#[derive(Args)]
pub struct SizesVerb {
    /// The board, as `cargo xtask boards` lists it.
    board: String,
    /// The flavour.
    #[arg(long, default_value = DEFAULT_FLAVOUR)]
    flavour: String,
    /// How many rows of each.
    #[arg(long, default_value_t = 40)]
    rows: usize,
}

impl SizesVerb {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        let repo = super::root()?;
        let plan = super::plan::make(&repo, &self.board, &self.flavour, Profile::Dev)?;
        let shop = Workshop::open(repo, None)?;
        let packages = stages::packages(&shop, &plan)?;
        let programs = stages::programs(&shop, &plan)?;
        let delta = stages::delta(&shop, &plan)?;
        let whole = stages::whole_tree(&shop, &plan, &packages, &delta)?;
        let root = stages::root(&shop, &plan, &whole, &programs, stages::drivers(&shop, &plan)?)?;
        let files: Vec<(&str, String, u64)> = files(&root.tree);
        println!("{} files, {} MB", files.len(), files.iter().map(|(_, _, bytes)| bytes).sum::<u64>() / 1_000_000);
        let mut by_origin: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, origin, bytes) in &files {
            *by_origin.entry(origin).or_default() += bytes;
        }
        print_largest(by_origin.into_iter().map(|(origin, bytes)| (origin.to_owned(), bytes)).collect(), self.rows);
        print_largest(files.iter().map(|(path, _, bytes)| (format!("/{path}"), *bytes)).collect(), self.rows);
        Ok(())
    }
}

fn files(tree: &Tree) -> Vec<(&str, String, u64)> {
    let origin = |origin: &Origin| match origin {
        Origin::Package { name, .. } => name.clone(),
        other => other.to_string(),
    };
    tree.iter()
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::File(content) => Some((path.as_str(), origin(&entry.origin), content.len())),
            _ => None,
        })
        .collect()
}

fn print_largest(mut rows: Vec<(String, u64)>, most: usize) {
    println!();
    rows.sort_by_key(|(name, bytes)| (std::cmp::Reverse(*bytes), name.clone()));
    for (name, bytes) in rows.into_iter().take(most) {
        println!("{:8.1} MB  {name}", bytes as f64 / 1e6);
    }
}
