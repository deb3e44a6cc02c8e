//! Whom a dial is meant for. Two homes have the same private addresses, so that what is sent to a member of another home may come to a neighbour that has
//! its address here. Its answer would come first, from the wrong one, and end the dial, whatever other paths there are. So a dial says whom it wants, and who is not
//! meant is silent, as if nobody were at that address.
//!
//! It is said beside the protocols that the dial offers, which are seen before anything is answered; as a hash with a number that is never used again: who
//! listens does not read there whom it is for, and can only try the ids that he knows.

use super::ids::node_id;
use cluster::NodeId;
use iroh::{
    Endpoint, EndpointAddr,
    endpoint::{ConnectOptions, Connection, Incoming},
};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// How that begins, among the protocols.
const FOR: &[u8] = b"cloudy/for/";
/// Bytes of the number, and as many of the hash.
const HALF: usize = 8;

fn hash(number: &[u8], node: &NodeId) -> [u8; HALF] {
    let mut half = [0; HALF];
    half.copy_from_slice(&Sha256::new().chain_update(number).chain_update(node.0).finalize()[..HALF]);
    half
}

/// What a dial to a node says.
fn mark(number: [u8; HALF], node: &NodeId) -> Vec<u8> {
    [FOR, &number, &hash(&number, node)].concat()
}

/// Whether somebody who offers these protocols may mean this node: it says so, or says nothing.
fn may_mean<'a>(me: &NodeId, mut protocols: impl Iterator<Item = &'a [u8]>) -> bool {
    protocols.all(|protocol| {
        let said = protocol.strip_prefix(FOR).and_then(|said| said.split_at_checked(HALF));
        said.is_none_or(|(number, said)| hash(number, me) == said)
    })
}

/// Dials whoever has that id, wherever it answers.
///
/// # Errors
/// What was seen.
pub async fn dial(endpoint: &Endpoint, address: EndpointAddr, protocol: &[u8], options: ConnectOptions) -> Result<Connection, String> {
    let mark = mark(rand::rng().random(), &node_id(&address.id));
    let options = options.with_additional_alpns(vec![mark]);
    let connecting = endpoint.connect_with_opts(address, protocol, options).await.map_err(|error| error.to_string())?;
    connecting.await.map_err(|error| error.to_string())
}

/// Whether somebody who comes may mean this node.
pub fn is_for(me: &NodeId, incoming: &Incoming) -> bool {
    // Where the beginning can't be read, the handshake tells.
    let protocols: Option<Vec<_>> = incoming.decrypt().and_then(|initial| initial.alpns()).map(|protocols| protocols.flatten().collect());
    protocols.is_none_or(|protocols| may_mean(me, protocols.iter().map(AsRef::as_ref)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::gate::{HELLO_ALPN, MEMBER_ALPN};
    use cluster::keys::Key;

    #[test]
    fn who_is_meant_and_nobody_else_answers() {
        let (me, other) = (Key([1; 32]), Key([2; 32]));
        let may = |protocols: &[&[u8]]| may_mean(&me, protocols.iter().copied());
        assert!(may(&[MEMBER_ALPN, &mark([7; HALF], &me)]) && may(&[&mark([8; HALF], &me), HELLO_ALPN]));
        assert!(!may(&[MEMBER_ALPN, &mark([7; HALF], &other)]) && !may(&[&mark([8; HALF], &other), HELLO_ALPN]));
        assert!(may(&[MEMBER_ALPN]) && may(&[]), "who says nothing of it is answered");
        assert_ne!(mark([7; HALF], &me)[FOR.len() + HALF..], mark([8; HALF], &me)[FOR.len() + HALF..]);
        // Of nonsense too there is an end.
        assert!(may(&[FOR]) && !may(&[&[FOR, &[0; HALF]].concat()]) && !may(&[&[FOR, &[0; 200]].concat()]));
    }
}
