//! The verbs of the builder, one file each.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

mod app;
pub mod bench;
mod board;
mod boards;
mod drivers;
mod flash;
mod ids;
mod image;
mod lock;
mod pages;
pub mod plan;
mod programs;
mod sizes;
mod test;
mod tidy;
mod tools;
mod verify_twin;
mod vm;
mod why;

/// Builds and tries images of cloudy.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// A folder with boards, flavours, apps and overlays of your own, beside the checkout's; may be given more than once.
    #[arg(long, global = true, value_name = "DIR")]
    tree: Vec<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    App(app::AppVerb),
    Bench(bench::BenchVerb),
    Board(board::BoardVerb),
    Boards(boards::Boards),
    Drivers(drivers::DriversVerb),
    Flash(Box<flash::FlashVerb>),
    Lock(lock::LockVerb),
    Ids(ids::IdsVerb),
    Image(image::ImageVerb),
    Pages(pages::PagesVerb),
    Plan(plan::PlanVerb),
    Programs(programs::ProgramsVerb),
    Sizes(sizes::SizesVerb),
    Tools(tools::Tools),
    Test(test::TestVerb),
    Tidy(tidy::TidyVerb),
    VerifyTwin(verify_twin::VerifyTwinVerb),
    Why(why::WhyVerb),
    Vm(vm::VmVerb),
}

/// Parses the command line and runs the verb that it names.
pub fn run() -> Result<()> {
    let cli = Cli::parse();
    crate::trees::add(cli.tree)?;
    match cli.verb {
        Verb::App(verb) => verb.run(),
        Verb::Bench(verb) => verb.run(),
        Verb::Board(verb) => verb.run(),
        Verb::Boards(verb) => verb.run(),
        Verb::Drivers(verb) => verb.run(),
        Verb::Flash(verb) => verb.run(),
        Verb::Lock(verb) => verb.run(),
        Verb::Ids(verb) => verb.run(),
        Verb::Image(verb) => verb.run(),
        Verb::Pages(verb) => verb.run(),
        Verb::Plan(verb) => verb.run(),
        Verb::Programs(verb) => verb.run(),
        Verb::Sizes(verb) => verb.run(),
        Verb::Tools(verb) => verb.run(),
        Verb::Test(verb) => verb.run(),
        Verb::Tidy(verb) => verb.run(),
        Verb::VerifyTwin(verb) => verb.run(),
        Verb::Why(verb) => verb.run(),
        Verb::Vm(verb) => verb.run(),
    }
}

/// Why the words after `cargo xtask` are no command, if so.
fn misspelt(words: &[&str]) -> Option<String> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    let error = Cli::try_parse_from(std::iter::once("xtask").chain(words.iter().copied())).err()?;
    (!matches!(error.kind(), DisplayHelp | DisplayVersion)).then(|| error.to_string().lines().next().unwrap_or_default().to_owned())
}

/// The repo's root: what cargo says, else the nearest folder upwards that holds `board-configs`.
pub fn root() -> Result<PathBuf> {
    if let Some(manifest) = std::env::var_os("CARGO_MANIFEST_DIR")
        && let Some(parent) = PathBuf::from(manifest).parent()
    {
        return Ok(parent.to_owned());
    }
    let here = std::env::current_dir().context("cannot tell the current folder")?;
    here.ancestors()
        .find(|folder| folder.join("board-configs").is_dir())
        .map(PathBuf::from)
        .context("this is not inside cloudy's repository; change into it, then `cargo xtask boards`")
}
