//! The one task that owns the network part's state.

use super::{
    ClusterView, Command, LanView, Me, MemberView, Liveness, NetConfig, NetHandle, endpoint, identity::Identity, store::Store,
};
use anyhow::Result;
use iroh::Endpoint;
use tokio::sync::{mpsc, watch};

/// Commands waiting; more senders wait.
const COMMAND_QUEUE: usize = 16;

/// Binds the endpoint and starts the task.
///
/// # Errors
/// The identity can't be read or written, or no socket can be bound.
pub async fn start(config: NetConfig) -> Result<NetHandle> {
    let store = Store::open(&config.data)?;
    let identity = Identity::load(&store)?;
    let endpoint = endpoint::bind(identity.key.clone(), &config.bind, Vec::new()).await?;
    let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
    let mut driver = Driver { config, identity, endpoint };
    let (view_sender, view) = watch::channel(driver.view());
    tokio::spawn(async move { driver.run(commands, view_sender).await });
    Ok(NetHandle { view, commands: command_sender })
}

struct Driver {
    config: NetConfig,
    identity: Identity,
    endpoint: Endpoint,
}

impl Driver {
    async fn run(&mut self, mut commands: mpsc::Receiver<Command>, view: watch::Sender<ClusterView>) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Rename { name, reply } => {
                    self.config.name = name;
                    let _gone = reply.send(Ok(()));
                }
                Command::Shutdown { reply } => {
                    self.endpoint.close().await;
                    let _gone = reply.send(Ok(()));
                    return;
                }
                other => log::warn!(command:? = other; "not a member of a community yet"),
            }
            view.send_replace(self.view());
        }
    }

    fn view(&self) -> ClusterView {
        let me = Me {
            id: self.identity.key.public().to_string(),
            name: self.config.name.clone(),
            version: self.config.version.clone(),
            addresses: self.endpoint.addr().ip_addrs().copied().collect(),
            epoch: self.identity.epoch,
        };
        let member = MemberView {
            id: me.id.clone(),
            name: me.name.clone(),
            addresses: me.addresses.clone(),
            me: true,
            state: Liveness::Alive,
            epoch: me.epoch,
            incarnation: 0,
            last_heard_seconds: None,
            version: me.version.clone(),
            link: None,
            suspended: false,
        };
        ClusterView { me, community: None, members: vec![member], joining: None, lan: LanView::default(), problems: Vec::new() }
    }
}
