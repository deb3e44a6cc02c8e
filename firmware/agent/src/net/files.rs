//! What the network part keeps: its membership, the roster, the admin's key and where members were last reached.

use super::store::{Store, Stored};
use anyhow::{Context, Result};
use cluster::{Certificate, Founding, Kit, NodeId, admission::Grant, node::Admin, records::Ownership, roster::Roster, wire};
use std::{collections::BTreeMap, net::SocketAddr};

const MEMBERSHIP: &str = "membership";
const ROSTER: &str = "roster";
const ADMIN: &str = "admin";
const REACHED: &str = "reached";
/// That this node is an owner's, in its community.
const OWNER: &str = "owner";
/// The owner's key, where the household began here. It is the owner's, whichever community the node is in.
const OWNER_KEY: &str = "owner.key";
/// Where the admin's key lies after leaving: the community may still need it.
const ADMIN_LEFT: &str = "admin.left";
/// Longest file of small statements.
const MAX_SMALL_BYTES: usize = 4096;
/// Longest address file.
const MAX_REACHED_BYTES: usize = 1024 * 1024;

/// What was kept of a membership.
#[derive(Debug)]
pub struct Kept {
    /// The community and all that is known of it; holds this node's own certificate.
    pub roster: Roster,
    /// The admin's key, if this node holds it.
    pub admin: Option<Admin>,
    /// Where members were last reached.
    pub reached: BTreeMap<NodeId, SocketAddr>,
    /// The owner that certified this node, if one did.
    pub ownership: Option<Ownership>,
}

/// What to do about a damaged file.
const DAMAGED_MEND: &str = "what members know comes back by itself; if this node now belongs to no community, join with a new invite";

/// Reads what was kept; none if this node belongs to no community. `problems` gets a sentence with its mend for each damaged file.
///
/// # Errors
/// A file is there and can't be read.
pub fn load(store: &Store, problems: &mut Vec<String>) -> Result<Option<Kept>> {
    let Some((founding, own)) = small::<(Founding, Certificate)>(store, MEMBERSHIP, problems)? else {
        return Ok(None);
    };
    let roster = match body(store, ROSTER, problems)? {
        Some(bytes) => Roster::from_bytes(&bytes)
            .map_err(|refusal| {
                problems.push(format!("the member list on disk can't be used ({refusal}); it is fetched again from other members"))
            })
            .ok(),
        None => None,
    };
    let mut roster = roster.filter(|roster| *roster.founding() == founding).unwrap_or_else(|| Roster::new(founding));
    roster.merge(cluster::roster::Item::Certificate(own)).context("this node's own certificate does not verify")?;
    let admin = small::<(Kit, Vec<Grant>)>(store, ADMIN, problems)?.map(|(kit, grants)| Admin { kit, grants });
    let reached = match body(store, REACHED, problems)? {
        Some(bytes) => wire::decode::<Vec<(NodeId, SocketAddr)>>(&bytes, MAX_REACHED_BYTES).unwrap_or_default(),
        None => Vec::new(),
    };
    let ownership = small::<Ownership>(store, OWNER, problems)?;
    Ok(Some(Kept { roster, admin, reached: reached.into_iter().collect(), ownership }))
}

fn body(store: &Store, name: &str, problems: &mut Vec<String>) -> Result<Option<Vec<u8>>> {
    Ok(match store.read(name)? {
        Stored::Absent => None,
        Stored::Body(body) => Some(body),
        Stored::Corrupt(aside) => {
            problems.push(format!("the file `{name}` was damaged and lies aside as `{}`; {DAMAGED_MEND}", aside.display()));
            None
        }
    })
}

fn small<T: serde::de::DeserializeOwned>(store: &Store, name: &str, problems: &mut Vec<String>) -> Result<Option<T>> {
    let Some(bytes) = body(store, name, problems)? else {
        return Ok(None);
    };
    match wire::decode(&bytes, MAX_SMALL_BYTES) {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            problems.push(format!("the file `{name}` can't be used ({error}); {DAMAGED_MEND}"));
            Ok(None)
        }
    }
}

/// Keeps a new membership. It is on disk when this returns.
///
/// # Errors
/// A file can't be written.
pub fn save_membership(store: &Store, roster: &Roster, own: &Certificate, admin: Option<&Admin>) -> Result<()> {
    if let Some(admin) = admin {
        save_admin(store, admin)?;
    }
    save_roster(store, roster)?;
    store.write(MEMBERSHIP, &wire::encode(&(roster.founding(), own)))
}

/// Keeps the admin's key.
///
/// # Errors
/// The file can't be written.
pub fn save_admin(store: &Store, admin: &Admin) -> Result<()> {
    store.write(ADMIN, &wire::encode(&(&admin.kit, &admin.grants)))
}

/// Keeps the roster.
///
/// # Errors
/// The file can't be written.
pub fn save_roster(store: &Store, roster: &Roster) -> Result<()> {
    store.write(ROSTER, &roster.to_bytes())
}

/// Keeps where members were last reached.
///
/// # Errors
/// The file can't be written.
pub fn save_reached(store: &Store, reached: &BTreeMap<NodeId, SocketAddr>) -> Result<()> {
    store.write(REACHED, &wire::encode(&reached.iter().collect::<Vec<_>>()))
}

/// Keeps which owner certified this node, or that none does.
///
/// # Errors
/// The file can't be written or removed.
pub fn save_ownership(store: &Store, ownership: Option<&Ownership>) -> Result<()> {
    match ownership {
        Some(ownership) => store.write(OWNER, &wire::encode(ownership)),
        None => store.remove(OWNER),
    }
}

/// The owner's key, if it is kept here.
///
/// # Errors
/// A file is there and can't be read or used: it is not made anew, since it certifies other nodes too.
pub fn load_owner_key(store: &Store) -> Result<Option<Kit>> {
    let mut problems = Vec::new();
    let key = small::<Kit>(store, OWNER_KEY, &mut problems)?;
    problems.pop().map_or(Ok(key), |problem| Err(anyhow::anyhow!(problem)))
}

/// Keeps the owner's key.
///
/// # Errors
/// The file can't be written.
pub fn save_owner_key(store: &Store, kit: &Kit) -> Result<()> {
    store.write(OWNER_KEY, &wire::encode(kit))
}

/// Forgets the membership; the founder's key stays aside as `admin.left`.
///
/// # Errors
/// A file can't be removed or written.
pub fn forget(store: &Store, admin: Option<&Admin>) -> Result<()> {
    if let Some(admin) = admin.filter(|admin| admin.grants.is_empty()) {
        store.write(ADMIN_LEFT, &wire::encode(&(&admin.kit, &admin.grants)))?;
    }
    for name in [OWNER, MEMBERSHIP, ROSTER, ADMIN, REACHED] {
        store.remove(name)?;
    }
    Ok(())
}
