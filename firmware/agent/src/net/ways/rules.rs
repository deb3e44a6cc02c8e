//! Who could carry, and whom to hold on to: decisions, without effects.

use super::Refusal;
use cluster::NodeId;

/// Members asked to carry to one that is not reached.
const MOST_THROUGH: usize = 2;
/// Connections held on to.
const MOST_ANCHORS: usize = 2;

/// A member that could carry.
#[derive(Debug, Clone, Copy)]
pub struct Neighbour {
    /// Who.
    pub node: NodeId,
    /// This node has a direct connection to it.
    pub linked: bool,
    /// It, or who is to be reached, says that they are connected.
    pub knows: bool,
    /// It is reached in the public network, so that others reach it there too; who stands behind the same router as this node reaches no more than it.
    pub open: bool,
    /// Anything: of those who are alike others are asked each time, since what they said may be old.
    pub chance: u64,
}

/// Through whom a member may be reached that was not reached directly: whoever is known to be connected to it, our own neighbours first;
/// where nobody is, some of our neighbours, first those that others elsewhere reach too.
pub fn through(mut neighbours: Vec<Neighbour>) -> Vec<NodeId> {
    neighbours.retain(|neighbour| neighbour.linked || neighbour.knows);
    neighbours.sort_by_key(|neighbour| (!neighbour.knows, !neighbour.linked, !neighbour.open, neighbour.chance));
    let some_know = neighbours.first().is_some_and(|first| first.knows);
    let asked = neighbours.iter().filter(|neighbour| neighbour.knows || !some_know);
    asked.take(MOST_THROUGH).map(|neighbour| neighbour.node).collect()
}

/// Why a member's packets are not carried to another, as far as who they are says so.
pub fn refusal(me: &NodeId, from: &NodeId, to: &NodeId, admits: impl Fn(&NodeId) -> bool) -> Option<Refusal> {
    let carried = from != to && to != me && admits(from) && admits(to);
    (!carried).then_some(Refusal::NotAdmitted)
}

/// A member with a direct connection, as an anchor.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    /// Who.
    pub node: NodeId,
    /// It is on another network, or says that it is connected to somebody there.
    pub bridges: bool,
    /// It is held on to now.
    pub held: bool,
    /// Anything: who has the same choice as others chooses otherwise, so that no member must hold all, and one that holds all it can is
    /// not asked for ever.
    pub chance: u64,
}

/// Whom to hold on to. Who sees all members on its own networks is reached by all, and needs nobody.
pub fn anchors(somebody_is_elsewhere: bool, mut linked: Vec<Anchor>) -> Vec<NodeId> {
    if !somebody_is_elsewhere {
        return Vec::new();
    }
    linked.sort_by_key(|anchor| (!anchor.bridges, !anchor.held, anchor.chance));
    linked.iter().take(MOST_ANCHORS).map(|anchor| anchor.node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::keys::Key;

    fn node(number: u8) -> NodeId {
        Key([number; 32])
    }

    #[test]
    fn who_is_connected_to_it_carries_and_our_neighbours_go_first() {
        let of = |number, linked, knows| Neighbour { node: node(number), linked, knows, open: false, chance: u64::from(number) };
        assert_eq!(through(vec![]), []);
        assert_eq!(through(vec![of(1, false, false)]), [], "one that nothing is known of is not asked");
        let all = vec![of(1, true, false), of(2, false, true), of(3, true, true), of(4, false, false)];
        assert_eq!(through(all), [node(3), node(2)]);
        let mut guessed: Vec<Neighbour> = (1..=5).map(|number| of(number, true, false)).collect();
        assert_eq!(through(guessed.clone()), [node(1), node(2)]);
        guessed[3].open = true;
        assert_eq!(through(guessed), [node(4), node(1)], "who is reached from elsewhere too is guessed first");
        assert_eq!(through((1..=9).map(|number| of(number, true, true)).collect()).len(), MOST_THROUGH);
    }

    #[test]
    fn members_alone_are_carried_to_members_alone() {
        let refused = |from, to| refusal(&node(9), &node(from), &node(to), |node| node.0[0] < 5);
        assert_eq!(refused(1, 2), None);
        for (from, to) in [(1, 7), (7, 1), (7, 8), (1, 1), (1, 9)] {
            assert_eq!(refused(from, to), Some(Refusal::NotAdmitted), "{from} {to}");
        }
    }

    #[test]
    fn on_one_network_nobody_is_held_and_else_those_that_lead_elsewhere() {
        let of = |number, bridges, held| Anchor { node: node(number), bridges, held, chance: u64::from(10 - number) };
        let all = || vec![of(1, false, true), of(2, true, false), of(3, true, true), of(4, true, false)];
        assert_eq!(anchors(false, all()), []);
        assert_eq!(anchors(true, all()), [node(3), node(4)]);
        assert_eq!(anchors(true, vec![of(1, false, false)]), [node(1)], "better than nobody");
    }
}
