//! Whose nodes are: what heads say of it, and what one node of an owner says of another that has not agreed yet, as records.

use super::{Copy, Refused, Registry};
use cluster::{
    CommunityId, Millis, NodeId,
    keys::Key,
    records::{Change, Kind, Ownership, Record, Slot, WriteError},
    store::StoreError,
};
use std::{collections::BTreeSet, ops::ControlFlow};
use tokio::sync::watch;

/// The layout that this version writes.
const SCHEMA: u16 = 1;

/// That a node is the same owner's as the one that says so; it has not agreed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Who says it.
    pub by: NodeId,
    /// Of whom.
    pub node: NodeId,
    /// The owner's certificate for that node.
    pub ownership: Ownership,
    /// That node said no.
    pub refused: bool,
}

fn slot(node: &NodeId) -> Slot {
    Slot { kind: Kind::OWNED, key: node.hex() }
}

/// What a record says; none if this version can't read it, or it is no certificate for whom it names.
fn said(by: NodeId, record: &Record, community: CommunityId) -> Option<Claimed> {
    let known = record.slot.kind == Kind::OWNED && record.schema == SCHEMA;
    let node = known.then(|| NodeId::of_hex(&record.slot.key)).flatten()?;
    let ownership = Ownership::from_bytes(&record.value).ok()?;
    (node != by && ownership.verifies(community, node)).then_some(Claimed { by, node, ownership, refused: false })
}

/// The owner that certified this node, if one did.
pub fn owner(copy: &Copy) -> Option<Key> {
    Some(copy.ownership()?.owner)
}

/// The owner that certified a member, as its head says.
fn owner_of(copy: &Copy, node: &NodeId) -> Option<Key> {
    copy.view().head(node)?.household()
}

/// The other members that are this node's owner's.
pub fn household(copy: &Copy) -> Vec<String> {
    let (me, Some(owner)) = (copy.me(), owner(copy)) else { return Vec::new() };
    let others = copy.view().members().iter().filter(|node| **node != me);
    others.filter(|node| owner_of(copy, node) == Some(owner)).map(NodeId::hex).collect()
}

/// Takes back what this node says of those that have agreed: should one leave later, nobody is asked anew.
pub fn settle(copy: &mut Copy, now: Millis) {
    let (me, Some(owner)) = (copy.me(), owner(copy)) else { return };
    let mut settled = Vec::new();
    let read = copy.each_of(&me, Kind::OWNED, "", &mut |found| {
        let agreed = NodeId::of_hex(&found.record.slot.key).is_some_and(|node| owner_of(copy, &node) == Some(owner));
        settled.extend(agreed.then(|| Change::Remove(found.record.slot.clone())));
        ControlFlow::Continue(())
    });
    let done = read.map_err(WriteError::from).and_then(|_| if settled.is_empty() { Ok(()) } else { copy.write(now, &settled).map(drop) });
    if let Err(error) = done {
        log::debug!(error:%; "what was said of a node of this owner stays for now");
    }
}

/// What this node says of others that have not agreed, and what others say of this one.
fn claims(copy: &Copy) -> Result<Vec<Claimed>, StoreError> {
    let (me, community) = (copy.me(), copy.community());
    let mut found = Vec::new();
    let _all = copy.each_of(&me, Kind::OWNED, "", &mut |record| {
        found.extend(said(me, &record.record, community));
        ControlFlow::Continue(())
    })?;
    // Of what others say only that counts which is about this node, one record of each.
    for by in copy.view().members().iter().filter(|by| **by != me) {
        found.extend(copy.get(by, &slot(&me))?.and_then(|record| said(*by, &record, community)));
    }
    for claim in &mut found {
        let answer = copy.get(&claim.node, &slot(&claim.by))?;
        claim.refused = answer.is_some_and(|answer| answer.schema == SCHEMA && answer.value.is_empty());
    }
    found.retain(|claim| {
        // Who is not of that owner itself says nothing for it.
        let of_its_owner = if claim.by == me { owner(copy) } else { owner_of(copy, &claim.by) } == Some(claim.ownership.owner);
        let open = if claim.node == me { owner(copy) } else { owner_of(copy, &claim.node) } != Some(claim.ownership.owner);
        (claim.by == me || claim.node == me) && of_its_owner && open
    });
    Ok(found)
}

impl Registry {
    /// Says whose this node is, as it is when the records hear of it. On disk when this answers.
    ///
    /// # Errors
    /// See [`Refused`].
    pub(in crate::net) async fn set_ownership(&self, ownership: watch::Receiver<Option<Ownership>>) -> Result<(), Refused> {
        let said = self.with(move |copy, now| {
            let ownership = *ownership.borrow();
            copy.set_ownership(now, ownership)
        });
        said.await?.map_err(Refused::Write)
    }

    /// Says that a node is the same owner's as this one, which that one may agree to. What was said of nodes that have agreed goes.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn claim(&self, node: NodeId, ownership: Ownership) -> Result<(), Refused> {
        self.say_of(node, ownership.to_bytes()).await
    }

    /// Says that this node is not the owner's of a node that said so.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn refuse_claim(&self, by: NodeId) -> Result<(), Refused> {
        self.say_of(by, Vec::new()).await
    }

    /// Says something of a node. What was said of others goes where it is settled.
    async fn say_of(&self, node: NodeId, value: Vec<u8>) -> Result<(), Refused> {
        self.with(move |copy, now| {
            let me = copy.me();
            let other = |claim: Claimed| if claim.by == me { claim.node } else { claim.by };
            let open: BTreeSet<NodeId> = claims(copy)?.into_iter().map(other).collect();
            let mut changes = Vec::new();
            let _all = copy.each_of(&me, Kind::OWNED, "", &mut |found| {
                let stays = NodeId::of_hex(&found.record.slot.key).is_some_and(|said| open.contains(&said));
                changes.extend((!stays).then(|| Change::Remove(found.record.slot.clone())));
                ControlFlow::Continue(())
            })?;
            changes.push(Change::Put { slot: slot(&node), schema: SCHEMA, value });
            copy.write(now, &changes).map(drop)
        })
        .await?
        .map_err(Refused::Write)
    }

    /// Says no more that a node is the same owner's as this one; whether it was said.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn unclaim(&self, node: NodeId) -> Result<bool, Refused> {
        self.with(move |copy, now| {
            let slot = slot(&node);
            let there = copy.get(&copy.me(), &slot)?.is_some();
            if there {
                copy.write(now, &[Change::Remove(slot)])?;
            }
            Ok::<_, WriteError>(there)
        })
        .await?
        .map_err(Refused::Write)
    }

    /// What this node says of others that have not agreed, and what others say of this one.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn claims(&self) -> Result<Vec<Claimed>, Refused> {
        self.with(|copy, _| claims(copy)).await?.map_err(|error| Refused::Closed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::records::Order;

    const COMMUNITY: CommunityId = CommunityId([5; 32]);

    fn record(key: String, value: Vec<u8>) -> Record {
        Record { written: Order::default(), schema: SCHEMA, slot: Slot { kind: Kind::OWNED, key }, value }
    }

    #[test]
    fn only_a_certificate_for_the_node_that_is_named_says_something() {
        let (by, node) = (NodeId::of_seed(&[1; 32]), NodeId::of_seed(&[2; 32]));
        let good = Ownership::sign(&[9; 32], COMMUNITY, node);
        assert_eq!(said(by, &record(node.hex(), good.to_bytes()), COMMUNITY), Some(Claimed { by, node, ownership: good, refused: false }));
        let elsewhere = Ownership::sign(&[9; 32], CommunityId([6; 32]), node);
        let other = Ownership::sign(&[9; 32], COMMUNITY, by);
        let wrong = [
            (by, record(node.hex(), elsewhere.to_bytes())),
            (by, record(node.hex(), other.to_bytes())),
            (by, record(node.hex(), Vec::new())),
            (by, record(node.hex().to_ascii_uppercase(), good.to_bytes())),
            (by, record("x".to_owned(), good.to_bytes())),
            (node, record(node.hex(), good.to_bytes())),
            (by, Record { schema: 2, ..record(node.hex(), good.to_bytes()) }),
        ];
        for (by, record) in wrong {
            assert_eq!(said(by, &record, COMMUNITY), None, "{record:?}");
        }
    }
}
