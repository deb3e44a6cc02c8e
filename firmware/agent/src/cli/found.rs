//! `cloudy found`: a new microcloud, or back into one as its founder.

use super::{Local, text};
use crate::http::FoundRequest;
use anyhow::Result;
use clap::Args;

/// What `cloudy found` is told.
#[derive(Args)]
pub struct Found {
    /// Its name.
    name: String,
    /// The recovery kit of a microcloud that is there.
    #[arg(long)]
    kit: Option<String>,
    /// With a kit, a member of that microcloud where none is on this network: ID@ADDRESS, as its page of the microcloud says.
    #[arg(long, requires = "kit")]
    member: Option<String>,
    #[command(flatten)]
    local: Local,
}

impl Found {
    /// Founds it, or comes back.
    ///
    /// # Errors
    /// The agent does not answer, or refuses.
    pub async fn run(self) -> Result<()> {
        let Self { name, kit, member, local } = self;
        let back = kit.is_some();
        let answer = local.client().post("/api/v1/found", &FoundRequest { name, kit, member }).await?;
        local.show(&answer, |answer| {
            let kit = text(answer, "kit");
            Ok(if back {
                "This node decides in the microcloud again. `cloudy nodes` shows whether it found the others. Next: `cloudy revoke` for the node that is lost"
                    .to_owned()
            } else {
                format!("Save this recovery kit where it can't get lost; it is the key to your microcloud:\n\n{kit}\n\nNext: `cloudy invite`")
            })
        })
    }
}
