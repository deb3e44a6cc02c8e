//! Forms about apps on somebody else's node.

use super::apps::wish as app_wish;
use super::{Reader, html, to};
use crate::http::leases::{Word, begin_offer, choose_policy, choose_replicas, take_decision};
use crate::http::pages::leases::{self as page, Shown};
use crate::http::problem::Refusal;
use crate::leases::{Consent, Policy, Wanted, Wish};
use axum::extract::{Form, Path};
use axum::http::StatusCode;
use axum::response::Response;
use std::collections::BTreeMap;

const HERE: &str = "/leases";

fn shown(reader: &Reader) -> Shown {
    let members = reader.app.view().map(|view| view.members).unwrap_or_default();
    let nodes = members.into_iter().filter(|member| !member.me).map(|member| (member.id, member.name));
    Shown { leases: reader.app.leases().view(), nodes: nodes.collect() }
}

fn body(reader: &Reader, wrong: Option<&str>) -> maud::Markup {
    page::body(&reader.view(), &shown(reader), wrong)
}

fn refused(reader: &Reader, refusal: &Refusal) -> Response {
    reader.refused(refusal, HERE, &body(reader, Some(&refusal.said(reader.lang))))
}

/// `GET /leases`
pub async fn show(reader: Reader) -> Response {
    reader.page(HERE, Some("/leases/body"), &body(&reader, None))
}

/// `GET /leases/body`
pub async fn show_body(reader: Reader) -> Response {
    html(body(&reader, None))
}

/// `POST /leases/ID/{accept,refuse,end}`
pub async fn act(reader: Reader, Path((id, action)): Path<(String, String)>) -> Response {
    let word = match action.as_str() {
        "accept" => Word::Accept,
        "refuse" => Word::Refuse,
        "end" => Word::End,
        _ => return reader.nothing(),
    };
    match take_decision(&reader.app, &id, word).await {
        Ok(()) => to(HERE),
        Err(refusal) => refused(&reader, &refusal),
    }
}

/// `POST /lease-policy`
pub async fn set_policy(reader: Reader, Form(fields): Form<BTreeMap<String, String>>) -> Response {
    let done = match policy(&fields, reader.app.leases().view().policy) {
        Ok(policy) => choose_policy(&reader.app, policy).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(()) => to(HERE),
        Err(refusal) => refused(&reader, &refusal),
    }
}

/// What a form's fields say: `others`, `most`, and `node.ID` of those that it showed. Others that are named stay.
fn policy(fields: &BTreeMap<String, String>, mut now: Policy) -> Result<Policy, Refusal> {
    let wrong = |what: &str| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{what}` is not what this form asks for"));
    let consent = |said: &str| match said {
        "accept" => Ok(Consent::Accept),
        "ask" => Ok(Consent::Ask),
        "refuse" => Ok(Consent::Refuse),
        other => Err(wrong(&other.escape_debug().to_string())),
    };
    for (field, said) in fields {
        match (field.as_str(), field.strip_prefix("node.")) {
            ("others", _) => now.others = consent(said)?,
            ("most", _) => now.most = said.parse().map_err(|_| wrong(&said.escape_debug().to_string()))?,
            (_, Some(node)) => {
                let consent = consent(said)?;
                now.nodes.insert(node.to_owned(), consent);
            }
            _ => {}
        }
    }
    // Who is asked about like all others need not be named.
    let others = now.others;
    now.nodes.retain(|_, consent| *consent != others);
    Ok(now)
}

async fn form(reader: &Reader, name: &str, wrong: Option<&str>) -> Option<maud::Markup> {
    let of = name.to_owned();
    let (facts, _) = reader.app.apps().in_background(move |apps| apps.offer(&of)).await.ok()??;
    Some(page::form(&reader.view(), &facts, &shown(reader).nodes, wrong))
}

/// `GET /leases/offer/NAME`
pub async fn show_form(reader: Reader, Path(name): Path<String>) -> Response {
    match form(&reader, &name, None).await {
        Some(body) => reader.page(HERE, None, &body),
        None => reader.nothing(),
    }
}

/// `POST /leases/offer/NAME`
pub async fn offer(reader: Reader, Path(name): Path<String>, Form(fields): Form<BTreeMap<String, String>>) -> Response {
    let done = match wish(&name, &fields) {
        Ok(wish) => begin_offer(&reader.app, wish).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(_) => to(HERE),
        Err(refusal) => match form(&reader, &name, Some(&refusal.said(reader.lang))).await {
            Some(body) => reader.refused(&refusal, HERE, &body),
            None => refused(&reader, &refusal),
        },
    }
}

/// What is offered: an empty node is the one with the most room.
fn wish(app: &str, fields: &BTreeMap<String, String>) -> Result<Wish, Refusal> {
    let settings = app_wish(fields)?.settings;
    let said = |name: &str| fields.get(name).map(|said| said.trim().to_owned()).filter(|said| !said.is_empty());
    let node = said("node");
    let copies = node.is_none().then_some(1);
    let exclusive = said("exclusive").is_some_and(|said| said == "true");
    Ok(Wish { app: app.to_owned(), node, copies, settings, exclusive, note: said("note").unwrap_or_default(), ..Wish::default() })
}

/// `POST /replicas/NAME`: from the form that offers an app, with its settings, or from the list, with a number alone.
pub async fn set_replicas(reader: Reader, Path(name): Path<String>, Form(fields): Form<BTreeMap<String, String>>) -> Response {
    let listed = fields.contains_key("listed");
    let done = match wanted(&fields) {
        Ok(wanted) => choose_replicas(&reader.app, name.clone(), wanted).await,
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(()) => to(HERE),
        Err(refusal) if listed => refused(&reader, &refusal),
        Err(refusal) => match form(&reader, &name, Some(&refusal.said(reader.lang))).await {
            Some(body) => reader.refused(&refusal, HERE, &body),
            None => refused(&reader, &refusal),
        },
    }
}

/// How many copies are wanted. Where the number alone is said, settings stay as they are.
fn wanted(fields: &BTreeMap<String, String>) -> Result<Wanted, Refusal> {
    let said = fields.get("replicas").map(|said| said.trim()).unwrap_or_default();
    let no_number =
        || Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{}` is no number of copies: say 0 to 16", said.escape_debug()));
    let replicas = said.parse().map_err(|_| no_number())?;
    let settings = if fields.contains_key("listed") { None } else { Some(app_wish(fields)?.settings) };
    let note = fields.get("note").map(|note| note.trim().to_owned()).unwrap_or_default();
    Ok(Wanted { replicas, settings, term_seconds: None, note })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn fields_say_what_is_offered_and_to_whom() {
        let said = wish("wiki", &fields(&[("csrf", "x"), ("node", "aa"), ("set.title", "Ours"), ("exclusive", "true"), ("note", " hi ")]));
        let said = said.unwrap();
        assert_eq!((said.node.as_deref(), said.copies, said.exclusive, said.note.as_str()), (Some("aa"), None, true, "hi"));
        assert_eq!(said.settings, fields(&[("title", "Ours")]));
        let anybody = wish("wiki", &fields(&[("node", "")])).unwrap();
        assert_eq!((anybody.node, anybody.copies, anybody.exclusive), (None, Some(1), false));
    }

    #[test]
    fn a_number_of_copies_is_said_with_settings_or_alone() {
        let said = wanted(&fields(&[("csrf", "x"), ("replicas", " 3 "), ("set.title", "Ours"), ("note", "hi")])).unwrap();
        assert_eq!((said.replicas, said.settings, said.note.as_str()), (3, Some(fields(&[("title", "Ours")])), "hi"));
        let alone = wanted(&fields(&[("listed", "true"), ("replicas", "0")])).unwrap();
        assert_eq!((alone.replicas, alone.settings), (0, None));
        for wrong in ["", "-1", "many", "70000"] {
            assert!(wanted(&fields(&[("replicas", wrong)])).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_policy_names_those_that_are_treated_otherwise() {
        let before = Policy { nodes: [("cc".to_owned(), Consent::Refuse)].into(), ..Policy::default() };
        let said = policy(&fields(&[("csrf", "x"), ("others", "ask"), ("most", "3"), ("node.aa", "accept"), ("node.bb", "ask")]), before);
        let said = said.unwrap();
        assert_eq!((said.others, said.most), (Consent::Ask, 3));
        assert_eq!(said.nodes, [("aa".to_owned(), Consent::Accept), ("cc".to_owned(), Consent::Refuse)].into());
        assert!(policy(&fields(&[("others", "always")]), Policy::default()).is_err());
        assert!(policy(&fields(&[("most", "-1")]), Policy::default()).is_err());
    }
}
