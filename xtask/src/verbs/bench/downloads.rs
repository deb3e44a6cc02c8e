//! `cargo xtask bench downloads`: what people download, board by board, in bytes.

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::plan::Profile;
use crate::stages::Workshop;
use crate::ui;
use crate::verbs::image;
use crate::verbs::plan::DEFAULT_FLAVOUR;

/// Builds what is shipped of each board and holds its download's size against the limit (minutes a board).
#[derive(Args)]
pub struct Downloads {
    /// The boards.
    #[arg(default_values_t = ["rpi2", "rpi3", "rpi4", "rpi5"].map(str::to_owned))]
    boards: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// One board's sizes in bytes.
struct Row {
    board: String,
    image: u64,
    download: u64,
    most_mb: Option<u32>,
}

impl Row {
    fn fits(&self) -> bool {
        self.most_mb.is_none_or(|most| self.download <= u64::from(most) * 1_000_000)
    }
}

impl Downloads {
    /// Runs the benchmark.
    pub fn run(self) -> Result<()> {
        let shop = Workshop::open(crate::verbs::root()?, None)?;
        // Not where releases lie: some of these must not be shipped.
        let out = tempfile::tempdir_in(shop.cache.root()).context("failed to make a working folder")?;
        let mut rows = Vec::new();
        for board in &self.boards {
            ui::say(&format!("» {board}"));
            let mut plan = crate::verbs::plan::to_look_at(&shop.repo, board, DEFAULT_FLAVOUR, Profile::Release, |_| ())?;
            // The table shows all of them; what is too large is refused below.
            let most_mb = plan.download_max_mb.take();
            let (image, packed) = image::build(&shop, &plan, out.path(), true)?;
            let packed = packed.context("the release has no download")?;
            rows.push(Row { board: board.clone(), image: image.bytes, download: packed.bytes, most_mb });
        }
        self.report(&rows)
    }

    fn report(&self, rows: &[Row]) -> Result<()> {
        if self.json {
            let row =
                |row: &Row| serde_json::json!({ "board": row.board, "image": row.image, "download": row.download, "most-mb": row.most_mb });
            println!("{}", serde_json::json!({ "boards": rows.iter().map(row).collect::<Vec<_>>() }));
        } else {
            println!("board        image    download");
            for row in rows {
                let verdict =
                    row.most_mb.map(|most| format!("(at most {most}: {})", if row.fits() { "won" } else { "LOST" })).unwrap_or_default();
                println!("{:9} {:5.1} MB    {:5.1} MB  {verdict}", row.board, row.image as f64 / 1e6, row.download as f64 / 1e6);
            }
        }
        let over: Vec<&str> = rows.iter().filter(|row| !row.fits()).map(|row| row.board.as_str()).collect();
        if !over.is_empty() {
            bail!("too large to download: {}; see what they are made of: cargo xtask sizes {}", over.join(", "), over[0]);
        }
        Ok(())
    }
}
