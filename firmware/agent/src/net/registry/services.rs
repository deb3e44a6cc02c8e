//! Searching what all published: by text, category and node, a page at a time.

use super::hidden::{HiddenMark, Hides, Lens};
use super::{Copy, Facts, Refused, Registry, Service, service};
use crate::net::Liveness;
use crate::quality::QualityView;
use cluster::{
    NodeId,
    records::{Change, Kind, Order},
    store::StoreError,
};
use serde::{Deserialize, Serialize};
use std::{
    net::{IpAddr, SocketAddr},
    ops::ControlFlow,
};

/// Most services of one page.
pub const MAX_PAGE: usize = 200;
/// Of one page, where nothing else is asked for.
const PAGE: usize = 50;
/// Longest text that is searched for, in bytes.
const MAX_TEXT_BYTES: usize = 200;

/// What is searched for: the query of `GET /api/v1/services`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Search {
    /// Words that all must be in title, description, category, key or the node's name; case and accents do not matter.
    pub text: String,
    /// The category.
    pub category: String,
    /// The node's name or id, or the beginning of its id.
    pub node: String,
    /// Most services of this page, at most [`MAX_PAGE`].
    pub limit: Option<usize>,
    /// What the page before gave as `next`.
    pub after: String,
    /// Whether what admins hide from all is listed too, with who hides it and why.
    #[serde(skip_serializing_if = "is_not")]
    pub hidden: bool,
    /// Whether what the one who asks has muted is listed too.
    #[serde(skip_serializing_if = "is_not")]
    pub muted: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_not(wanted: &bool) -> bool {
    !wanted
}

/// A service that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServiceFound))]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// The key by which its node publishes it.
    pub key: String,
    /// Its node's id.
    pub node: String,
    /// Its node's name, as that says.
    pub node_name: String,
    /// Whether it is of this node.
    pub me: bool,
    /// How its node is, as far as it is known.
    pub state: Option<Liveness>,
    /// Whether this node itself reaches it at another address than the one below, so that a browser may not reach that.
    pub doubtful: bool,
    /// Who owns the node: a key in hexadecimal.
    pub owner: String,
    /// Its node's epoch when it was written.
    pub epoch: u32,
    /// And the sequence.
    pub sequence: u64,
    /// The address of its node that stands in the one below.
    #[serde(skip)]
    pub host: Option<IpAddr>,
    /// Where it is reached, if it says.
    pub address: Option<String>,
    /// How well it is reached from this node; none while that was not measured.
    pub quality: Option<QualityView>,
    /// Who hides it from all who search, if an admin does.
    pub hidden: Option<HiddenMark>,
    /// Whether the one who asks has muted it.
    pub muted: bool,
    /// What it is.
    #[serde(flatten)]
    pub service: Service,
}

/// A page of services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ServicesPage))]
#[serde(rename_all = "kebab-case")]
pub struct Page {
    /// In the order of node ids and keys.
    pub services: Vec<Listed>,
    /// For the page after this; none at the end.
    pub next: Option<String>,
    /// Whether this node is an admin, so that its owners may hide services from all.
    #[serde(skip)]
    pub admin: bool,
}

/// What a search means, made once.
struct Query {
    words: Vec<String>,
    category: String,
    node: String,
    limit: usize,
    after: Option<(NodeId, String)>,
    hidden: bool,
    muted: bool,
}

impl Search {
    fn query(&self) -> Result<Query, String> {
        if self.text.len() > MAX_TEXT_BYTES {
            return Err(format!("the text has {} bytes, where {MAX_TEXT_BYTES} can be searched for", self.text.len()));
        }
        let after = match self.after.as_str() {
            "" => None,
            cursor => Some(read_cursor(cursor).ok_or_else(|| format!("`{cursor}` is not what a page gave as `next`"))?),
        };
        Ok(Query {
            words: self.text.split_whitespace().map(fold).collect(),
            category: fold(&self.category),
            node: fold(&self.node),
            limit: self.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE),
            after,
            hidden: self.hidden,
            muted: self.muted,
        })
    }
}

fn cursor(node: &str, key: &str) -> String {
    format!("{node}.{key}")
}

fn read_cursor(text: &str) -> Option<(NodeId, String)> {
    let (node, key) = text.split_once('.')?;
    Some((NodeId::of_hex(node)?, key.to_owned()))
}

/// Lower case without the accents of the languages that we speak, so that `gracia` finds `Gràcia`.
pub(super) fn fold(text: &str) -> String {
    // Most of what is searched through, and a search goes through all that is published.
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let plain = |c: char| match c {
        'à' | 'á' | 'â' | 'ä' | 'ã' | 'å' => 'a',
        'è' | 'é' | 'ê' | 'ë' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ò' | 'ó' | 'ô' | 'ö' | 'õ' => 'o',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ç' => 'c',
        'ñ' => 'n',
        other => other,
    };
    text.chars().flat_map(char::to_lowercase).map(plain).collect()
}

impl Query {
    fn fits_node(&self, node: &NodeId, facts: &Facts) -> bool {
        self.node.is_empty() || fold(&facts.name) == self.node || node.hex().starts_with(&self.node)
    }

    fn fits(&self, key: &str, service: &Service, facts: &Facts) -> bool {
        if !self.category.is_empty() && fold(&service.category) != self.category {
            return false;
        }
        // No word has a space in it, so each is within one of them.
        let all = [key, &service.title, &service.description, &service.category, &facts.name].map(fold);
        self.words.iter().all(|word| all.iter().any(|one| one.contains(word)))
    }

    /// Whether a service is listed. Its own node lists it always, so that its owner learns that it is hidden.
    fn lists(&self, me: bool, hidden: bool, muted: bool) -> bool {
        (me || !hidden || self.hidden) && (!muted || self.muted)
    }

    fn run(&self, copy: &Copy, lens: &Lens) -> Result<Page, StoreError> {
        let hides = Hides::read(copy, &lens.admins)?;
        let mut page = Page { admin: lens.admins.contains(&copy.me()), ..Page::default() };
        for node in copy.view().members() {
            let after = match &self.after {
                Some((at, _)) if node < at => continue,
                Some((at, key)) if node == at => Some(key),
                _ => None,
            };
            let facts = copy.get(node, &Facts::slot())?.and_then(|record| Facts::of(&record)).unwrap_or_default();
            if !self.fits_node(node, &facts) {
                continue;
            }
            let flow = copy.each_of(node, Kind::SERVICE, "", &mut |found| {
                let key = &found.record.slot.key;
                if after.is_some_and(|after| key <= after) {
                    return ControlFlow::Continue(());
                }
                let Some(service) = Service::of(&found.record).filter(|service| self.fits(key, service, &facts)) else {
                    return ControlFlow::Continue(());
                };
                let (hidden, muted) = (hides.mark(node, Some(key), &copy.me()), lens.mutes(node, key));
                if !self.lists(*node == copy.me(), hidden.is_some(), muted) {
                    return ControlFlow::Continue(());
                }
                if page.services.len() == self.limit {
                    return ControlFlow::Break(());
                }
                let Order { epoch, sequence } = found.record.written;
                page.services.push(Listed {
                    key: key.clone(),
                    node: node.hex(),
                    node_name: facts.name.clone(),
                    me: *node == copy.me(),
                    state: None,
                    doubtful: false,
                    owner: found.owner.hex(),
                    epoch,
                    sequence,
                    host: host(&facts),
                    address: service.address(host(&facts)),
                    quality: None,
                    hidden,
                    muted,
                    service,
                });
                ControlFlow::Continue(())
            })?;
            if flow.is_break() {
                page.next = page.services.last().map(|last| cursor(&last.node, &last.key));
                break;
            }
        }
        Ok(page)
    }
}

/// The address of a node that others can most likely use.
fn host(facts: &Facts) -> Option<IpAddr> {
    let usable = facts.addresses.iter().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified());
    usable.min_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()))
}

impl Registry {
    /// Services that fit and that the one who asks is to see, a page of them.
    ///
    /// # Errors
    /// In words: the search can't be understood, or the records can't be read.
    pub async fn search(&self, search: &Search, lens: Lens) -> Result<Result<Page, String>, Refused> {
        let query = match search.query() {
            Ok(query) => query,
            Err(words) => return Ok(Err(words)),
        };
        match self.with(move |copy, _| query.run(copy, &lens)).await? {
            Ok(page) => Ok(Ok(page)),
            Err(error) => Err(Refused::Closed(error.to_string())),
        }
    }

    /// Publishes a service or says something else of it; only with `new` it must not be there yet. On disk when this
    /// answers.
    ///
    /// # Errors
    /// See [`Refused`]. None: it is there already.
    pub async fn publish(&self, key: &str, service: &Service, new: bool) -> Result<Option<Order>, Refused> {
        let (slot, put) = (service::slot(key), service.put(key));
        self.with(move |copy, now| {
            if new && copy.get(&copy.me(), &slot)?.is_some() {
                return Ok(None);
            }
            copy.write(now, &[put]).map(Some)
        })
        .await?
        .map_err(Refused::Write)
    }

    /// What this node publishes under a key.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn published(&self, key: &str) -> Result<Option<Service>, Refused> {
        let slot = service::slot(key);
        let record = self.with(move |copy, _| copy.get(&copy.me(), &slot)).await?.map_err(|error| Refused::Write(error.into()))?;
        Ok(record.as_ref().and_then(Service::of))
    }

    /// What a member publishes under a key, and what it calls itself.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn service(&self, node: NodeId, key: &str) -> Result<Option<(Service, String)>, Refused> {
        let slot = service::slot(key);
        let found = self.with(move |copy, _| {
            if !copy.view().members().contains(&node) {
                return Ok::<_, StoreError>(None);
            }
            let facts = copy.get(&node, &Facts::slot())?.and_then(|record| Facts::of(&record)).unwrap_or_default();
            Ok(copy.get(&node, &slot)?.as_ref().and_then(Service::of).map(|service| (service, facts.name)))
        });
        found.await?.map_err(|error| Refused::Closed(error.to_string()))
    }

    /// Takes a service away. On disk when this answers.
    ///
    /// # Errors
    /// See [`Refused`]. None: it is not there.
    pub async fn withdraw(&self, key: &str) -> Result<Option<Order>, Refused> {
        let slot = service::slot(key);
        self.with(move |copy, now| match copy.get(&copy.me(), &slot)? {
            Some(_) => copy.write(now, &[Change::Remove(slot)]).map(Some),
            None => Ok(None),
        })
        .await?
        .map_err(Refused::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str, category: &str) -> Query {
        Search { text: text.to_owned(), category: category.to_owned(), ..Search::default() }.query().unwrap()
    }

    #[test]
    fn case_and_accents_do_not_matter_and_all_words_must_be_there() {
        let service = Service { title: "Wiki de Gràcia".to_owned(), category: "Saber".to_owned(), ..Service::default() };
        let facts = Facts { name: "jardí".to_owned(), ..Facts::default() };
        for (text, category) in [("", ""), ("gracia WIKI", ""), ("JARDI", "saber"), ("wiki-1", "")] {
            assert!(query(text, category).fits("wiki-1", &service, &facts), "{text} {category}");
        }
        for (text, category) in [("gracia photos", ""), ("", "sabe")] {
            assert!(!query(text, category).fits("wiki-1", &service, &facts), "{text} {category}");
        }
    }

    #[test]
    fn what_is_hidden_or_muted_is_left_out_unless_it_is_asked_for_and_ones_own_is_seen() {
        let lists = |hidden, muted| {
            let query = Search { hidden, muted, ..Search::default() }.query().unwrap();
            move |me, is_hidden, is_muted| query.lists(me, is_hidden, is_muted)
        };
        let (usual, all) = (lists(false, false), lists(true, true));
        assert!(usual(false, false, false) && !usual(false, true, false) && !usual(false, false, true));
        assert!(usual(true, true, false), "its owner learns that it is hidden");
        assert!(all(false, true, true) && lists(true, false)(false, true, false) && !lists(true, false)(false, true, true));
        assert!(lists(false, true)(false, false, true) && !lists(false, true)(false, true, true));
    }

    #[test]
    fn nodes_are_named_by_name_or_beginning_of_id() {
        let facts = Facts { name: "Jardí".to_owned(), ..Facts::default() };
        let node = cluster::keys::Key([0xab; 32]);
        for (name, fits) in [("", true), ("jardi", true), ("abab", true), ("ABAB", true), ("jard", false), ("cd", false)] {
            let query = Search { node: name.to_owned(), ..Search::default() }.query().unwrap();
            assert_eq!(query.fits_node(&node, &facts), fits, "{name}");
        }
    }

    #[test]
    fn a_cursor_is_read_back_and_nonsense_is_refused() {
        let node = cluster::keys::Key([0xab; 32]);
        assert_eq!(read_cursor(&cursor(&node.hex(), "a.b")), Some((node, "a.b".to_owned())));
        for nonsense in ["x", "abab.x", "..", &"é".repeat(40)] {
            assert!(Search { after: nonsense.to_owned(), ..Search::default() }.query().is_err(), "{nonsense}");
        }
        assert!(Search { text: "x".repeat(201), ..Search::default() }.query().is_err());
    }
}
