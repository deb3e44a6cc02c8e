//! The view, made from the state.

use super::{
    ClusterView, CommunityView, Door, LanView, Liveness, Me, MemberView, RemovedView, join::Joining, lan, registry::Registry, state::State,
};
use cluster::{NodeId, membership, node, roster::Standing};

impl State {
    /// What is shown now.
    pub(super) fn view(&self) -> ClusterView {
        let me = Me {
            id: self.me.hex(),
            name: self.config.name.clone(),
            version: self.config.version.clone(),
            addresses: self.own_addresses(),
            epoch: self.node.as_ref().map_or(self.identity.epoch, |node| node.life().epoch),
        };
        let mut members = vec![MemberView {
            id: me.id.clone(),
            name: me.name.clone(),
            addresses: me.addresses.clone(),
            me: true,
            state: Liveness::Alive,
            epoch: me.epoch,
            incarnation: self.node.as_ref().map_or(0, |node| node.life().renewal),
            last_heard_seconds: None,
            version: me.version.clone(),
            link: None,
            health: self.health_of(&self.me),
            admin: self.node.as_ref().is_some_and(|node| node.admin().is_some()),
            removable: false,
            suspended: self.node.as_ref().is_some_and(|node| node.roster().standing(&self.me) == Standing::Suspended),
        }];
        if let Some(node) = &self.node {
            let beliefs = node.beliefs();
            let others = node.roster().nodes().filter(|id| *id != self.me && node.roster().standing(id) != Standing::Revoked);
            members.extend(others.map(|id| self.member(node, id, beliefs.get(&id))));
        }
        members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let mut view = ClusterView {
            me,
            community: self.node.as_ref().map(|node| self.community(node)),
            members,
            joining: self.joining.as_ref().map(Joining::view),
            asking: self.asked(),
            newcomers: self.newcomers(),
            lan: LanView {
                enabled: self.lan.is_some(),
                problem: self.lan_problem.clone(),
                seen: self.seen.iter().map(|(node, (addresses, says))| lan::view(node, addresses, says)).collect(),
            },
            records: None,
            clock_ahead_seconds: self.clock_ahead(),
            problems: Vec::new(),
        };
        self.show_records(&mut view);
        view
    }

    /// Shows the records as they are now; it takes no look at the members.
    pub(super) fn show_records(&self, view: &mut ClusterView) {
        view.records = self.registry.borrow().as_ref().map(Registry::view);
        view.problems = self.problems_now();
    }

    fn community(&self, node: &node::Node) -> CommunityView {
        let now = self.now();
        CommunityView {
            id: node.founding().id().hex(),
            name: node.founding().name().to_string(),
            can_invite: node.admin().is_some(),
            founder: node.is_founder(),
            removed: self.removed_nodes(node),
            door: match node.door(now) {
                node::Door::Closed => Door::Closed,
                node::Door::Open => Door::Open,
                node::Door::Until(until) => Door::OpenFor { seconds: until.since(now).as_secs() },
            },
        }
    }

    fn removed_nodes(&self, node: &node::Node) -> Vec<RemovedView> {
        let removed = node.roster().nodes().filter(|id| node.roster().standing(id) == Standing::Revoked);
        let name = |id| node.roster().card(&id).map(|card| card.facts().name.to_string()).unwrap_or_default();
        removed.map(|id| RemovedView { id: id.hex(), name: name(id) }).collect()
    }

    fn member(&self, node: &node::Node, id: NodeId, belief: Option<&membership::Belief>) -> MemberView {
        let facts = node.roster().card(&id).map(cluster::Card::facts);
        MemberView {
            id: id.hex(),
            name: facts.map(|facts| facts.name.to_string()).unwrap_or_default(),
            addresses: facts.map(|facts| facts.addresses.clone()).unwrap_or_default(),
            me: false,
            state: match belief.map(|belief| belief.state) {
                Some(membership::Liveness::Alive) => Liveness::Alive,
                Some(membership::Liveness::Suspect) => Liveness::Suspect,
                Some(membership::Liveness::Down) | None => Liveness::Down,
            },
            epoch: belief.map_or(0, |belief| belief.epoch),
            incarnation: belief.map_or(0, |belief| belief.incarnation),
            last_heard_seconds: belief.and_then(|belief| belief.heard).map(|heard| self.now().since(heard).as_secs()),
            version: facts.map(|facts| facts.version.to_string()).unwrap_or_default(),
            link: self.links.view(&id),
            health: self.health_of(&id),
            admin: node.roster().is_admin(&id),
            removable: node.may_remove(&id),
            suspended: node.roster().standing(&id) == Standing::Suspended,
        }
    }

    /// What people know a member by: its name, or the beginning of its id.
    fn called(&self, id: &str) -> String {
        let node = NodeId::of_hex(id).unwrap_or(self.me);
        let card = self.node.as_ref().and_then(|own| own.roster().card(&node));
        card.map_or_else(|| node.short(), |card| format!("`{}`", card.facts().name))
    }

    fn problems_now(&self) -> Vec<String> {
        let mut problems = self.problems.clone();
        problems.extend(self.storage_problem.clone());
        problems.extend(self.lan_problem.clone());
        problems.extend(self.not_back.clone());
        problems.extend(self.registry.borrow().as_ref().map(|registry| registry.view().problems(|id| self.called(id))).unwrap_or_default());
        let refusals = self.refusals.iter();
        problems.extend(refusals.map(|(node, words)| {
            format!(
                "the member {} does not let this node in: {words}; ask an admin. If it was removed by mistake: leave the microcloud here (`cloudy leave`), and join with a new invite",
                node.short()
            )
        }));
        problems
    }
}
