//! Who asks: what they have shown, where they are, and what they may by that.

use super::serve::Peer;
use crate::household::Acting;
use crate::users::{self, At, Operation, Rights, Role, Scope, Secret, Users};
use cluster::NodeId;
use std::net::IpAddr;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What they have shown.
    pub who: Who,
    /// Where they are.
    pub peer: Peer,
    /// Whether nobody on the way can read along.
    pub encrypted: bool,
}

/// What was shown.
#[derive(Clone, Debug)]
pub enum Who {
    /// Nothing.
    Nobody,
    /// They came over the local socket.
    Local,
    /// The session of a person.
    Session {
        /// Whose.
        user: String,
        /// What the person is.
        role: Role,
        /// The session.
        id: Secret,
    },
    /// A token of a person.
    Token {
        /// Whose.
        user: String,
        /// What the person is.
        role: Role,
        /// What it may.
        scope: Scope,
        /// Its number.
        id: u64,
    },
    /// Somebody who asked another node of this one's owner.
    Household {
        /// That node.
        node: NodeId,
        /// What they are called and may do there.
        acting: Acting,
    },
}

/// Said by a handler that learned who acts, for the journal: a known user's name, never what was typed.
#[derive(Clone, Debug)]
pub struct Acted(pub String);

impl Caller {
    fn rights(&self) -> Rights {
        match &self.who {
            Who::Nobody => Rights::Nobody,
            Who::Local => Rights::Local,
            Who::Session { role, .. } => Rights::Session(*role),
            Who::Token { role, scope, .. } => Rights::Token(*role, *scope),
            Who::Household { acting, .. } => Rights::Token(acting.role, acting.scope),
        }
    }

    /// For whom another node of this one's owner is asked, and what they may there: no more than here.
    pub fn acting(&self) -> Acting {
        let (role, scope) = match &self.who {
            Who::Nobody => (Role::Guest, Scope::Read),
            Who::Local => (Role::Owner, Scope::Admin),
            Who::Session { role, .. } => (*role, Scope::Admin),
            Who::Token { role, scope, .. } => (*role, *scope),
            Who::Household { acting, .. } => (acting.role, acting.scope),
        };
        Acting { user: self.user().unwrap_or_default().to_owned(), role, scope }
    }

    /// Whether they may do that.
    pub fn may(&self, operation: Operation) -> bool {
        users::may(self.rights(), operation)
    }

    /// Whether they may do that still: a session ends, a token is taken back, a person becomes a guest.
    pub fn still_may(&self, all: &Users, operation: Operation) -> bool {
        let rights = match &self.who {
            Who::Nobody => Some(Rights::Nobody),
            Who::Local => Some(Rights::Local),
            // Its connection ends when it is of this owner no more.
            Who::Household { acting, .. } => Some(Rights::Token(acting.role, acting.scope)),
            Who::Session { id, .. } => all.session(id, self.at(), false).map(|(_, role)| Rights::Session(role)),
            Who::Token { user, scope, id, .. } => {
                let there = all.tokens(Some(user)).iter().any(|token| token.id == *id);
                all.list().into_iter().find(|(name, _)| there && name == user).map(|(_, role)| Rights::Token(role, *scope))
            }
        };
        rights.is_some_and(|rights| users::may(rights, operation))
    }

    /// Whether they came over the local socket.
    pub fn is_local(&self) -> bool {
        matches!(self.who, Who::Local)
    }

    /// The session, if there is one.
    pub fn session(&self) -> Option<&Secret> {
        match &self.who {
            Who::Session { id, .. } => Some(id),
            _ => None,
        }
    }

    /// Who has what is shared out by person: none for the local socket and for whom nobody knows. No two people of any node share one.
    pub fn key(&self) -> Option<String> {
        match &self.who {
            Who::Household { node, acting } => Some(format!("{}/{}", node.hex(), acting.user)),
            _ => self.user().map(str::to_owned),
        }
    }

    /// The person, if it is known.
    pub fn user(&self) -> Option<&str> {
        match &self.who {
            Who::Session { user, .. } | Who::Token { user, .. } => Some(user),
            // Of that name there may be somebody else here.
            Who::Nobody | Who::Local | Who::Household { .. } => None,
        }
    }

    /// Who they are to those who look back at what was done; none for the local socket and for whom nobody knows.
    pub fn known(&self) -> Option<String> {
        match &self.who {
            Who::Household { acting, .. } if !acting.user.is_empty() => Some(self.words()),
            _ => self.user().map(str::to_owned),
        }
    }

    /// The address; loopback for the local socket.
    pub fn ip(&self) -> IpAddr {
        match self.peer {
            Peer::Network(ip) | Peer::Container(ip) => ip,
            Peer::Local(_) | Peer::App(_) | Peer::Household(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Where they are and how they came, as sessions are held to it.
    pub fn at(&self) -> At {
        At { ip: self.ip(), encrypted: self.encrypted }
    }

    /// In words, for the journal.
    pub fn words(&self) -> String {
        match &self.who {
            Who::Nobody => "nobody known".to_owned(),
            Who::Local => "the local socket".to_owned(),
            Who::Session { user, .. } => user.clone(),
            Who::Token { user, id, .. } => format!("token {id} of {user}"),
            Who::Household { node, acting } if acting.user.is_empty() => format!("the local socket of {}", node.short()),
            Who::Household { node, acting } => format!("{} on {}", acting.user, node.short()),
        }
    }
}
