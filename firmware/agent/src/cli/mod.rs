//! The command line: what each word does. Long-running parts live in their own modules; here is parsing and printing.

mod apps;
mod backup;
mod blob;
mod by_hand;
mod catalog;
mod check;
mod disk;
mod found;
mod hide;
mod household;
mod https;
mod install;
mod lease;
mod own;
mod print;
mod settings;
mod share;
mod store;
mod tunnel;
mod user;
mod words;

use crate::client::{Client, member};
use crate::http::{DismissRequest, InviteRequest, JoinRequest, MinutesRequest, NameRequest, NodeRequest, UnitRequest};
use crate::limits::{BROKER_SOCKET, BROKER_STATE_DIR, DATA_DIR, DOCKER_PROGRAM, DOCKER_SOCKET, GATEWAY_ADDRESS, REGISTRY_ADDRESS};
use crate::units::Action;
use crate::{agent, broker, confirm, logging};
use anyhow::Result;
use clap::{Parser, Subcommand};
use contract::apps::compose::STORES_DIR;
use contract::paths::BOOT_REPORT;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// A node of a microcloud: its agent, and the commands that speak to it.
#[derive(Parser)]
#[command(name = "cloudy", version, about, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the agent.
    Agent {
        /// Folder for identity and state.
        #[arg(long, default_value = DATA_DIR)]
        data: PathBuf,
        /// Address of the page and the API; may be given several times.
        #[arg(long, default_value = "[::]:80")]
        http: Vec<SocketAddr>,
        /// Address of the same over HTTPS; may be given several times [default: none].
        #[arg(long)]
        https: Vec<SocketAddr>,
        /// UDP address for the neighbours, at most one IPv4 and one IPv6; default: port 4747 on all.
        #[arg(long)]
        bind: Vec<SocketAddr>,
        /// The local socket for changes [default: /run/cloudy/agent.sock, or agent.sock in another data folder].
        #[arg(long)]
        socket: Option<PathBuf>,
        /// The broker's socket.
        #[arg(long, default_value = BROKER_SOCKET)]
        broker: PathBuf,
        /// Where images are served to this node's Docker.
        #[arg(long, default_value = REGISTRY_ADDRESS)]
        registry: SocketAddr,
        /// Where public blobs are given to everybody by their hash.
        #[arg(long, default_value = GATEWAY_ADDRESS)]
        gateway: SocketAddr,
        /// Where apps that use the store have a folder each.
        #[arg(long, default_value = STORES_DIR)]
        stores: PathBuf,
        /// The node's name [default: hostname of cloudy.toml, or the machine's].
        #[arg(long)]
        name: Option<String>,
        /// Where init's report lies.
        #[arg(long, hide = true, default_value = BOOT_REPORT)]
        boot_report: PathBuf,
    },
    /// Run the broker, which asks Docker for the agent.
    Broker {
        /// Socket to open when systemd hands none over.
        #[arg(long)]
        socket: Option<PathBuf>,
        /// Where it keeps the projects that it made.
        #[arg(long, default_value = BROKER_STATE_DIR)]
        state: PathBuf,
        /// Docker's socket.
        #[arg(long, default_value = DOCKER_SOCKET)]
        docker_socket: PathBuf,
        /// The program that has compose as a plug-in.
        #[arg(long, default_value = DOCKER_PROGRAM)]
        docker: PathBuf,
        /// The only registry that is pulled from: the agent's.
        #[arg(long, default_value = REGISTRY_ADDRESS)]
        registry: SocketAddr,
        /// Where apps that use the store get a folder each.
        #[arg(long, default_value = STORES_DIR)]
        stores: PathBuf,
    },
    /// Take cloudy.toml from the config partition and set this machine up by it (root, early at boot).
    ApplySettings,
    /// Wait until this system slot proves good, then confirm it (root, at boot).
    Confirm,
    /// Check a cloudy.toml without using it.
    Check {
        /// The file.
        file: PathBuf,
        /// Print one JSON value.
        #[arg(long)]
        json: bool,
    },
    /// Show how this node is.
    Status(Local),
    /// Show the members of the microcloud.
    Nodes(Local),
    /// Check everything that joining and running needs, each with what was seen and the mend.
    Doctor(Local),
    /// Make an invite for new nodes.
    Invite {
        /// How many nodes may use it.
        #[arg(long, default_value_t = 1)]
        uses: u16,
        /// Hours until it expires; 0 for never.
        #[arg(long, default_value_t = 72)]
        hours: u64,
        #[command(flatten)]
        local: Local,
    },
    /// Join a microcloud by an invite.
    Join {
        /// The invite's text.
        token: String,
        #[command(flatten)]
        local: Local,
    },
    /// Ask a node on this network to let this one in, by four words that two people compare.
    Ask(words::Ask),
    /// Show the newcomers on this network that ask to be let in, with their four words.
    Newcomers(words::Newcomers),
    /// Let the newcomer in on whose page these four words show too.
    Admit(words::Decide),
    /// Turn the newcomer away that asks with these four words.
    Deny(words::Decide),
    /// Found a new microcloud; prints its recovery kit, which must be saved. With such a kit: come back into the one that it founded.
    Found(found::Found),
    /// The nodes of one owner: list them, say which are yours.
    Household(household::Household),
    /// Give this node another name in the microcloud. Its hostname is set in cloudy.toml.
    Rename {
        /// The new name.
        name: String,
        #[command(flatten)]
        local: Local,
    },
    /// Leave the microcloud. The node keeps its identity, unless it was removed: then it gets another one and may be invited again.
    Leave(Local),
    /// Remove a node from the microcloud for good: it was lost, stolen, or does harm.
    Revoke {
        /// Its name, or its id or the beginning of that.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Give the place of a node that is gone, its card dead, to a new one: the old one is removed, and an invite for the new one is printed.
    Replace {
        /// Its name, or its id or the beginning of that.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Make a member an admin too, so that the microcloud does not hang on one node: it lets others in and takes them out, but for
    /// admins.
    Appoint {
        /// Its name, or its id or the beginning of that.
        node: String,
        #[command(flatten)]
        local: Local,
    },
    /// Make an admin an ordinary member, for good. Whom it let in stays; its invites let in nobody else.
    Dismiss {
        /// Its name, or its id or the beginning of that.
        node: String,
        /// The nodes come back that it removed.
        #[arg(long)]
        undo: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Print the recovery kit, where this node holds it.
    Kit(Local),
    /// Let newcomers of the local network in for some minutes; 0 closes the door.
    Door {
        /// Minutes.
        minutes: u32,
        #[command(flatten)]
        local: Local,
    },
    /// Install this system onto a disk of this machine, so that the stick can be taken out. All that is on the disk is lost.
    InstallTo {
        /// The disk, such as /dev/nvme0n1; without it, the disks of this machine are listed. One with something on it is written
        /// only if it is named twice.
        #[arg(value_name = "DISK", num_args = 0..=2)]
        disks: Vec<String>,
        /// What is on the disk may be lost: the same as naming it twice.
        #[arg(long)]
        yes_erase: bool,
        #[command(flatten)]
        local: Local,
    },
    /// Write this system onto a disk (root; the unit that install-to starts).
    #[command(hide = true)]
    Install {
        /// The disk's name, after `erase-` where what is on it may be lost.
        instance: String,
    },
    /// Publish a service of this node to the microcloud, or say something else of it.
    Publish(share::Publish),
    /// Take a service of this node back.
    Withdraw(share::Withdraw),
    /// Search what the nodes of the microcloud publish.
    Search(share::Find),
    /// Open a service of another node through this one, and print where it is.
    Open(tunnel::Open),
    /// Services of other nodes that are open through this one.
    Tunnels(tunnel::TunnelsArgs),
    /// Hide a service of another node, or all of a node, from all who search, where this node is an admin; or list what is hidden.
    Hide(hide::Hide),
    /// Show to all again what this node hid.
    Show(hide::Show),
    /// Apps of this node: what can be installed, what is, and how it is.
    App(apps::AppArgs),
    /// Signed catalogs of apps: following those of others, publishing one's own.
    Catalog(catalog::CatalogArgs),
    /// Backups of apps, encrypted to an owner's key.
    Backup(backup::BackupArgs),
    /// Apps on somebody else's node, by offer and consent.
    Lease(lease::LeaseArgs),
    /// What is being done with apps, and what was.
    Jobs(apps::Jobs),
    /// What apps keep in the microcloud: registers, counters and sets.
    Store(store::Store),
    /// Files by their hash, which nodes hold and give each other.
    Blob(blob::BlobArgs),
    /// People who may do something on this node's page, and their programs' tokens.
    User(user::UserArgs),
    /// This node's time zone, network and Wi-Fi.
    Settings(settings::SettingsArgs),
    /// The page over HTTPS: what browsers are told to trust, and whether plain HTTP leads there.
    Https(https::HttpsArgs),
    /// Restart this machine, or switch it off.
    Power(settings::PowerArgs),
    /// Have this node forget all that it kept, and start as if it were new.
    FactoryReset(settings::ResetArgs),
    /// Ask init for that; what the root unit runs.
    #[command(hide = true)]
    RequestReset,
    /// Disks beside the node's own: preparing them, moving apps' data there, taking them away.
    Disk(disk::DiskArgs),
    /// Prepare, check, mount or unmount a disk (root; the unit that the agent starts).
    #[command(hide = true)]
    TendDisk {
        /// What is asked.
        instance: String,
    },
    /// Start, stop or restart a unit, and wait for the result.
    Unit {
        /// What to do.
        action: Action,
        /// The unit, such as docker.service.
        unit: String,
        #[command(flatten)]
        local: Local,
    },
}

#[derive(clap::Args)]
struct Local {
    /// Print one JSON value.
    #[arg(long)]
    json: bool,
    /// The agent's data folder, to find its socket.
    #[arg(long, default_value = DATA_DIR)]
    data: PathBuf,
    /// The agent's socket.
    #[arg(long)]
    socket: Option<PathBuf>,
    /// Ask another node of the same owner, through this one: its name, or its id or the beginning of that.
    #[arg(long, value_name = "NODE")]
    on: Option<String>,
}

impl Local {
    fn client(&self) -> Client {
        Client::new(&self.socket.clone().unwrap_or_else(|| agent::socket_of(&self.data))).on(self.on.clone())
    }

    /// Prints the answer: as it is, or as people read it.
    fn show(&self, answer: &Value, people: impl FnOnce(&Value) -> Result<String>) -> Result<()> {
        if self.json {
            say(&serde_json::to_string(answer)?)
        } else {
            say(people(answer)?.trim_end())
        }
        Ok(())
    }
}

#[expect(clippy::print_stdout, reason = "this is what the command line is for")]
fn say(text: &str) {
    println!("{text}");
}

/// Says what failed, as one line with its causes.
#[expect(clippy::print_stderr, reason = "this is what the command line is for")]
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("cloudy: {error:#}");
    ExitCode::FAILURE
}

/// Does what was asked.
///
/// # Errors
/// Whatever went wrong, with what was being done.
pub async fn run(args: Args) -> Result<ExitCode> {
    match args.verb {
        Verb::Agent { data, http, https, bind, socket, broker, registry, gateway, stores, name, boot_report } => {
            logging::start();
            agent::run(agent::Options { data, http, https, bind, socket, broker, registry, gateway, stores, name, boot_report }).await?;
        }
        Verb::Broker { socket, state, docker_socket, docker, registry, stores } => {
            logging::start();
            let disks = crate::storage::Places::default();
            broker::serve(broker::Options { socket, state, docker_socket, docker, registry, stores, disks }).await?;
        }
        Verb::ApplySettings => {
            logging::start();
            crate::settings::apply()?;
        }
        Verb::Confirm => {
            logging::start();
            confirm::run().await?;
        }
        Verb::RequestReset => {
            logging::start();
            crate::reset::request()?;
        }
        Verb::TendDisk { instance } => {
            logging::start();
            crate::storage::run(&instance)?;
        }
        Verb::Install { instance } => {
            logging::start();
            crate::install::run(&instance)?;
        }
        Verb::Check { file, json } => return check::check(&file, json),
        verb => return ask(verb).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// The words that ask a running agent.
async fn ask(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Status(local) => local.show(&local.client().get("/api/v1/status").await?, print::status)?,
        Verb::Nodes(local) => local.show(&local.client().nodes().await?, print::nodes)?,
        Verb::Doctor(local) => {
            let answer = local.client().get("/api/v1/doctor").await?;
            local.show(&answer, print::doctor)?;
            let ill = answer.as_array().is_some_and(|list| list.iter().any(|c| c.get("verdict").and_then(Value::as_str) == Some("ill")));
            return Ok(if ill { ExitCode::from(1) } else { ExitCode::SUCCESS });
        }
        Verb::Invite { uses, hours, local } => {
            let request = InviteRequest { uses, valid_seconds: (hours > 0).then(|| hours.saturating_mul(3600)) };
            let answer = local.client().post("/api/v1/invite", &request).await?;
            local.show(&answer, |a| Ok(text(a, "token")))?;
        }
        Verb::Join { token, local } => {
            let answer = local.client().post("/api/v1/join", &JoinRequest { token }).await?;
            local.show(&answer, |a| {
                Ok(format!("Joining `{}`. `cloudy nodes` shows how it goes, `cloudy doctor` what is in the way.", text(a, "community")))
            })?;
        }
        Verb::Found(found) => found.run().await?,
        Verb::Household(household) => household.run().await?,
        Verb::Rename { name, local } => {
            let answer = local.client().post("/api/v1/rename", &NameRequest { name }).await?;
            local.show(&answer, |a| Ok(format!("This node is now called {}.", text(a, "name"))))?;
        }
        Verb::Leave(local) => local.show(&local.client().post("/api/v1/leave", &()).await?, |answer| {
            let restarts = answer.get("restarts") == Some(&Value::Bool(true));
            let said = if restarts { "Left. The agent starts again as another node, which may be invited." } else { "Left." };
            Ok(said.to_owned())
        })?,
        Verb::Revoke { node, local } => {
            let node = member(&local.client().nodes().await?, &node)?;
            let answer = local.client().post("/api/v1/revoke", &NodeRequest { node }).await?;
            local.show(&answer, |a| Ok(format!("`{}` is removed; all members hear of it.", text(a, "name"))))?;
        }
        Verb::Replace { node, local } => {
            let node = member(&local.client().nodes().await?, &node)?;
            let answer = local.client().post("/api/v1/replace", &NodeRequest { node }).await?;
            local.show(&answer, print::replaced)?;
        }
        Verb::Appoint { node, local } => {
            let node = member(&local.client().nodes().await?, &node)?;
            let answer = local.client().post("/api/v1/appoint", &NodeRequest { node }).await?;
            local.show(&answer, |a| Ok(format!("`{}` is an admin too; all members hear of it.", text(a, "name"))))?;
        }
        Verb::Dismiss { node, undo, local } => {
            let node = member(&local.client().nodes().await?, &node)?;
            let answer = local.client().post("/api/v1/dismiss", &DismissRequest { node, undo }).await?;
            local.show(&answer, |a| Ok(format!("`{}` is no admin any more; all members hear of it.", text(a, "name"))))?;
        }
        Verb::Kit(local) => local.show(&local.client().post("/api/v1/kit", &()).await?, |a| Ok(text(a, "kit")))?,
        Verb::Door { minutes, local } => {
            let answer = local.client().post("/api/v1/door", &MinutesRequest { minutes }).await?;
            let said = if minutes == 0 { "The door is closed.".to_owned() } else { format!("The door is open for {minutes} minutes.") };
            local.show(&answer, |_| Ok(said))?;
        }
        Verb::Ask(ask) => ask.run().await?,
        Verb::Newcomers(newcomers) => newcomers.run().await?,
        Verb::Admit(decide) => decide.run(true).await?,
        Verb::Deny(decide) => decide.run(false).await?,
        Verb::Publish(publish) => publish.run().await?,
        Verb::Withdraw(withdraw) => withdraw.run().await?,
        Verb::Search(find) => find.run().await?,
        Verb::Open(open) => open.run().await?,
        Verb::Tunnels(tunnels) => tunnels.run().await?,
        Verb::Hide(hide) => hide.run().await?,
        Verb::Show(show) => show.run().await?,
        Verb::Store(store) => store.run().await?,
        Verb::Blob(blob) => blob.run().await?,
        Verb::Https(https) => https.run().await?,
        Verb::App(app) => return app.run().await,
        Verb::Catalog(catalog) => catalog.run().await?,
        Verb::Backup(backup) => return backup.run().await,
        Verb::Disk(disk) => return disk.run().await,
        Verb::Lease(lease) => return lease.run().await,
        Verb::Jobs(jobs) => jobs.run().await?,
        Verb::User(user) => user.run().await?,
        Verb::Settings(settings) => settings.run().await?,
        Verb::Power(power) => power.run().await?,
        Verb::FactoryReset(reset) => reset.run().await?,
        Verb::Unit { action, unit, local } => {
            let answer = local.client().post("/api/v1/unit", &UnitRequest { unit, action }).await?;
            local.show(&answer, |_| Ok("Done.".to_owned()))?;
        }
        Verb::InstallTo { disks, yes_erase, local } => return install::install_to(&disks, yes_erase, &local).await,
        Verb::Agent { .. }
        | Verb::Broker { .. }
        | Verb::ApplySettings
        | Verb::Confirm
        | Verb::RequestReset
        | Verb::Install { .. }
        | Verb::TendDisk { .. }
        | Verb::Check { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn text(answer: &Value, key: &str) -> String {
    answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// What units run, and nobody reads the output of.
    const RUN_BY_UNITS: [&str; 7] = ["agent", "broker", "apply-settings", "confirm", "install", "request-reset", "tend-disk"];

    fn without_json(command: &clap::Command, at: &str, found: &mut Vec<String>) {
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let at = format!("{at} {}", verb.get_name());
            if verb.has_subcommands() {
                without_json(verb, &at, found);
            } else if !verb.get_arguments().any(|argument| argument.get_long() == Some("json")) {
                found.push(at.trim().to_owned());
            }
        }
    }

    #[test]
    fn what_a_program_may_ask_is_answered_in_json_too() {
        let mut found = Vec::new();
        without_json(&Args::command(), "", &mut found);
        assert_eq!(found, RUN_BY_UNITS);
    }
}
