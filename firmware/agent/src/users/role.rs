//! Who may do what on a node: one table, and nothing else decides.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a person is on this node. Each may do all that those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sees what is shared, as those do that nobody knows; changes nothing.
    Guest,
    /// Installs and runs apps, and sees all of them.
    Operator,
    /// Decides on everything: users, the microcloud, units.
    Owner,
}

/// What a program may do with a token, as far as its user may. Each includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// See what an operator sees; change nothing.
    Read,
    /// Install and run apps.
    Apps,
    /// All that an owner may.
    Admin,
}

/// What is asked of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// See what is shared with everybody.
    Look,
    /// Log in, or claim the node.
    Enter,
    /// Use an app's store, with that app's own token (`http::store` looks at it).
    Store,
    /// Log out.
    Leave,
    /// One's own password, sessions and tokens.
    Account,
    /// See the catalog, jobs, settings and logs of apps.
    Inspect,
    /// Open services of other nodes through this one.
    Reach,
    /// Install, start, stop, change, remove and publish apps; start and restart Docker.
    Operate,
    /// Users, the microcloud, units but for Docker, the catalog's content, at which address something is published.
    Own,
    /// What stays with those who reach the local socket: the recovery kit, disks, who writes to stores.
    Local,
}

/// What somebody who asks has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Nothing.
    Nobody,
    /// The session of a person.
    Session(Role),
    /// A token of a person.
    Token(Role, Scope),
    /// The local socket, which the kernel guards.
    Local,
}

/// The table: whether these rights are enough.
#[must_use]
pub fn may(rights: Rights, operation: Operation) -> bool {
    use Operation as Op;
    match (rights, operation) {
        (_, Op::Look | Op::Enter | Op::Store) => true,
        (Rights::Local, Op::Leave | Op::Account) => false,
        (Rights::Local, _) => true,
        (Rights::Nobody, _) | (_, Op::Local) => false,
        (Rights::Session(_), Op::Leave | Op::Reach) => true,
        (Rights::Session(role), Op::Account | Op::Inspect | Op::Operate) => role >= Role::Operator,
        (Rights::Session(role), Op::Own) => role >= Role::Owner,
        (Rights::Token(_, scope), Op::Reach) => scope >= Scope::Apps,
        // A program has no session to end, and no password.
        (Rights::Token(..), Op::Leave | Op::Account) => false,
        (Rights::Token(role, scope), Op::Inspect) => scope >= Scope::Read && may(Rights::Session(role), operation),
        (Rights::Token(role, scope), Op::Operate) => scope >= Scope::Apps && may(Rights::Session(role), operation),
        (Rights::Token(role, scope), Op::Own) => scope >= Scope::Admin && may(Rights::Session(role), operation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Operation as Op;

    const ALL: [Operation; 10] =
        [Op::Look, Op::Enter, Op::Store, Op::Leave, Op::Account, Op::Inspect, Op::Reach, Op::Operate, Op::Own, Op::Local];

    fn allowed(rights: Rights) -> Vec<Operation> {
        ALL.into_iter().filter(|operation| may(rights, *operation)).collect()
    }

    #[test]
    fn each_role_may_what_the_table_says() {
        let everybody = vec![Op::Look, Op::Enter, Op::Store];
        let with = |more: &[Operation]| [everybody.clone(), more.to_vec()].concat();
        assert_eq!(allowed(Rights::Nobody), everybody);
        assert_eq!(allowed(Rights::Session(Role::Guest)), with(&[Op::Leave, Op::Reach]));
        assert_eq!(allowed(Rights::Session(Role::Operator)), with(&[Op::Leave, Op::Account, Op::Inspect, Op::Reach, Op::Operate]));
        assert_eq!(allowed(Rights::Session(Role::Owner)), with(&[Op::Leave, Op::Account, Op::Inspect, Op::Reach, Op::Operate, Op::Own]));
        assert_eq!(allowed(Rights::Local), with(&[Op::Inspect, Op::Reach, Op::Operate, Op::Own, Op::Local]));
    }

    #[test]
    fn a_token_may_no_more_than_its_scope_and_no_more_than_its_user() {
        let of_scope = |scope| match scope {
            Scope::Read => vec![Op::Inspect],
            Scope::Apps => vec![Op::Inspect, Op::Reach, Op::Operate],
            Scope::Admin => vec![Op::Inspect, Op::Reach, Op::Operate, Op::Own],
        };
        for role in [Role::Guest, Role::Operator, Role::Owner] {
            for scope in [Scope::Read, Scope::Apps, Scope::Admin] {
                for operation in ALL {
                    let everybody = matches!(operation, Op::Look | Op::Enter | Op::Store);
                    let expected = everybody || (of_scope(scope).contains(&operation) && may(Rights::Session(role), operation));
                    assert_eq!(may(Rights::Token(role, scope), operation), expected, "{role:?} {scope:?} {operation:?}");
                }
            }
        }
    }
}
