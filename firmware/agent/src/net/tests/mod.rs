//! The network part on loopback, with real endpoints.

mod blobs;
mod clocks;
mod failing;
mod household;
mod joining;
mod messages;
mod strangers;
mod tunnels;
mod ways;
mod words;

use super::{ClusterView, Command, CommandResult, FoundConfig, JoinConfig, Liveness, NetConfig, NetHandle, event::Target, greet};
use cluster::hello::{Reply, Request};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey, endpoint::presets};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{sync::oneshot, time::timeout};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where nobody is served.
fn desks() -> super::Desks {
    let nobody = || tokio::sync::mpsc::channel(1).0;
    super::Desks { blobs: nobody(), tunnels: nobody(), household: nobody() }
}

fn config(data: &Path, name: &str, join: JoinConfig) -> NetConfig {
    NetConfig {
        data: data.to_owned(),
        bind: vec!["127.0.0.1:0".parse().unwrap()],
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        machine: super::Machine::default(),
        wall: super::of_machine,
        join,
        desks: desks(),
        lessees: tokio::sync::mpsc::channel(1).0,
    }
}

fn founding() -> JoinConfig {
    JoinConfig { found: Some(FoundConfig { name: "Gràcia".into(), kit: None, member: None }), ..JoinConfig::default() }
}

fn by_token(token: &str) -> JoinConfig {
    JoinConfig { token: Some(token.to_owned()), ..JoinConfig::default() }
}

/// Waits until the view is as wanted; says what it was if it never is.
async fn until(handle: &NetHandle, what: &str, wanted: impl Fn(&ClusterView) -> bool) -> ClusterView {
    let mut view = handle.view.clone();
    let waited = timeout(PATIENCE, view.wait_for(|view| wanted(view))).await;
    match waited {
        Ok(seen) => seen.unwrap().clone(),
        Err(_) => panic!("{what}: never seen; the view is {:#?}", handle.view.borrow()),
    }
}

async fn command<T>(handle: &NetHandle, make: impl FnOnce(oneshot::Sender<CommandResult<T>>) -> Command) -> CommandResult<T> {
    let (reply, answer) = oneshot::channel();
    handle.commands.send(make(reply)).await.unwrap();
    timeout(PATIENCE, answer).await.unwrap().unwrap()
}

async fn invite(handle: &NetHandle, uses: u16) -> String {
    command(handle, |reply| Command::Invite { uses, valid_seconds: Some(3600), reply }).await.unwrap()
}

fn alive(view: &ClusterView) -> usize {
    view.members.iter().filter(|member| member.state == Liveness::Alive).count()
}

async fn shut_down(handle: NetHandle) {
    command(&handle, |reply| Command::Shutdown { reply }).await.unwrap();
}

/// Somebody who speaks the protocols without being a member.
struct Stranger {
    endpoint: Endpoint,
}

impl Stranger {
    async fn bind() -> Self {
        let endpoint = Endpoint::builder(presets::Minimal)
            .secret_key(SecretKey::generate())
            .relay_mode(RelayMode::Disabled)
            .clear_ip_transports()
            .bind_addr("127.0.0.1:0".parse::<SocketAddr>().unwrap())
            .unwrap()
            .bind()
            .await
            .unwrap();
        Self { endpoint }
    }

    fn id(&self) -> cluster::NodeId {
        super::ids::node_id(&self.endpoint.id())
    }

    fn target(&self, of: &NetHandle) -> Target {
        let view = of.view.borrow();
        let id: iroh::EndpointId = view.me.id.parse().unwrap();
        Target { node: super::ids::node_id(&id), addresses: view.me.addresses.clone() }
    }

    fn address(&self, of: &NetHandle) -> EndpointAddr {
        let target = self.target(of);
        super::ids::endpoint_addr(&target.node, target.addresses).unwrap()
    }

    async fn ask(&self, of: &NetHandle, request: &Request) -> Reply {
        greet::ask(&self.endpoint, &self.target(of), request).await.unwrap()
    }
}
