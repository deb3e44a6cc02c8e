//! Lists a page at a time: `limit`, `after`, and `next` in the answer and as a link (RFC 8288).

use super::problem::Refusal;
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::str::FromStr;

/// Most entries of one page, and as many where nobody says how many.
pub const MAX_PAGE: usize = 200;

/// What of a list is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Paging {
    /// Most entries of this page.
    pub limit: Option<usize>,
    /// What the page before gave as `next`.
    pub after: String,
}

/// How a list is ordered by its cursors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Up,
    /// The largest first.
    Down,
}

/// What is asked for, if it is a question.
pub fn asked(query: Result<Query<Paging>, QueryRejection>) -> Result<Paging, Refusal> {
    query.map(|Query(asked)| asked).map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.body_text()))
}

/// A page of what is there, in the order of its cursors, and the cursor of the page after it. An entry that goes meanwhile takes no
/// other with it: a page begins after a cursor, whether that is still there or not.
pub fn cut<T, C: Ord + FromStr + Display>(
    mut items: Vec<T>,
    order: Order,
    cursor: impl Fn(&T) -> C,
    paging: &Paging,
) -> Result<(Vec<T>, Option<String>), Refusal> {
    let limit = paging.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    if !paging.after.is_empty() {
        let no_cursor = |_| {
            let shown: String = paging.after.chars().take(60).collect();
            Refusal::new(StatusCode::BAD_REQUEST, format!("`{}` is not what a page gave as `next`", shown.escape_debug()))
        };
        let after: C = paging.after.parse().map_err(no_cursor)?;
        items.retain(|item| match order {
            Order::Up => cursor(item) > after,
            Order::Down => cursor(item) < after,
        });
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|last| cursor(last).to_string());
    Ok((items, next))
}

/// The same question about the page after it.
fn next_address(uri: &Uri, next: &str) -> Option<String> {
    let mut fields: Vec<(String, String)> = serde_urlencoded::from_str(uri.query().unwrap_or_default()).ok()?;
    fields.retain(|(name, _)| name != "after");
    fields.push(("after".to_owned(), next.to_owned()));
    Some(format!("{}?{}", uri.path(), serde_urlencoded::to_string(fields).ok()?))
}

/// The answer of a page; `next` is its cursor for the page after it, which stands in the page too.
pub fn answer<P: Serialize>(uri: &Uri, next: Option<String>, page: impl FnOnce(Option<String>) -> P) -> Response {
    let address = next.as_deref().and_then(|next| next_address(uri, next));
    let mut response = Json(page(next)).into_response();
    if let Some(link) = address.and_then(|address| HeaderValue::try_from(format!("<{address}>; rel=\"next\"")).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paging(limit: Option<usize>, after: &str) -> Paging {
        Paging { limit, after: after.to_owned() }
    }

    #[test]
    fn pages_together_are_the_list_and_each_has_an_end() {
        for (order, items) in [(Order::Up, (0..7_u64).collect::<Vec<_>>()), (Order::Down, (0..7).rev().collect())] {
            for limit in 1..9 {
                let (mut all, mut after) = (Vec::new(), String::new());
                loop {
                    let (page, next) = cut(items.clone(), order, |n| *n, &paging(Some(limit), &after)).unwrap();
                    assert!(page.len() <= limit && !page.is_empty());
                    all.extend(page);
                    match next {
                        Some(next) => after = next,
                        None => break,
                    }
                }
                assert_eq!(all, items, "{limit}");
            }
        }
        let many: Vec<u64> = (0..1000).collect();
        for limit in [None, Some(0), Some(usize::MAX)] {
            let (page, next) = cut(many.clone(), Order::Up, |n| *n, &paging(limit, "")).unwrap();
            assert!(page.len() <= MAX_PAGE && !page.is_empty() && next.is_some());
        }
    }

    #[test]
    fn an_entry_that_went_takes_no_other_with_it_and_what_no_page_gave_is_refused() {
        let names = ["ana", "eva"].map(str::to_owned).to_vec();
        assert_eq!(cut(names, Order::Up, String::clone, &paging(None, "ben")).unwrap().0, ["eva"]);
        assert!(cut(vec![1_u64], Order::Up, |n| *n, &paging(None, "x")).is_err_and(|refusal| refusal.status == 400));
    }

    #[test]
    fn the_link_asks_the_same_of_the_page_after() {
        let link = |uri: &str, next: Option<&str>| {
            let response = answer(&uri.parse().unwrap(), next.map(str::to_owned), |_| ());
            response.headers().get(header::LINK).map(|link| link.to_str().unwrap().to_owned())
        };
        assert_eq!(link("/api/v1/jobs?limit=2&after=9", Some("7")).as_deref(), Some("</api/v1/jobs?limit=2&after=7>; rel=\"next\""));
        assert_eq!(link("/x", Some("a>;\"\n")).as_deref(), Some("</x?after=a%3E%3B%22%0A>; rel=\"next\""));
        assert_eq!(link("/x?limit=2", None), None);
    }
}
