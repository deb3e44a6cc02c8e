//! What the doctor tries itself: whether this node's name leads to it, and whether its own port answers.

use super::{Check, Verdict, check};
use crate::net::{ClusterView, DEFAULT_PORT};
use rand::RngExt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::{UdpSocket, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a name may take to be found.
const NAME_PATIENCE: Duration = Duration::from_secs(2);
/// How long a port on this machine may take to answer, each time.
const PORT_PATIENCE: Duration = Duration::from_millis(700);
/// How often it is asked: a packet may get lost, also here.
const PORT_TRIES: u32 = 3;
/// Own addresses at which the port is tried at most.
const ADDRESSES_TRIED: usize = 4;
/// A first packet of QUIC is at least as long; shorter ones are answered by nobody.
const PACKET_BYTES: usize = 1200;
/// A version of QUIC that nobody speaks, so that whoever speaks QUIC says which there are, and keeps nothing.
const NO_VERSION: [u8; 4] = [0x1a, 0x2a, 0x3a, 0x4a];

/// What a port did when it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// Somebody who speaks QUIC answered.
    Answers,
    /// Nobody listens.
    Closed,
    /// Nothing came.
    Silent,
    /// Something else came.
    Strange,
}

/// All that was tried.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Where the node's name with `.local` leads, or why nowhere.
    pub name: Option<Result<Vec<IpAddr>, String>>,
    /// This node's own addresses, with what each did.
    pub ports: Vec<(SocketAddr, Port)>,
    /// The network part does not run, and somebody has its port.
    pub taken: bool,
}

/// Tries it.
pub async fn look(name: &str, view: Option<&ClusterView>) -> Looked {
    let Some(view) = view else { return Looked { taken: is_taken(DEFAULT_PORT), ..Looked::default() } };
    let name = if view.me.name.is_empty() { name } else { &view.me.name };
    let mut asked: JoinSet<_> =
        view.me.addresses.iter().copied().take(ADDRESSES_TRIED).map(|address| async move { (address, ask(address).await) }).collect();
    let found = resolve(name).await;
    let mut ports = Vec::new();
    while let Some(answer) = asked.join_next().await {
        ports.extend(answer);
    }
    ports.sort_by_key(|(address, _)| *address);
    Looked { name: Some(found), ports, taken: false }
}

/// Where `NAME.local` leads, as this machine sees it.
async fn resolve(name: &str) -> Result<Vec<IpAddr>, String> {
    match timeout(NAME_PATIENCE, lookup_host((format!("{name}.local"), 0))).await {
        Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", NAME_PATIENCE.as_secs())),
    }
}

/// Asks a port of this machine, as a stranger would who speaks another version of QUIC.
async fn ask(address: SocketAddr) -> Port {
    let mut packet = vec![0; PACKET_BYTES];
    packet[0] = 0xc0;
    packet[1..5].copy_from_slice(&NO_VERSION);
    // Two ids of 8 bytes: for whom, and from whom.
    packet[5..23].copy_from_slice(&[&[8], rand::rng().random::<[u8; 8]>().as_slice(), &[8], &rand::rng().random::<[u8; 8]>()].concat());
    for _ in 0..PORT_TRIES {
        match timeout(PORT_PATIENCE, exchange(address, &packet)).await {
            Ok(Ok(answer)) => return judge(&answer),
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return Port::Closed,
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Port::Silent
}

async fn exchange(address: SocketAddr, packet: &[u8]) -> std::io::Result<Vec<u8>> {
    let any = if address.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    socket.send(packet).await?;
    let mut answer = [0; PACKET_BYTES];
    let length = socket.recv(&mut answer).await?;
    Ok(answer[..length].to_vec())
}

/// A long header with the version 0 lists versions.
fn judge(answer: &[u8]) -> Port {
    let lists = answer.first().is_some_and(|first| first & 0x80 != 0) && answer.get(1..5) == Some(&[0; 4]);
    if lists { Port::Answers } else { Port::Strange }
}

/// Whether somebody has a port for itself.
fn is_taken(port: u16) -> bool {
    std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

impl Looked {
    /// What follows from it. `addresses` are this machine's.
    pub fn checks(&self, name: &str, addresses: &[String], view: Option<&ClusterView>) -> Vec<Check> {
        let mut checks = Vec::new();
        checks.extend(view.map(|view| self.name(name, addresses, view)));
        checks.extend(self.port(view.is_some()));
        checks
    }

    fn name(&self, name: &str, addresses: &[String], view: &ClusterView) -> Check {
        let name = if view.me.name.is_empty() { name } else { &view.me.name };
        let rename = "Give one of the two another name: `cloudy rename NAME` on it, or `hostname` in its cloudy.toml.";
        let same: Vec<&str> = view
            .members
            .iter()
            .filter(|member| !member.me && member.name.eq_ignore_ascii_case(name))
            .map(|member| member.id.get(..8).unwrap_or(&member.id))
            .collect();
        if !same.is_empty() {
            let seen = format!("this node is called `{name}`, and so is another member ({})", same.join(", "));
            return check("name", Verdict::Ill, seen, rename);
        }
        let own = |ip: &IpAddr| {
            ip.is_loopback() || addresses.contains(&ip.to_string()) || view.me.addresses.iter().any(|address| address.ip() == *ip)
        };
        match &self.name {
            Some(Ok(found)) if found.iter().any(own) => {
                check("name", Verdict::Well, format!("no other member is called `{name}`, and `{name}.local` leads here"), "")
            }
            Some(Ok(found)) if !found.is_empty() => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                check("name", Verdict::Ill, format!("`{name}.local` leads to another machine: {}", found.join(", ")), rename)
            }
            found => {
                let why = if let Some(Err(why)) = found { why } else { "nothing was found" };
                check(
                    "name",
                    Verdict::Note,
                    format!("no other member is called `{name}`; `{name}.local` is not found by this machine ({why})"),
                    "Where the network or this machine looks up no names by mDNS, use the node's address.",
                )
            }
        }
    }

    fn port(&self, runs: bool) -> Option<Check> {
        if !runs {
            let seen = format!("another program has the UDP port {DEFAULT_PORT}");
            let mend =
                format!("Find it by `ss -ulpn sport = :{DEFAULT_PORT}`, stop it, and restart the agent: `systemctl restart cloudy`.");
            return self.taken.then(|| check("port", Verdict::Ill, seen, mend));
        }
        let all: Vec<String> = self.ports.iter().map(|(address, _)| address.to_string()).collect();
        let Some((address, worst)) = self.ports.iter().find(|(_, port)| *port != Port::Answers) else {
            return Some(match all.is_empty() {
                true => check("port", Verdict::Note, "this node has no address at which its UDP port could be tried", ""),
                false => check("port", Verdict::Well, format!("UDP {} answers this machine", all.join(", ")), ""),
            });
        };
        let (seen, mend) = match worst {
            Port::Closed => (
                format!("nobody listens at UDP {address}, where this node says that it is"),
                "Restart the agent: `systemctl restart cloudy`. If it says so again, see its log: `journalctl -u cloudy`.".to_owned(),
            ),
            Port::Strange => (
                format!("another program answers at UDP {address}, where this node says that it is"),
                format!("Find it by `ss -ulpn sport = :{}`, stop it, and restart the agent: `systemctl restart cloudy`.", address.port()),
            ),
            Port::Silent | Port::Answers => (
                format!("UDP {address} is silent, even to this machine itself"),
                format!("Have the firewall of this machine let UDP through to the port {}.", address.port()),
            ),
        };
        Some(check("port", Verdict::Ill, seen, mend))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Me, MemberView};

    fn view(others: &[&str]) -> ClusterView {
        let member =
            |(n, name): (usize, &&str)| MemberView { id: n.to_string().repeat(64), name: (*name).to_owned(), ..MemberView::default() };
        let me = Me { name: "garden".to_owned(), addresses: vec!["10.0.0.5:4747".parse().unwrap()], ..Me::default() };
        ClusterView { me, members: others.iter().enumerate().map(member).collect(), ..ClusterView::default() }
    }

    fn of<'a>(checks: &'a [Check], name: &str) -> &'a Check {
        checks.iter().find(|check| check.check == name).unwrap()
    }

    #[test]
    fn a_name_that_two_have_or_that_leads_elsewhere_is_told() {
        let looked = |found: &[&str]| Looked { name: Some(Ok(found.iter().map(|ip| ip.parse().unwrap()).collect())), ..Looked::default() };
        let name =
            |looked: &Looked, others: &[&str]| of(&looked.checks("x", &["10.0.0.6".to_owned()], Some(&view(others))), "name").clone();
        let here = looked(&["fe80::9", "10.0.0.6"]);
        assert_eq!(name(&here, &["roof"]).verdict, Verdict::Well);
        let twice = name(&here, &["roof", "Garden"]);
        assert!(twice.verdict == Verdict::Ill && twice.seen.contains("(11111111)") && twice.mend.contains("cloudy rename"), "{twice:?}");
        let elsewhere = name(&looked(&["10.0.0.7"]), &[]);
        assert!(
            elsewhere.verdict == Verdict::Ill && elsewhere.seen.contains("`garden.local` leads to another machine: 10.0.0.7"),
            "{elsewhere:?}"
        );
        assert!(elsewhere.mend.contains("hostname"));
        for nowhere in [looked(&[]), Looked { name: Some(Err("no such name".to_owned())), ..Looked::default() }] {
            let note = name(&nowhere, &[]);
            assert!(note.verdict == Verdict::Note && note.seen.contains("`garden.local`") && !note.mend.is_empty(), "{note:?}");
        }
    }

    #[tokio::test]
    async fn a_port_that_nobody_has_that_another_has_and_that_is_silent_are_told_apart() {
        let socket = || async { UdpSocket::bind("127.0.0.1:0").await.unwrap() };
        let (silent, strange) = (socket().await, socket().await);
        let (at_silent, at_strange) = (silent.local_addr().unwrap(), strange.local_addr().unwrap());
        let closed = socket().await.local_addr().unwrap();
        tokio::spawn(async move {
            let (_, from) = strange.recv_from(&mut [0; 1500]).await.unwrap();
            strange.send_to(b"hello", from).await.unwrap();
        });
        for (address, expected, word) in [
            (closed, Port::Closed, "nobody listens"),
            (at_strange, Port::Strange, "another program"),
            (at_silent, Port::Silent, "firewall"),
        ] {
            let mut view = view(&[]);
            view.me.addresses = vec![address];
            let looked = look("x", Some(&view)).await;
            assert_eq!(looked.ports, [(address, expected)]);
            let checks = looked.checks("x", &[], Some(&view));
            let port = of(&checks, "port");
            assert!(port.verdict == Verdict::Ill && format!("{} {}", port.seen, port.mend).contains(word), "{port:?}");
            assert!(port.seen.contains(&address.to_string()) && !port.mend.is_empty());
        }
        let taken = Looked { taken: true, ..Looked::default() };
        assert!(of(&taken.checks("x", &[], None), "port").seen.contains("another program has the UDP port 4747"));
        assert_eq!(Looked::default().checks("x", &[], None), []);
        assert!(is_taken(at_silent.port()) && !is_taken(closed.port()));
    }
}
