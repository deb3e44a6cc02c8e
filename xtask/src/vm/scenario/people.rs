//! What a scenario's people bring: the key that logs in, the recovery kit of the community, its invites.
//!
//! All of it is made on the host, offline, as an owner would at a table before the nodes are unpacked.

use anyhow::Result;
use cluster::admission::Terms;
use cluster::kit::Kit;
use cluster::wire::Name;

/// How many nodes an invite lets in: more than a lab has.
const INVITE_USES: u16 = 20;
/// When the invite that is too old ended: 2 January 2020, before any build's date.
const LONG_AGO: u64 = 1_577_923_200;

/// Texts that are filled into cloudy.toml.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Placeholder → what stands in its place.
    values: Vec<(&'static str, String)>,
}

impl People {
    /// The lab's owner, whose public key is `ssh_key`, and who founds `community`.
    pub fn new(ssh_key: &str, community: Option<&str>) -> Result<Self> {
        let mut values = vec![("{ssh-key}", ssh_key.to_owned())];
        if let Some(community) = community {
            let name = Name::try_from(community)?;
            let mut rng = rand::rng();
            let kit = Kit::generate(&mut rng).with_community(name.clone());
            let stranger = Kit::generate(&mut rng);
            let mut invite = |kit: &Kit, not_after| {
                let terms = Terms { uses: INVITE_USES, not_after };
                // No member is named: the newcomer finds one on the private link.
                kit.invite(&kit.found(&name), Vec::new(), terms, Vec::new(), &mut rng).to_text()
            };
            values.push(("{token}", invite(&kit, None)));
            values.push(("{expired-token}", invite(&kit, Some(LONG_AGO))));
            values.push(("{foreign-token}", invite(&stranger, None)));
            values.push(("{kit}", kit.to_text()));
        }
        Ok(Self { values })
    }

    /// The text with every placeholder filled in.
    pub fn fill(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, (placeholder, value)| text.replace(placeholder, value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::PLACEHOLDERS;
    use super::*;
    use cluster::admission::Token;

    #[test]
    fn every_placeholder_is_filled_and_tokens_belong_to_the_kit() {
        let people = People::new("ssh-ed25519 AAAA lab", Some("Home")).unwrap();
        let filled = people.fill(&PLACEHOLDERS.join("\n"));
        let [key, kit, token, expired, foreign] = filled.lines().collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(key, "ssh-ed25519 AAAA lab");
        let home = Kit::parse(kit).unwrap().found(&Name::try_from("Home").unwrap()).id();
        let of = |token: &str| Token::parse(token).unwrap().community().id();
        assert_eq!((of(token), of(expired)), (home, home));
        assert_ne!(of(foreign), home);
    }
}
