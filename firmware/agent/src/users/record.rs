//! What is kept of users and their tokens: one file, written whole. Every rule about them is here, and pure.

use super::role::{Role, Scope};
use super::secret::Secret;
use crate::limits::{USER_MUTED_KEPT, USER_TOKENS_KEPT, USERS_KEPT};
use crate::revision::Expected;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Characters of a name at most.
const NAME_CHARS: usize = 32;
/// Characters of what a token is for.
const LABEL_CHARS: usize = 60;

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct User {
    /// What the person is here.
    pub role: Role,
    /// The hash of the password, as a PHC string.
    pub password: String,
    /// Another one after each change of role or password, and never one that somebody had before.
    #[serde(default)]
    pub revision: u64,
    /// What the person does not want to be shown of what is shared, as `net::ServiceRef` writes it. An agent that does not know this field
    /// passes it over.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    muted: BTreeSet<String>,
}

/// What a program carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = TokenView))]
#[serde(rename_all = "kebab-case")]
pub struct Token {
    /// Its number.
    pub id: u64,
    /// Whose it is.
    pub user: String,
    /// What it may.
    pub scope: Scope,
    /// What it is for, in its user's words.
    pub label: String,
}

/// All that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Kept {
    /// People, by name.
    pub users: BTreeMap<String, User>,
    /// Tokens, by their hash.
    #[serde(default)]
    tokens: BTreeMap<String, Token>,
    #[serde(default)]
    last_token: u64,
    #[serde(default)]
    last_revision: u64,
}

/// Why users were not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The name.
    #[error("a name has 1 to {NAME_CHARS} small letters, digits, `-`, `_` and `.`, and begins with a letter")]
    Name,
    /// There is such a user.
    #[error("there is a user of that name already")]
    Exists,
    /// There is no such user.
    #[error("there is no user of that name")]
    Unknown,
    /// Somebody must be left.
    #[error("this is the last owner, without whom nobody could decide on this node: make another owner first")]
    LastOwner,
    /// There is an owner.
    #[error("this node has an owner already")]
    Claimed,
    /// Users.
    #[error("there are {USERS_KEPT} users already: remove one first")]
    ManyUsers,
    /// Tokens.
    #[error("there are {USER_TOKENS_KEPT} tokens already: revoke one first")]
    ManyTokens,
    /// What is muted.
    #[error("you have muted {USER_MUTED_KEPT} services and nodes already: show one again first")]
    ManyMuted,
    /// That is not muted.
    #[error("you have not muted that: `GET /api/v1/account/muted` lists what you have")]
    NotMuted,
    /// It is not as it was seen.
    #[error("somebody else has changed this user meanwhile: look at how it is now, and change it again if that is still wanted")]
    Changed,
    /// There is no such token.
    #[error("there is no such token of that user")]
    NoToken,
}

/// Whether that can be a user's name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let letters = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    letters && name.len() <= NAME_CHARS && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
}

impl Kept {
    /// Whether somebody owns this node.
    #[must_use]
    pub fn owned(&self) -> bool {
        self.users.values().any(|user| user.role == Role::Owner)
    }

    /// Makes the first owner.
    ///
    /// # Errors
    /// There is one, or the name can't be one.
    pub fn claim(&mut self, name: &str, password: String) -> Result<(), Refused> {
        if self.owned() {
            return Err(Refused::Claimed);
        }
        // Who was something here while nobody owned the node, was it by nobody's word.
        self.users.remove(name);
        self.tokens.retain(|_, token| token.user != name);
        self.add(name, Role::Owner, password)
    }

    /// Adds a person.
    ///
    /// # Errors
    /// The name is taken or can't be one, or there are too many.
    pub fn add(&mut self, name: &str, role: Role, password: String) -> Result<(), Refused> {
        if !is_name(name) {
            return Err(Refused::Name);
        }
        if self.users.contains_key(name) {
            return Err(Refused::Exists);
        }
        if self.users.len() >= USERS_KEPT {
            return Err(Refused::ManyUsers);
        }
        let revision = self.next_revision();
        self.users.insert(name.to_owned(), User { role, password, revision, muted: BTreeSet::new() });
        Ok(())
    }

    /// Removes a person with all tokens.
    ///
    /// # Errors
    /// There is no such person, it is not as it was seen, or no owner would be left.
    pub fn remove(&mut self, name: &str, expected: &Expected) -> Result<(), Refused> {
        self.expected(name, expected)?;
        self.keeps_an_owner_without(name)?;
        self.users.remove(name);
        self.tokens.retain(|_, token| token.user != name);
        Ok(())
    }

    /// Gives a person another role. Tokens stay: they open no more than their user may.
    ///
    /// # Errors
    /// There is no such person, it is not as it was seen, or no owner would be left.
    pub fn set_role(&mut self, name: &str, role: Role, expected: &Expected) -> Result<(), Refused> {
        self.expected(name, expected)?;
        if role != Role::Owner {
            self.keeps_an_owner_without(name)?;
        }
        let revision = self.next_revision();
        let user = self.users.get_mut(name).ok_or(Refused::Unknown)?;
        (user.role, user.revision) = (role, revision);
        Ok(())
    }

    /// Gives a person another password.
    ///
    /// # Errors
    /// There is no such person, or it is not as it was seen.
    pub fn set_password(&mut self, name: &str, password: String, expected: &Expected) -> Result<(), Refused> {
        self.expected(name, expected)?;
        let revision = self.next_revision();
        let user = self.users.get_mut(name).ok_or(Refused::Unknown)?;
        (user.password, user.revision) = (password, revision);
        Ok(())
    }

    fn next_revision(&mut self) -> u64 {
        self.last_revision += 1;
        self.last_revision
    }

    /// Whether there is such a person, as whoever changes it has seen it.
    fn expected(&self, name: &str, expected: &Expected) -> Result<(), Refused> {
        let now = self.users.get(name).ok_or(Refused::Unknown)?.revision;
        if expected.holds(now) { Ok(()) } else { Err(Refused::Changed) }
    }

    fn keeps_an_owner_without(&self, name: &str) -> Result<(), Refused> {
        let left = self.users.iter().any(|(other, user)| other != name && user.role == Role::Owner);
        let is_owner = self.users.get(name).is_some_and(|user| user.role == Role::Owner);
        if is_owner && !left { Err(Refused::LastOwner) } else { Ok(()) }
    }

    /// Shows a person something no more.
    ///
    /// # Errors
    /// There is no such person, or too much is muted.
    pub fn mute(&mut self, name: &str, what: String) -> Result<(), Refused> {
        let muted = &mut self.users.get_mut(name).ok_or(Refused::Unknown)?.muted;
        if muted.len() >= USER_MUTED_KEPT && !muted.contains(&what) {
            return Err(Refused::ManyMuted);
        }
        muted.insert(what);
        Ok(())
    }

    /// Shows it again.
    ///
    /// # Errors
    /// There is no such person, or it is not muted.
    pub fn unmute(&mut self, name: &str, what: &str) -> Result<(), Refused> {
        let user = self.users.get_mut(name).ok_or(Refused::Unknown)?;
        if user.muted.remove(what) { Ok(()) } else { Err(Refused::NotMuted) }
    }

    /// What a person has muted.
    pub fn muted(&self, name: &str) -> BTreeSet<String> {
        self.users.get(name).map(|user| user.muted.clone()).unwrap_or_default()
    }

    /// Takes a new token in, of which the hash is kept; its number.
    ///
    /// # Errors
    /// There is no such person, or there are too many.
    pub fn add_token(&mut self, secret: &Secret, user: &str, scope: Scope, label: &str) -> Result<u64, Refused> {
        if !self.users.contains_key(user) {
            return Err(Refused::Unknown);
        }
        if self.tokens.len() >= USER_TOKENS_KEPT {
            return Err(Refused::ManyTokens);
        }
        self.last_token += 1;
        let label = label.chars().filter(|c| !c.is_control()).take(LABEL_CHARS).collect();
        self.tokens.insert(secret.hash_text(), Token { id: self.last_token, user: user.to_owned(), scope, label });
        Ok(self.last_token)
    }

    /// Revokes a token of a person.
    ///
    /// # Errors
    /// The person has none of that number.
    pub fn revoke_token(&mut self, user: &str, id: u64) -> Result<(), Refused> {
        let before = self.tokens.len();
        self.tokens.retain(|_, token| token.id != id || token.user != user);
        if self.tokens.len() < before { Ok(()) } else { Err(Refused::NoToken) }
    }

    /// The token of that secret, with the role that its user has now.
    #[must_use]
    pub fn token(&self, secret: &Secret) -> Option<(Token, Role)> {
        let token = self.tokens.get(&secret.hash_text())?;
        Some((token.clone(), self.users.get(&token.user)?.role))
    }

    /// All tokens, of one person or of all.
    pub fn tokens(&self, of: Option<&str>) -> Vec<Token> {
        let mut tokens: Vec<Token> = self.tokens.values().filter(|token| of.is_none_or(|of| token.user == of)).cloned().collect();
        tokens.sort_by_key(|token| token.id);
        tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned() -> Kept {
        let mut kept = Kept::default();
        kept.claim("ana", "1".to_owned()).unwrap();
        kept
    }

    #[test]
    fn a_node_is_claimed_once() {
        let mut kept = owned();
        assert_eq!(kept.claim("eva", "2".to_owned()), Err(Refused::Claimed));
        assert_eq!(kept.claim("ana", "2".to_owned()), Err(Refused::Claimed));
        assert!(kept.users.len() == 1 && kept.users["ana"].password == "1");
    }

    #[test]
    fn the_last_owner_stays() {
        let mut kept = owned();
        assert_eq!(kept.remove("ana", &Expected::anything()), Err(Refused::LastOwner));
        assert_eq!(kept.set_role("ana", Role::Operator, &Expected::anything()), Err(Refused::LastOwner));
        kept.add("ben", Role::Operator, String::new()).unwrap();
        assert_eq!(kept.remove("ana", &Expected::anything()), Err(Refused::LastOwner));
        kept.set_role("ben", Role::Owner, &Expected::anything()).unwrap();
        kept.set_role("ana", Role::Guest, &Expected::anything()).unwrap();
        assert_eq!(kept.remove("ben", &Expected::anything()), Err(Refused::LastOwner));
        kept.remove("ana", &Expected::anything()).unwrap();
        assert_eq!(kept.remove("ana", &Expected::anything()), Err(Refused::Unknown));
    }

    #[test]
    fn of_two_who_change_a_person_the_second_is_told_and_a_namesake_is_another() {
        let mut kept = owned();
        kept.add("ben", Role::Guest, "1".to_owned()).unwrap();
        let seen = Expected::only(kept.users["ben"].revision);
        kept.set_role("ben", Role::Operator, &seen).unwrap();
        let refused = Err(Refused::Changed);
        assert_eq!(kept.set_role("ben", Role::Guest, &seen), refused);
        assert_eq!(kept.set_password("ben", "2".to_owned(), &seen), refused);
        assert_eq!(kept.remove("ben", &seen), refused);
        assert_eq!((kept.users["ben"].role, kept.users["ben"].password.as_str()), (Role::Operator, "1"));
        let seen = Expected::only(kept.users["ben"].revision);
        kept.set_password("ben", "3".to_owned(), &seen).unwrap();
        assert_eq!(kept.remove("ben", &seen), refused);
        let seen = Expected::only(kept.users["ben"].revision);
        kept.remove("ben", &seen).unwrap();
        kept.add("ben", Role::Owner, String::new()).unwrap();
        assert_eq!(kept.remove("ben", &seen), refused, "what was seen was somebody else");
    }

    #[test]
    fn what_a_person_mutes_is_muted_for_that_person_alone_and_goes_with_the_person() {
        let mut kept = owned();
        kept.add("ben", Role::Operator, String::new()).unwrap();
        for n in 0..USER_MUTED_KEPT {
            kept.mute("ben", format!("node.{n}")).unwrap();
        }
        assert_eq!(kept.mute("ben", "one more".to_owned()), Err(Refused::ManyMuted));
        assert_eq!(kept.mute("ben", "node.7".to_owned()), Ok(()), "it is muted already");
        assert_eq!(kept.mute("eva", "x".to_owned()), Err(Refused::Unknown));
        assert!(kept.muted("ben").len() == USER_MUTED_KEPT && kept.muted("ana").is_empty() && kept.muted("eva").is_empty());
        assert_eq!(kept.unmute("ana", "node.7"), Err(Refused::NotMuted));
        kept.unmute("ben", "node.7").unwrap();
        assert_eq!(kept.unmute("ben", "node.7"), Err(Refused::NotMuted));
        let again: Kept = serde_json::from_slice(&serde_json::to_vec(&kept).unwrap()).unwrap();
        assert_eq!(again, kept);
        kept.remove("ben", &Expected::anything()).unwrap();
        kept.add("ben", Role::Operator, String::new()).unwrap();
        assert!(kept.muted("ben").is_empty(), "a namesake inherits nothing");
    }

    #[test]
    fn files_of_agents_before_and_after_this_one_are_read() {
        let before: Kept = serde_json::from_str(r#"{"users":{"ana":{"role":"owner","password":"1","revision":2}}}"#).unwrap();
        assert!(before.owned() && before.muted("ana").is_empty());
        assert!(!serde_json::to_string(&before).unwrap().contains("muted"));
        let after = r#"{"users":{"ana":{"role":"owner","password":"1","revision":2,"later":[1]}},"later":{}}"#;
        assert_eq!(serde_json::from_str::<Kept>(after).unwrap(), before);
    }

    #[test]
    fn names_are_plain_and_there_is_an_end() {
        let mut kept = owned();
        for bad in ["", "Ana", "9a", "a b", "a/b", "<b>", "ä", &"a".repeat(33)] {
            assert_eq!(kept.add(bad, Role::Guest, String::new()), Err(Refused::Name), "{bad}");
        }
        assert_eq!(kept.add("ana", Role::Guest, String::new()), Err(Refused::Exists));
        for n in 1..USERS_KEPT {
            kept.add(&format!("user-{n}"), Role::Guest, String::new()).unwrap();
        }
        assert_eq!(kept.add("more", Role::Guest, String::new()), Err(Refused::ManyUsers));
    }

    #[test]
    fn a_token_goes_with_its_user_and_is_no_more_than_its_user() {
        let mut kept = owned();
        kept.add("ben", Role::Operator, String::new()).unwrap();
        let (one, two) = (Secret::random(), Secret::random());
        let id = kept.add_token(&one, "ben", Scope::Apps, "backup\n").unwrap();
        kept.add_token(&two, "ben", Scope::Read, "x").unwrap();
        assert_eq!(kept.token(&one).map(|(token, role)| (token.label, role)), Some(("backup".to_owned(), Role::Operator)));
        kept.set_role("ben", Role::Guest, &Expected::anything()).unwrap();
        assert_eq!(kept.token(&one).map(|(_, role)| role), Some(Role::Guest));
        assert_eq!(kept.revoke_token("ana", id), Err(Refused::NoToken));
        kept.revoke_token("ben", id).unwrap();
        assert!(kept.token(&one).is_none() && kept.token(&two).is_some());
        let text = serde_json::to_string(&kept).unwrap();
        assert!(!text.contains(&two.text()), "hashes alone are kept");
        kept.remove("ben", &Expected::anything()).unwrap();
        assert!(kept.token(&two).is_none() && kept.tokens(None).is_empty());
        kept.add("ben", Role::Owner, String::new()).unwrap();
        assert!(kept.token(&two).is_none(), "a namesake inherits nothing");
    }
}
