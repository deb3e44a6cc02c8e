//! Datagrams before foca sees them: whole, of whom they say, and naming admitted nodes alone.

use super::{Life, MAX_DATAGRAM_BYTES, Membership, Output};
use crate::{keys::NodeId, wire};
use foca::{Header, Member, Message, State};

/// Why a datagram is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unclean {
    Malformed,
    Source,
    Stranger,
}

/// What is left of a datagram.
pub(super) struct Clean {
    /// For foca.
    pub bytes: Vec<u8>,
    /// What it is.
    pub message: Message<Life>,
    /// The sender's life, where it says that this is over.
    pub over: Option<Life>,
    /// That its sender lives, and what it says of others, where it was sent to an earlier life of this node: foca takes nothing of such a datagram.
    pub late: Vec<Member<Life>>,
}

impl Membership {
    /// Reads a datagram as foca would, keeps what is admitted, and writes it again.
    pub(super) fn clean(&mut self, from: NodeId, bytes: &[u8]) -> Result<Clean, Unclean> {
        if bytes.len() > MAX_DATAGRAM_BYTES {
            return Err(Unclean::Malformed);
        }
        let Some((&wire::VERSION, body)) = bytes.split_first() else {
            return Err(Unclean::Malformed);
        };
        let (header, mut rest): (Header<Life>, _) = postcard::take_from_bytes(body).map_err(|_| Unclean::Malformed)?;
        if header.src.node != from {
            return Err(Unclean::Source);
        }
        let named = match &header.message {
            Message::PingReq { target, .. } | Message::IndirectAck { target, .. } => Some(target.node),
            Message::IndirectPing { origin, .. } | Message::ForwardedAck { origin, .. } => Some(origin.node),
            Message::Broadcast => return Err(Unclean::Malformed),
            _ => None,
        };
        if !self.admitted.contains(&from) || named.is_some_and(|node| !self.admitted.contains(&node)) {
            return Err(Unclean::Stranger);
        }
        let (mut over, mut late) = (None, Vec::new());
        let me = self.me().clone();
        let to_earlier = header.dst.node == me.node && header.dst != me && header.message != Message::Announce;
        if to_earlier {
            late.push(Member::new(header.src.clone(), header.src_incarnation, State::Alive));
        }
        let mut clean = body[..body.len() - rest.len()].to_vec();
        if let Some((count, members)) = rest.split_first_chunk::<2>() {
            rest = members;
            let mut kept: u16 = 0;
            let mut updates = Vec::new();
            let mut unknown = false;
            for _ in 0..u16::from_be_bytes(*count) {
                let (member, after): (Member<Life>, _) = postcard::take_from_bytes(rest).map_err(|_| Unclean::Malformed)?;
                let bytes = &rest[..rest.len() - after.len()];
                rest = after;
                if member.id().node == self.me().node {
                    self.hear_of_self(member.id());
                }
                if member.id().node == from && member.state() == State::Down && *member.id() == header.src {
                    over = Some(header.src.clone());
                }
                if self.admitted.contains(&member.id().node) {
                    updates.extend_from_slice(bytes);
                    kept += 1;
                    if to_earlier && member.id().node != me.node {
                        late.push(member);
                    }
                } else if member.state() != State::Down {
                    unknown = true;
                }
            }
            if unknown {
                self.refused.stranger += 1;
                self.outputs.push_back(Output::Compare(from));
            }
            if header.message != Message::Announce {
                clean.extend_from_slice(&kept.to_be_bytes());
                clean.extend_from_slice(&updates);
            }
        }
        if rest.is_empty() { Ok(Clean { bytes: clean, message: header.message, over, late }) } else { Err(Unclean::Malformed) }
    }
}
