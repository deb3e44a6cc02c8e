//! What only who writes the bytes by hand can try.

use super::*;
use crate::kit::Kit;
use rand::{SeedableRng, rngs::StdRng};

#[test]
fn nobody_puts_a_paper_of_its_own_around_anothers_invite() {
    let mut rng = StdRng::seed_from_u64(4);
    let kit = Kit::generate(&mut rng);
    let founding = kit.found(&Name::lossy("Sants", "x"));
    let (admin, node) = ([2; 32], NodeId::of_seed(&[3; 32]));
    let grants = vec![kit.grant(&founding, Key::of_seed(&admin))];
    let theirs = kit.invite(&founding, Vec::new(), Terms { uses: 5, not_after: None }, Vec::new(), &mut rng);
    let of_admin = Kit::of_node(admin).invite(&founding, grants.clone(), Terms { uses: 5, not_after: None }, Vec::new(), &mut rng);
    for token in [theirs, of_admin] {
        let certificate = token.redeem(node);
        assert_eq!(certificate.verify(&founding), Ok(()));
        for uses in [0, 50] {
            let invite = Invite::sign(&admin, founding.id(), grants.clone(), token.invite.key, Terms { uses, not_after: None });
            assert_eq!(invite.verify(&founding), Ok(()), "an admin may sign any invite");
            assert_ne!(invite.name(), token.invite.name());
            let forged = Certificate { invite, ..certificate.clone() };
            assert_eq!(forged.verify(&founding), Err(Refusal::Signature("certificate")), "{uses}");
        }
        // Nor is the chain left out or another put in.
        let bare = Certificate { invite: Invite { grants: Vec::new(), ..token.invite.clone() }, ..certificate };
        assert_eq!(bare.verify(&founding).is_ok(), token.invite.grants.is_empty());
    }
}
