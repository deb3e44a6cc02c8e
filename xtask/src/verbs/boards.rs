//! `cargo xtask boards`: what can be built.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::board::schema;
use crate::trees::Trees;

/// Lists the boards and flavours that can be built.
#[derive(Args)]
pub struct Boards {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print the JSON schema of such files instead, for editors.
    #[arg(long, value_name = "KIND", num_args = 0..=1, default_missing_value = "board", conflicts_with = "json")]
    schema: Option<SchemaOf>,
}

/// Kinds of files that have a schema.
#[derive(Clone, Copy, clap::ValueEnum)]
enum SchemaOf {
    /// board-configs/<family>/*.toml
    Board,
    /// images/os/<flavour>/image.toml
    Flavour,
    /// images/apps/<app>/app.toml
    App,
}

impl Boards {
    /// Runs the verb.
    pub fn run(self) -> Result<()> {
        if let Some(kind) = self.schema {
            let schema = match kind {
                SchemaOf::Board => schema::board(),
                SchemaOf::Flavour => schema::flavour(),
                SchemaOf::App => schema::app(),
            };
            print!("{}", schema::text(&schema));
            return Ok(());
        }
        let catalog = Trees::of(&super::root()?).catalog()?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&json!({ "boards": catalog.boards, "flavours": catalog.flavours }))?);
            return Ok(());
        }
        let width = catalog
            .boards
            .iter()
            .map(|board| board.name.len())
            .chain(catalog.flavours.iter().map(|flavour| flavour.name.len()))
            .max()
            .unwrap_or(0);
        println!("boards");
        for board in &catalog.boards {
            println!("  {:width$}  {:5}  {}", board.name, board.arch, board.title);
        }
        println!("flavours");
        for flavour in &catalog.flavours {
            println!("  {:width$}  {:5}  {}", flavour.name, "", flavour.title);
        }
        if let Some(board) = catalog.boards.first() {
            println!("\nNext: cargo xtask plan {0}, or build it: cargo xtask image {0}", board.name);
        }
        Ok(())
    }
}
