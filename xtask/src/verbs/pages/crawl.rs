//! A person goes to every page that a link leads to, and each page is looked at: whether it is there, in the person's language, can be heard,
//! fits a phone, says nothing on the console, and lets nothing of what others published become a part of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::browser::{PHONE, Visitor};

/// So many pages that differ in a number, a hash or the value of a query alone.
const OF_A_KIND: usize = 2;
/// More than a node has: who comes to so many goes in circles.
const MOST: usize = 400;
/// What a page says of itself. What others published would mark an element, or the window, if a page took it as its own.
const ABOUT: &str = r#"
const links = Array.from(document.querySelectorAll("a[href]")).filter(a => a.origin === location.origin && !a.hasAttribute("download") && a.target !== "_blank");
const entry = performance.getEntriesByType("navigation")[0];
return JSON.stringify({
    status: entry ? entry.responseStatus : 0,
    path: location.pathname,
    html: document.contentType === "text/html",
    lang: document.documentElement.lang,
    title: document.title.trim(),
    headings: document.querySelectorAll("h1").length,
    hostile: document.querySelector("[data-hostile]") !== null || window.hostile !== undefined,
    links: links.map(a => a.pathname + a.search),
});"#;

/// How pages are looked at.
pub struct Looks<'a> {
    /// Of the node.
    pub url: &'a str,
    /// As the router names them.
    pub pages: &'a [String],
    /// Those that lead on to another.
    pub leads_on: BTreeSet<&'a str>,
    /// Where pictures of each go.
    pub pictures: Option<&'a Path>,
    /// The text of axe-core, where they are held to it.
    pub axe: Option<&'a str>,
}

/// What somebody saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub visited: usize,
    pub seconds: f32,
    /// The pages, as the router names them.
    pub reached: BTreeSet<String>,
    pub faults: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct About {
    status: u16,
    path: String,
    html: bool,
    lang: String,
    title: String,
    headings: usize,
    hostile: bool,
    links: Vec<String>,
}

impl About {
    /// What is wrong with it, for a person of that language who followed a link to `path`, which may lead on.
    fn faults(&self, path: &str, language: &str, leads_on: &BTreeSet<&str>) -> Vec<String> {
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: String| faults.extend((!holds).then_some(what));
        must(self.status == 200, format!("a link leads there, and its status is {}", self.status));
        must(self.html, "it is no page".to_owned());
        must(self.path == path || leads_on.contains(path), format!("it leads on to {}", self.path));
        must(self.lang == language, format!("its language is `{}`", self.lang));
        must(!self.title.is_empty(), "it has no title".to_owned());
        must(self.headings == 1, format!("it has {} first headings", self.headings));
        must(!self.hostile, "what somebody published has become a part of it".to_owned());
        faults
    }
}

/// Goes everywhere from the first page.
pub fn crawl(visitor: &Visitor, name: &str, looks: &Looks<'_>) -> Result<Seen> {
    let begun = Instant::now();
    let mut seen = Seen::default();
    let (mut known, mut kinds): (BTreeSet<String>, BTreeMap<String, usize>) = (BTreeSet::from(["/".to_owned()]), BTreeMap::new());
    let mut ahead = VecDeque::from(["/".to_owned()]);
    while let Some(path) = ahead.pop_front() {
        if seen.visited == MOST {
            seen.faults.push(format!("{name}: more than {MOST} pages: the next is {path}"));
            break;
        }
        visitor.open(&format!("{}{path}", looks.url))?;
        seen.visited += 1;
        let about = visitor.script(ABOUT)?;
        let about: About = serde_json::from_str(about.as_str().context("a page says nothing of itself")?)?;
        let mut faults = about.faults(path.split('?').next().unwrap_or_default(), visitor.language(), &looks.leads_on);
        faults.extend(visitor.complaints()?.into_iter().map(|said| format!("the browser complains: {said}")));
        faults.extend(visitor.nameless()?.into_iter().map(|role| format!("a {role} without a name")));
        let wide = visitor.width_at(PHONE)?;
        if wide > u64::from(PHONE) {
            faults.push(format!("it is {wide} wide on a phone of {PHONE}"));
        }
        if let Some(axe) = looks.axe {
            faults.extend(visitor.violations(axe)?.into_iter().map(|found| format!("axe-core: {found}")));
        }
        if let Some(folder) = looks.pictures {
            let named: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(60).collect();
            // A page that is too wide was told already.
            let _wide = visitor.pictures(folder, &format!("{name}{named}"));
        }
        seen.faults.extend(faults.into_iter().map(|fault| format!("{name}: {path}: {fault}")));
        seen.reached.extend(of_route(&about.path, looks.pages));
        for link in about.links {
            // What the API answers and what is downloaded is no page.
            if link.starts_with("/api/") || link == "/metrics" || link.ends_with(".crt") || !known.insert(link.clone()) {
                continue;
            }
            let count = kinds.entry(kind(&link)).or_default();
            *count += 1;
            if *count <= OF_A_KIND {
                ahead.push_back(link);
            }
        }
    }
    seen.seconds = begun.elapsed().as_secs_f32();
    Ok(seen)
}

/// A path with what differs between pages of one kind taken out: numbers, hashes, a query's values.
fn kind(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let long = |part: &str| part.len() >= 16 && part.chars().all(|c| c.is_ascii_hexdigit());
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let parts: Vec<&str> = path.split('/').map(|part| if long(part) || number(part) { "*" } else { part }).collect();
    let mut names: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
    names.sort_unstable();
    format!("{}?{}", parts.join("/"), names.join("&"))
}

/// The page that a path leads to, as the router names it: what is named wins over what stands for any.
pub fn of_route(path: &str, pages: &[String]) -> Option<String> {
    let fits = |page: &str| {
        let (path, page): (Vec<&str>, Vec<&str>) = (path.split('/').collect(), page.split('/').collect());
        path.len() == page.len() && path.iter().zip(&page).all(|(part, named)| part == named || named.starts_with('{') && !part.is_empty())
    };
    let any = |page: &&String| page.matches('{').count();
    pages.iter().filter(|page| fits(page)).min_by_key(any).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_a_kind_are_known_and_a_path_leads_to_the_page_that_names_most_of_it() {
        assert_eq!(kind("/files/0123456789abcdef0123?b=1&a=2"), kind("/files/fedcba98765432100000?a=7&b=8"));
        assert_ne!(kind("/apps/wiki"), kind("/apps/web"));
        assert_eq!(kind("/tunnels/4000"), kind("/tunnels/4001"));
        let pages = ["/apps/{name}", "/apps/{name}/{action}", "/apps/body", "/"].map(str::to_owned);
        assert_eq!(of_route("/apps/body", &pages).unwrap(), "/apps/body");
        assert_eq!(of_route("/apps/wiki", &pages).unwrap(), "/apps/{name}");
        assert_eq!(of_route("/apps/wiki/remove", &pages).unwrap(), "/apps/{name}/{action}");
        assert_eq!(of_route("/", &pages).unwrap(), "/");
        assert_eq!(of_route("/apps/", &pages), None);
    }

    #[test]
    fn what_is_wrong_with_a_page_is_said() {
        let leads_on = BTreeSet::from(["/setup"]);
        let good = || About {
            status: 200,
            path: "/apps".into(),
            html: true,
            lang: "ca".into(),
            title: "Apps".into(),
            headings: 1,
            hostile: false,
            links: Vec::new(),
        };
        assert_eq!(good().faults("/apps", "ca", &leads_on), Vec::<String>::new());
        assert_eq!(good().faults("/apps", "es", &leads_on).len(), 1);
        assert!(
            good().faults("/users", "ca", &leads_on)[0].contains("leads on to /apps")
                && good().faults("/setup", "ca", &leads_on).is_empty()
        );
        let bad = About {
            status: 404,
            path: "/apps".into(),
            html: false,
            lang: String::new(),
            title: String::new(),
            headings: 0,
            hostile: true,
            links: Vec::new(),
        };
        assert_eq!(bad.faults("/apps", "ca", &leads_on).len(), 6);
    }
}
