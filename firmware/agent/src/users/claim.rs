//! Who may make themselves the first owner of this node: decided here, and pure.

use crate::limits::CLAIM_WINDOW;
use std::time::Duration;

/// What is known of a node and of the one who asks.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Somebody owns the node.
    pub owned: bool,
    /// What is kept of users could be read, and what is written stays: else an owner may be there whom nobody sees.
    pub sure: bool,
    /// How long the machine is on.
    pub up: Duration,
    /// The one who asks is on a link of this machine, and no container of it.
    pub near: bool,
}

/// How the node can be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By saying a name and a password.
    Open,
    /// With the code that `cloudy user claim-code` shows on the node.
    Code,
    /// Not at all: it has an owner.
    Owned,
    /// Not now: users can't be read, or are not kept.
    Unsure,
}

/// The way for the one who asks.
#[must_use]
pub fn way(facts: Facts) -> Way {
    match facts {
        Facts { owned: true, .. } => Way::Owned,
        Facts { sure: false, .. } => Way::Unsure,
        Facts { near: true, up, .. } if up < CLAIM_WINDOW => Way::Open,
        _ => Way::Code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_node_is_claimed_from_its_link_for_a_while_and_else_by_code() {
        let fresh = Facts { owned: false, sure: true, up: Duration::from_secs(60), near: true };
        assert_eq!(way(fresh), Way::Open);
        assert_eq!(way(Facts { near: false, ..fresh }), Way::Code);
        assert_eq!(way(Facts { up: CLAIM_WINDOW, ..fresh }), Way::Code);
        assert_eq!(way(Facts { owned: true, ..fresh }), Way::Owned);
        for near in [true, false] {
            assert_eq!(way(Facts { sure: false, near, ..fresh }), Way::Unsure);
            assert_eq!(way(Facts { sure: false, owned: true, near, ..fresh }), Way::Owned);
        }
    }
}
