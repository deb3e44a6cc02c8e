//! Which of the node's ports an app gets: what is wished, or its own, or the next that is free.

use super::face::FacePort;
use crate::limits::TUNNEL_PORTS;
use contract::apps::Protocol;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};

/// How many ports after its own are looked at.
const TRIED: u16 = 1000;

/// Why an app gets no port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is taken.
    #[error("port {port} is taken by {by}: choose another with `--port {name}=NUMBER`, or none for the next that is free")]
    Taken {
        /// The node's port.
        port: u16,
        /// Who has it.
        by: String,
        /// The app's name for it.
        name: String,
    },
    /// None is free.
    #[error("of the ports from {from} on none is free for `{name}`: choose one with `--port {name}=NUMBER`")]
    None {
        /// The first that was tried.
        from: u16,
        /// The app's name for it.
        name: String,
    },
}

/// Chooses a port of the node for each of the app's. `holder` says who has a port; what the app has not is left to the compose project.
pub fn choose(
    ports: &BTreeMap<String, FacePort>,
    wished: &BTreeMap<String, u16>,
    holder: impl Fn(u16, Protocol) -> Option<String>,
) -> Result<BTreeMap<String, u16>, Refused> {
    let mut chosen = wished.clone();
    for (name, port) in ports {
        let number = wished.get(name).copied().unwrap_or_default();
        if number != 0
            && let Some(by) = holder(number, port.protocol)
        {
            return Err(Refused::Taken { port: number, by, name: name.clone() });
        }
    }
    for (name, port) in ports.iter().filter(|(name, _)| !wished.contains_key(*name)) {
        let from = port.proposed;
        let meets = |other: &String| ports.get(other).is_none_or(|other| meet(other.protocol, port.protocol));
        let given = |number: &u16| chosen.iter().any(|(other, its)| its == number && meets(other));
        let free = |number: &u16| !given(number) && holder(*number, port.protocol).is_none();
        let number = (from..=from.saturating_add(TRIED)).find(free).ok_or_else(|| Refused::None { from, name: name.clone() })?;
        chosen.insert(name.clone(), number);
    }
    Ok(chosen)
}

/// A port of the node that is taken.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its number.
    pub port: u16,
    /// What is spoken there.
    pub protocol: Protocol,
    /// Who has it.
    pub by: By,
}

/// Who has a port.
#[derive(Clone, Debug)]
pub enum By {
    /// The node itself; what it is.
    Node(String),
    /// An app, by its name.
    App(String),
}

/// Who has a port of the node, beside the app `of`, whose own container may listen there.
pub fn holder(held: &[Held], of: &str, port: u16, protocol: Protocol) -> Option<String> {
    let its_own = |held: &Held| matches!(&held.by, By::App(name) if name == of);
    match held.iter().find(|held| held.port == port && meet(held.protocol, protocol)) {
        Some(held) if its_own(held) => None,
        Some(_) => keeper(held, of, port, protocol),
        None => {
            keeper(held, of, port, protocol).or_else(|| is_listening(port, protocol).then(|| "another program of this node".to_owned()))
        }
    }
}

/// Who has a port of the node for good, beside the app `of`: the node itself or another app.
pub fn keeper(held: &[Held], of: &str, port: u16, protocol: Protocol) -> Option<String> {
    let Some(held) = held.iter().find(|held| held.port == port && meet(held.protocol, protocol)) else {
        let tunnels = TUNNEL_PORTS.contains(&port) && meet(protocol, Protocol::Tcp);
        return tunnels.then(|| "this node's tunnels to services of other nodes".to_owned());
    };
    match &held.by {
        By::Node(what) => Some(what.clone()),
        By::App(name) if name == of => None,
        By::App(name) => Some(format!("the app `{name}`")),
    }
}

/// Whether two of these meet on one port.
fn meet(one: Protocol, other: Protocol) -> bool {
    one == other || one == Protocol::Both || other == Protocol::Both
}

/// Whether some program of this machine listens on a port, as the kernel says when it is tried.
fn is_listening(port: u16, protocol: Protocol) -> bool {
    let taken = |error: std::io::Error| error.kind() == std::io::ErrorKind::AddrInUse;
    let (four, six) = ((Ipv4Addr::UNSPECIFIED, port), (Ipv6Addr::UNSPECIFIED, port));
    let tcp = || TcpListener::bind(four).is_err_and(taken) || TcpListener::bind(six).is_err_and(taken);
    let udp = || UdpSocket::bind(four).is_err_and(taken) || UdpSocket::bind(six).is_err_and(taken);
    match protocol {
        Protocol::Tcp => tcp(),
        Protocol::Udp => udp(),
        Protocol::Both => tcp() || udp(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::tests::FACTS_TEXT;
    use super::super::face::Face;
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn app(more: &str) -> BTreeMap<String, FacePort> {
        let app = contract::apps::read(Path::new("broker/app.toml"), &format!("{FACTS_TEXT}{more}")).unwrap();
        Face::of(&app, String::new()).ports
    }

    #[test]
    fn its_own_port_first_then_the_next_that_is_free() {
        let app = app("ports.web = { container = 1884, scheme = \"http\" }\n");
        let none = BTreeMap::new();
        let chosen = |taken: &[u16]| choose(&app, &none, |port, _| taken.contains(&port).then(|| "x".to_owned())).unwrap();
        assert_eq!(chosen(&[]), [("mqtt".to_owned(), 1883), ("web".to_owned(), 1884)].into());
        assert_eq!(chosen(&[1883, 1884, 1885]), [("mqtt".to_owned(), 1886), ("web".to_owned(), 1887)].into());
        let wished = [("mqtt".to_owned(), 80)].into();
        let error = choose(&app, &wished, |port, _| (port == 80).then(|| "this node's page".to_owned())).unwrap_err();
        assert!(error.to_string().starts_with("port 80 is taken by this node's page"), "{error}");
        assert!(matches!(choose(&app, &none, |_, _| Some("x".to_owned())), Err(Refused::None { from: 1883, .. })));
    }

    #[test]
    fn one_number_is_two_ports_where_the_transports_differ() {
        let port = |protocol| FacePort { proposed: 53, protocol, scheme: None };
        let ports = [("tcp-53".to_owned(), port(Protocol::Tcp)), ("udp-53".to_owned(), port(Protocol::Udp))].into();
        let chosen = choose(&ports, &BTreeMap::new(), |_, _| None).unwrap();
        assert_eq!(chosen.values().collect::<Vec<_>>(), [&53, &53]);
    }

    #[test]
    fn a_listener_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(is_listening(port, Protocol::Tcp) && is_listening(port, Protocol::Both));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(is_listening(socket.local_addr().unwrap().port(), Protocol::Udp));
    }

    #[test]
    fn no_app_gets_a_port_of_tunnels_but_one_that_had_it_keeps_it() {
        let port = *TUNNEL_PORTS.start();
        let held = [Held { port, protocol: Protocol::Tcp, by: By::App("old".to_owned()) }];
        let tunnels = |held: &[Held], of: &str, port, protocol| keeper(held, of, port, protocol).is_some_and(|by| by.contains("tunnels"));
        for protocol in [Protocol::Tcp, Protocol::Both] {
            assert!(tunnels(&[], "new", port, protocol) && tunnels(&held, "old", port + 1, protocol));
        }
        assert!(holder(&[], "new", *TUNNEL_PORTS.end(), Protocol::Tcp).is_some_and(|by| by.contains("tunnels")));
        assert_eq!(keeper(&held, "old", port, Protocol::Tcp), None);
        assert!(keeper(&[], "new", port, Protocol::Udp).is_none() && keeper(&[], "new", port - 1, Protocol::Tcp).is_none());
        assert!(keeper(&[], "new", TUNNEL_PORTS.end() + 1, Protocol::Tcp).is_none());
    }

    proptest! {
        /// What is chosen is free, and no two of an app's ports are one.
        #[test]
        fn no_port_is_given_twice(taken in prop::collection::btree_set(1880_u16..1900, 0..20), wish in prop::option::of(1880_u16..1900)) {
            let app = app("ports.web = { container = 1884, scheme = \"http\" }\n");
            let wished: BTreeMap<String, u16> = wish.map(|port| ("web".to_owned(), port)).into_iter().collect();
            match choose(&app, &wished, |port, _| taken.contains(&port).then(String::new)) {
                Ok(chosen) => {
                    prop_assert!(chosen.len() == 2 && chosen["mqtt"] != chosen["web"]);
                    prop_assert!(chosen.values().all(|port| !taken.contains(port)));
                    prop_assert!(wish.is_none_or(|port| chosen["web"] == port));
                }
                Err(_) => prop_assert!(wish.is_some_and(|port| taken.contains(&port))),
            }
        }
    }
}
