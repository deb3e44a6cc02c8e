//! The microcloud as this node sees it: `GET /api/v1/nodes`, its members page by page.

use super::changes::NO_NETWORK;
use super::paging::{self, Order, Paging};
use super::problem::Refusal;
use crate::net::ClusterView;
use crate::state::App;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;

/// A page of members, and all else of the view beside it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub struct NodesPage {
    #[serde(flatten)]
    view: ClusterView,
    /// For the page after this: `after` of the next question; none at the end.
    next: Option<String>,
}

/// The view with the members of that page alone. Pages are cut by the id, which stays when a node gets another name meanwhile; within one
/// its members are in the order of the view.
fn page(mut view: ClusterView, paging: &Paging) -> Result<NodesPage, Refusal> {
    let mut members = std::mem::take(&mut view.members);
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let (mut members, next) = paging::cut(members, Order::Up, |member| member.id.clone(), paging)?;
    members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    Ok(NodesPage { view: ClusterView { members, ..view }, next })
}

pub(super) async fn show(State(app): State<Arc<App>>, uri: Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let view = app.view().ok_or_else(|| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, NO_NETWORK))?;
    answer(view, &uri, asked)
}

/// What is answered of that view.
pub(super) fn answer(view: ClusterView, uri: &Uri, asked: Result<Query<Paging>, QueryRejection>) -> Result<Response, Refusal> {
    let page = page(view, &paging::asked(asked)?)?;
    Ok(paging::answer(uri, page.next.clone(), |_| page))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::net::{Liveness, Me, MemberView};
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn member(n: usize) -> MemberView {
        MemberView {
            id: format!("{:064x}", n * 7919 % 100_003),
            name: format!("n{n}"),
            addresses: Vec::new(),
            me: n == 0,
            state: Liveness::Alive,
            epoch: 1,
            incarnation: 0,
            last_heard_seconds: None,
            version: String::new(),
            link: None,
            health: None,
            admin: false,
            removable: false,
            suspended: false,
        }
    }

    /// What a node of a microcloud of so many sees.
    pub fn view(count: usize) -> ClusterView {
        let mut members: Vec<MemberView> = (0..count).map(member).collect();
        members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        let me = Me { name: "n0".to_owned(), ..Me::default() };
        ClusterView { me, members, problems: vec!["WHAT; MEND".to_owned()], ..ClusterView::default() }
    }

    fn ids(view: &ClusterView) -> Vec<&str> {
        view.members.iter().map(|member| member.id.as_str()).collect()
    }

    #[test]
    fn pages_of_a_large_microcloud_lose_no_member_and_say_all_else_each_time() {
        for count in [0, 1, 199, 200, 201, 450, 600] {
            let whole = view(count);
            let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
            loop {
                let page = page(whole.clone(), &Paging { limit: None, after }).unwrap();
                assert!(page.view.members.len() <= paging::MAX_PAGE);
                assert!(page.view.members.is_sorted_by_key(|member| member.name.clone()));
                assert_eq!((page.view.me.name.as_str(), page.view.problems.len()), ("n0", 1));
                pages += 1;
                seen.extend(page.view.members.into_iter().map(|member| member.id));
                match page.next {
                    Some(next) => after = next,
                    None => break,
                }
            }
            assert_eq!(pages, count.div_ceil(paging::MAX_PAGE).max(1));
            assert_eq!(seen.len(), count, "nobody comes twice");
            assert_eq!(seen.iter().map(String::as_str).collect::<BTreeSet<_>>(), ids(&whole).into_iter().collect(), "{count}");
        }
    }

    #[test]
    fn where_all_are_on_one_page_it_is_the_view_as_it_was() {
        let whole = view(200);
        let page = page(whole.clone(), &Paging::default()).unwrap();
        assert_eq!((ids(&page.view), page.next.as_deref()), (ids(&whole), None));
        let mut said = serde_json::to_value(&page).unwrap();
        assert_eq!(said.as_object_mut().unwrap().remove("next"), Some(Value::Null));
        assert_eq!(said, serde_json::to_value(&whole).unwrap());
    }

    #[test]
    fn a_node_that_gets_another_name_between_two_pages_is_neither_lost_nor_shown_twice() {
        let mut whole = view(300);
        let first = page(whole.clone(), &Paging::default()).unwrap();
        whole.members.iter_mut().for_each(|member| member.name = format!("{}{}", 299 - member.name.len(), member.name));
        let second = page(whole, &Paging { limit: None, after: first.next.clone().unwrap() }).unwrap();
        let both: BTreeSet<&str> = ids(&first.view).into_iter().chain(ids(&second.view)).collect();
        assert_eq!((both.len(), first.view.members.len() + second.view.members.len()), (300, 300));
    }
}
