//! Who changed what, from where, and how it ended: a line in the journal for every change and every login. What it says is decided here by
//! what is no secret: a body, a question, a header, a cookie or a token is never looked at.

use super::caller::{Acted, Caller};
use super::once::Repeated;
use super::serve::Peer;
use axum::http::Method;
use axum::response::Response;

/// Characters of a path in the journal at most.
const PATH_CHARS: usize = 200;

/// What stands in the journal: its fields `AUDIT`, `WHO`, `FROM`, `WHAT`, `STATUS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// `done`, `done before` (the same request had done it) or `refused`.
    outcome: &'static str,
    who: String,
    from: String,
    what: String,
    status: u16,
}

/// How a change ended. Whoever was not let through was refused, also where a browser is then led to the login.
fn outcome(let_through: bool, response: &Response) -> &'static str {
    let status = response.status();
    if !let_through || status.is_client_error() || status.is_server_error() {
        return "refused";
    }
    if response.extensions().get::<Repeated>().is_some() { "done before" } else { "done" }
}

impl Audit {
    /// What is to be said of a change that was answered so.
    pub fn of(caller: &Caller, method: &Method, path: &str, let_through: bool, response: &Response) -> Self {
        let path: String = path.chars().filter(char::is_ascii_graphic).take(PATH_CHARS).collect();
        Self {
            outcome: outcome(let_through, response),
            who: response.extensions().get::<Acted>().map_or_else(|| caller.words(), |acted| acted.0.clone()),
            from: match caller.peer {
                Peer::Network(ip) => ip.to_string(),
                Peer::Container(ip) => format!("a container, {ip}"),
                Peer::Local(uid) => format!("user id {uid} of this machine"),
                Peer::App(uid) => format!("an app, user id {uid}"),
                Peer::Household(node) => format!("this owner's node {}", node.hex()),
            },
            what: format!("{method} {path}"),
            status: response.status().as_u16(),
        }
    }

    /// Writes it.
    pub fn write(&self) {
        let Self { outcome, who, from, what, status } = self;
        log::info!(audit = *outcome, who:% = who, from:% = from, what:% = what, status = *status; "{who} ({from}): {what}: {outcome}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::caller::Who;
    use super::*;
    use crate::users::{Role, Scope};
    use axum::body::Body;
    use axum::http::StatusCode;

    fn of(who: Who, peer: Peer, path: &str, let_through: bool, status: StatusCode) -> Audit {
        let mut response = Response::new(Body::from("the answer's body"));
        *response.status_mut() = status;
        Audit::of(&Caller { who, peer, encrypted: false }, &Method::POST, path, let_through, &response)
    }

    #[test]
    fn it_says_who_did_what_from_where_and_how_it_ended() {
        let far = || Peer::Network([192, 0, 2, 7].into());
        let token = || Who::Token { user: "ana".to_owned(), role: Role::Owner, scope: Scope::Admin, id: 3 };
        let done = of(token(), far(), "/api/v1/apps/x", true, StatusCode::OK);
        let (who, from, what) = ("token 3 of ana".to_owned(), "192.0.2.7".to_owned(), "POST /api/v1/apps/x".to_owned());
        assert_eq!(done, Audit { outcome: "done", who, from, what, status: 200 });
        for (let_through, status, outcome) in [
            (true, StatusCode::SEE_OTHER, "done"),
            (true, StatusCode::UNAUTHORIZED, "refused"),
            (true, StatusCode::INTERNAL_SERVER_ERROR, "refused"),
            (false, StatusCode::FORBIDDEN, "refused"),
            // A browser is led to the login: nothing was done.
            (false, StatusCode::SEE_OTHER, "refused"),
        ] {
            let said = of(Who::Nobody, far(), "/users", let_through, status);
            assert_eq!(
                (said.outcome, said.who.as_str(), said.status),
                (outcome, "nobody known", status.as_u16()),
                "{let_through} {status}"
            );
        }
        assert_eq!(of(Who::Local, Peer::Local(0), "/", true, StatusCode::OK).from, "user id 0 of this machine");
        assert_eq!(of(Who::Nobody, Peer::App(7), "/", true, StatusCode::OK).from, "an app, user id 7");
    }

    #[test]
    fn whose_name_a_handler_learned_stands_before_who_asked_and_a_repeated_answer_is_no_new_change() {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Acted("somebody as ana".to_owned()));
        response.extensions_mut().insert(Repeated);
        let caller = Caller { who: Who::Nobody, peer: Peer::Local(1), encrypted: false };
        let said = Audit::of(&caller, &Method::POST, "/login", true, &response);
        assert_eq!((said.who.as_str(), said.outcome), ("somebody as ana", "done before"));
    }

    #[test]
    fn a_path_makes_no_second_line_and_no_long_one() {
        let said = of(Who::Local, Peer::Local(0), &format!("/a b\nWHO=root\u{202e}{}", "x".repeat(9999)), true, StatusCode::OK);
        assert!(said.what.starts_with("POST /abWHO=rootx") && said.what.len() == "POST ".len() + PATH_CHARS, "{}", said.what);
    }
}
