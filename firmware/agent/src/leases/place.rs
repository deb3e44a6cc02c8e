//! Where copies of an app go (pure): nodes that are there and whose Docker runs, the owner's own first, then those with the most free memory.

use crate::net::{Liveness, MemberView};
use std::collections::BTreeSet;

/// The nodes that so many copies go to; fewer where there are not so many. `own` are the nodes of this node's owner.
pub fn place(members: &[MemberView], taken: &BTreeSet<String>, own: &BTreeSet<String>, copies: usize) -> Vec<String> {
    let fits = |member: &&MemberView| {
        let runs = member.health.as_ref().is_some_and(|health| health.docker == "running");
        !member.me && !member.suspended && member.state == Liveness::Alive && runs && !taken.contains(&member.id)
    };
    let free = |member: &MemberView| member.health.as_ref().map_or(0, |health| health.memory_available_mb);
    let mut fitting: Vec<(bool, u32, &str)> =
        members.iter().filter(fits).map(|member| (own.contains(&member.id), free(member), member.id.as_str())).collect();
    // The id decides between equals, so that the same view gives the same places.
    fitting.sort_by(|one, other| (other.0, other.1).cmp(&(one.0, one.1)).then_with(|| one.2.cmp(other.2)));
    fitting.into_iter().take(copies).map(|(_, _, id)| id.to_owned()).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::net::HealthView;

    pub fn member(id: &str, memory_available_mb: u32, docker: &'static str) -> MemberView {
        let health = HealthView { memory_available_mb, docker, ..HealthView::default() };
        MemberView { id: id.to_owned(), health: Some(health), ..MemberView::default() }
    }

    #[test]
    fn copies_go_where_there_is_room_and_to_each_node_once() {
        let mut members =
            vec![member("a", 100, "running"), member("b", 900, "running"), member("c", 900, "running"), member("d", 999, "stopped")];
        members.push(MemberView { state: Liveness::Suspect, ..member("e", 999, "running") });
        members.push(MemberView { me: true, ..member("f", 999, "running") });
        members.push(MemberView { suspended: true, ..member("g", 999, "running") });
        members.push(MemberView { health: None, ..member("h", 0, "running") });
        let none = BTreeSet::new();
        assert_eq!(place(&members, &none, &none, 2), ["b", "c"]);
        assert_eq!(place(&members, &["b".to_owned()].into(), &none, 9), ["c", "a"]);
        let own = ["a".to_owned(), "d".to_owned()].into();
        assert_eq!(place(&members, &none, &own, 2), ["a", "b"], "the owner's own come first, where they can");
    }
}
