//! The map of links: which nodes speak with which, drawn, and as a table of the same facts.
//!
//! Each node says in its samples to whom it is linked; of this node it is known by itself. Both are in `/api/v1/nodes` (`health.links`,
//! `link`), and nothing else is shown. Colours are the stylesheet's, since the page's policy allows no others; a shape or a dash says the
//! same to who sees none.

use super::home::{called, liveness};
use crate::net::{ClusterView, HealthView, LinkView, Liveness, MemberView};
use crate::quality::{LOSSY_PERMILLE, Quality, SLOW_MS};
use crate::text::{Lang, Map};
use maud::{Markup, html};
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::fmt::Write;

/// The picture's width. On a phone a unit is a little less than a pixel.
const WIDTH: f64 = 320.0;
/// From the highest node to the picture's edge.
const MARGIN: f64 = 18.0;
/// Nodes that have their names beside them; of more there is no room for that.
const NAMED: usize = 24;
/// How far to the side of the middle those with names stand: the names stand outside.
const NAMED_RADIUS: f64 = 78.0;
/// How far up at least and at most, and for each node of a side.
const NAMED_UP: (f64, f64, f64) = (24.0, 122.0, 24.0);
/// How far from the middle those without stand.
const CROWD_RADIUS: f64 = 130.0;
/// Between a dot's middle and its name.
const NAME_GAP: f64 = 10.0;
/// Columns of a name in the picture.
const NAME_COLUMNS: usize = 10;
/// Columns of a name in the table.
const TABLE_NAME_COLUMNS: usize = 24;
/// Links that the table has: the worst.
const ROWS: usize = 100;
/// What a node said this many of its periods ago is nothing of now.
const STALE_PERIODS: u64 = 4;

impl Quality {
    /// The line's class, and in words.
    fn shown(self, words: &Map) -> (&'static str, &'static str) {
        match self {
            Self::Good => ("good", words.good),
            Self::Slow => ("slow", words.slow),
            Self::Lossy => ("lossy", words.lossy),
        }
    }

    /// From what on it is so, in figures.
    fn threshold(self) -> Option<String> {
        match self {
            Self::Good => None,
            Self::Slow => Some(format!("{SLOW_MS} ms")),
            Self::Lossy => Some(percent(LOSSY_PERMILLE)),
        }
    }
}

/// A link, whichever of its ends spoke of it: of two figures the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    /// Where its ends stand in the list of members; the first is the lower.
    ends: (usize, usize),
    rtt_ms: u64,
    lost_permille: u16,
}

impl Line {
    fn quality(&self) -> Quality {
        Quality::of(self.rtt_ms, self.lost_permille)
    }
}

/// The section of the page.
pub fn section(lang: Lang, view: &ClusterView) -> Markup {
    let words = lang.map();
    let mut members: Vec<&MemberView> = view.members.iter().collect();
    // A node stands where it stood, whatever it is called and however it is.
    members.sort_by(|a, b| a.id.cmp(&b.id));
    let lines = lines(&members);
    html! {
        section {
            h2 { (words.map) }
            @if let Some(records) = &view.records {
                p.quiet { (records.holders) " " (lang.words().of) " " (records.members) " " (lang.words().hold_this_view) }
            }
            @if members.len() < 2 { p { (words.alone) } } @else {
                (picture(lang, &members, &lines))
                (legend(lang))
                @if lines.is_empty() { p { (words.none) } } @else { (table(words, &members, &lines)) }
            }
        }
    }
}

/// Merges what all say of their links; `members` are sorted by id.
fn lines(members: &[&MemberView]) -> Vec<Line> {
    let mut at: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    for (number, member) in members.iter().enumerate() {
        // Samples name a neighbour by the first digits of its id; who has the same as another is meant by nobody.
        at.entry(member.id.get(..8).unwrap_or_default()).and_modify(|both| *both = None).or_insert(Some(number));
    }
    let stale = cluster::health::period(members.len()).as_secs() * STALE_PERIODS;
    let fresh = |health: &&HealthView| health.age_seconds <= stale;
    let mut said: Vec<(usize, usize, u64, u16)> = Vec::new();
    for (number, member) in members.iter().enumerate() {
        if member.me {
            let measured = |link: &LinkView| Some((link.rtt_ms?, link.lost_permille.unwrap_or(0)));
            let now = members.iter().enumerate().filter_map(|(other, member)| Some((other, measured(member.link.as_ref()?)?)));
            said.extend(now.map(|(other, (rtt_ms, lost))| (number, other, rtt_ms, lost)));
        } else {
            let links = member.health.as_ref().filter(fresh).into_iter().flat_map(|health| &health.links);
            let known = links.filter_map(|link| Some((at.get(link.node.as_str()).copied().flatten()?, link)));
            said.extend(known.map(|(other, link)| (number, other, u64::from(link.rtt_ms), link.lost_permille)));
        }
    }
    let away = |number: &usize| members.get(*number).is_none_or(|member| member.state == Liveness::Down);
    let mut merged: BTreeMap<(usize, usize), (u64, u16)> = BTreeMap::new();
    for (one, other, rtt_ms, lost) in said {
        // What was linked to a node that is away is so no more.
        if one != other && !away(&one) && !away(&other) {
            let worst = merged.entry((one.min(other), one.max(other))).or_default();
            *worst = (worst.0.max(rtt_ms), worst.1.max(lost));
        }
    }
    merged.into_iter().map(|(ends, (rtt_ms, lost_permille))| Line { ends, rtt_ms, lost_permille }).collect()
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How far to the side of the middle, and how far up, so many nodes stand.
fn radii(count: usize) -> (f64, f64) {
    let (least, most, each) = NAMED_UP;
    if count > NAMED { (CROWD_RADIUS, CROWD_RADIUS) } else { (NAMED_RADIUS, (each * float(count.div_ceil(2))).clamp(least, most)) }
}

/// Where so many nodes stand, clockwise from the top. With names, those of a side are as far from each other as can be, upright; without,
/// all stand on a circle.
fn places(count: usize) -> Vec<(f64, f64)> {
    // A zero has no sign here: it would be written.
    let whole = |(x, y): (f64, f64)| (x.round() + 0.0, y.round() + 0.0);
    let radii = radii(count);
    if count > NAMED {
        let at = |number| TAU * (float(number) + 0.5) / float(count);
        return (0..count).map(at).map(|at: f64| whole((radii.0 * at.sin(), -radii.1 * at.cos()))).collect();
    }
    let right = count.div_ceil(2);
    let side = |number: usize, of: usize| {
        let up = 1.0 - (2.0 * float(number) + 1.0) / float(of);
        (radii.0 * (1.0 - up * up).sqrt(), -radii.1 * up)
    };
    let left = count - right;
    let rights = (0..right).map(|number| side(number, right));
    let lefts = (0..left).rev().map(|number| side(number, left)).map(|(x, y)| (-x, y));
    rights.chain(lefts).map(whole).collect()
}

/// All lines of a quality as one path: a third of the bytes that an element for each has.
fn path(lines: &[Line], quality: Quality, places: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for line in lines.iter().filter(|line| line.quality() == quality) {
        if let (Some((ax, ay)), Some((bx, by))) = (places.get(line.ends.0), places.get(line.ends.1)) {
            let _never_fails = write!(path, "M{ax} {ay}L{bx} {by}");
        }
    }
    path
}

fn picture(lang: Lang, members: &[&MemberView], lines: &[Line]) -> Markup {
    let (words, places) = (lang.map(), places(members.len()));
    let count = |quality| lines.iter().filter(|line| line.quality() == quality).count();
    let counts: Vec<String> = Quality::ALL.map(|quality| format!("{}: {}", quality.shown(words).1, count(quality))).into();
    let label = format!("{}: {}; {}: {}. {}.", words.nodes, members.len(), words.links, lines.len(), counts.join("; "));
    let up = radii(members.len()).1 + MARGIN;
    let view = format!("{} {} {WIDTH} {}", -WIDTH / 2.0, -up, up * 2.0);
    html! {
        svg.map.crowd[members.len() > NAMED] viewBox=(view) role="img" aria-label=(label) {
            @for quality in Quality::ALL { @if count(quality) > 0 { path.(quality.shown(words).0) d=(path(lines, quality, &places)) {} } }
            @for (member, (x, y)) in members.iter().zip(&places) { (dot(lang, member, (*x, *y), members.len() <= NAMED)) }
        }
    }
}

fn dot(lang: Lang, member: &MemberView, (x, y): (f64, f64), named: bool) -> Markup {
    let (name, (class, state)) = (called(&member.name, &member.id), liveness(member.state, lang.words()));
    let (anchor, away) = if x < 0.0 { ("end", -NAME_GAP) } else { ("start", NAME_GAP) };
    html! {
        g.(class) transform=(format!("translate({x} {y})")) {
            title { (name) ": " @if member.me { (lang.cloud().this_node) } @else { (state) } }
            (shape(member.state))
            @if member.me { circle.me r="8" {} }
            @if named { text x=(away) y="4" text-anchor=(anchor) { (short(name, NAME_COLUMNS)) } }
        }
    }
}

/// A dot for who is here, a corner up for who does not answer, a cross for who is away.
fn shape(state: Liveness) -> Markup {
    match state {
        Liveness::Alive => html! { circle r="5" {} },
        Liveness::Suspect => html! { path d="M0-6L6 5H-6Z" {} },
        Liveness::Down => html! { path.cross d="M-5-5L5 5M5-5L-5 5" {} },
    }
}

fn legend(lang: Lang) -> Markup {
    let words = lang.map();
    html! {
        ul.legend {
            @for state in [Liveness::Alive, Liveness::Suspect, Liveness::Down] {
                @let (class, said) = liveness(state, lang.words());
                li { svg.key viewBox="-10 -10 20 20" aria-hidden="true" { g.(class) { (shape(state)) } } (said) }
            }
            @for quality in Quality::ALL {
                @let (class, said) = quality.shown(words);
                li {
                    svg.key.long viewBox="0 -10 40 20" aria-hidden="true" { path.(class) d="M0 0H40" {} } (said)
                    @if let Some(from) = quality.threshold() { " (" (from) " " (words.or_more) ")" }
                }
            }
        }
    }
}

fn table(words: &Map, members: &[&MemberView], lines: &[Line]) -> Markup {
    let mut worst: Vec<&Line> = lines.iter().collect();
    worst.sort_by_key(|line| (std::cmp::Reverse((line.quality(), line.lost_permille, line.rtt_ms)), line.ends));
    let name = |number: usize| members.get(number).map(|member| short(called(&member.name, &member.id), TABLE_NAME_COLUMNS));
    html! {
        details {
            summary { (words.as_table) }
            table {
                thead { tr { th scope="col" { (words.one) } th scope="col" { (words.other) } th scope="col" { (words.round_trip) } th scope="col" { (words.lost) } } }
                tbody { @for line in worst.iter().take(ROWS) {
                    tr { td { (name(line.ends.0).unwrap_or_default()) } td { (name(line.ends.1).unwrap_or_default()) } td { (line.rtt_ms) " ms" } td { (percent(line.lost_permille)) } }
                } }
            }
            @if lines.len() > ROWS { p.quiet { (lines.len() - ROWS) " " (words.more) } }
            p.quiet { (words.programs) " " a href="/api/v1/nodes" { "/api/v1/nodes" } }
        }
    }
}

/// So many of a thousand.
fn percent(permille: u16) -> String {
    match permille % 10 {
        0 => format!("{} %", permille / 10),
        tenth => format!("{}.{tenth} %", permille / 10),
    }
}

/// The beginning of a name, where it has more columns than that. Signs of the wide scripts have two.
fn short(name: &str, columns: usize) -> String {
    let wide = |sign: char| if sign < '\u{1100}' { 1 } else { 2 };
    if name.chars().map(wide).sum::<usize>() <= columns {
        return name.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |sign: &char| left.checked_sub(wide(*sign)).map(|less| left = less).is_some();
    name.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{HealthLink, RegistryView};

    fn id(number: usize) -> String {
        format!("{number:08x}{}", "0".repeat(56))
    }

    /// A member that says of its links: to whom, round trip, loss.
    fn member(number: usize, name: &str, said: &[(usize, u16, u16)]) -> MemberView {
        let links = said.iter().map(|(to, rtt_ms, lost_permille)| HealthLink {
            node: format!("{to:08x}"),
            rtt_ms: *rtt_ms,
            lost_permille: *lost_permille,
        });
        let health = HealthView { links: links.collect(), ..HealthView::default() };
        MemberView { id: id(number), name: name.to_owned(), health: Some(health), ..MemberView::default() }
    }

    fn linked(members: &[MemberView]) -> Vec<((usize, usize), u64, u16)> {
        let members: Vec<&MemberView> = members.iter().collect();
        lines(&members).iter().map(|line| (line.ends, line.rtt_ms, line.lost_permille)).collect()
    }

    fn shown(members: Vec<MemberView>) -> String {
        let records = Some(RegistryView { holders: 11, members: 12, ..RegistryView::default() });
        section(Lang::En, &ClusterView { members, records, ..ClusterView::default() }).into_string()
    }

    #[test]
    fn both_directions_of_a_link_are_one_line_with_the_worse_figures() {
        let said = [member(1, "a", &[(2, 10, 30)]), member(2, "b", &[(1, 20, 0), (3, 5, 0), (2, 1, 0), (9, 1, 0)]), member(3, "c", &[])];
        assert_eq!(linked(&said), [((0, 1), 20, 30), ((1, 2), 5, 0)], "none to itself, none to who is no member");
    }

    #[test]
    fn nothing_is_drawn_to_who_is_away_nor_of_what_was_said_long_ago_nor_by_digits_that_two_have() {
        let link = [(1, 10, 0), (2, 10, 0)];
        let both = || [member(1, "a", &[]), member(2, "b", &[]), member(3, "c", &link)];
        assert_eq!(linked(&both()).len(), 2);
        let mut gone = both();
        gone[0].state = Liveness::Down;
        assert_eq!(linked(&gone), [((1, 2), 10, 0)]);
        let mut old = both();
        old[2].health.as_mut().unwrap().age_seconds = 60 * STALE_PERIODS + 1;
        assert_eq!(linked(&old), []);
        let mut same = both();
        same[1].id = id(1).replace('0', "f").replace("fffffff1", "00000001");
        assert_eq!(linked(&same), [], "{} and {}", same[0].id, same[1].id);
    }

    #[test]
    fn of_this_node_the_links_of_now_count() {
        let mut members = [member(1, "a", &[(2, 10, 0)]), member(2, "b", &[]), member(3, "c", &[])];
        members[0].me = true;
        members[2].link = Some(LinkView { address: None, through: None, rtt_ms: Some(7), lost_permille: None });
        assert_eq!(linked(&members), [((0, 2), 7, 0)]);
    }

    #[test]
    fn the_worst_of_its_figures_says_how_a_link_is() {
        let quality = |rtt_ms, lost_permille| Line { ends: (0, 1), rtt_ms, lost_permille }.quality();
        assert_eq!(quality(SLOW_MS - 1, LOSSY_PERMILLE - 1), Quality::Good);
        assert_eq!(quality(SLOW_MS, 0), Quality::Slow);
        assert_eq!(quality(SLOW_MS, LOSSY_PERMILLE), Quality::Lossy);
        assert_eq!((percent(0), percent(25), percent(1000)), ("0 %".to_owned(), "2.5 %".to_owned(), "100 %".to_owned()));
    }

    #[test]
    fn all_stand_apart_and_inside_with_room_for_their_names() {
        for count in 2..=200 {
            let places = places(count);
            assert_eq!(places.len(), count);
            for (number, (x, y)) in places.iter().enumerate() {
                assert!(x.abs() <= 140.0 && y.abs() <= 130.0, "{count}: {x} {y}");
                for (other_x, other_y) in places.iter().skip(number + 1) {
                    let side = (*x < 0.0) == (*other_x < 0.0);
                    // Names are a line of text high; dots that have none are told apart as long as people count them.
                    let apart = if count <= NAMED {
                        !side || (y - other_y).abs() >= 14.0
                    } else {
                        count > 80 || (x - other_x).hypot(y - other_y) >= 9.0
                    };
                    assert!(apart, "{count}: {x} {y} and {other_x} {other_y}");
                }
            }
        }
        assert_eq!(places(4), [(68.0, -24.0), (68.0, 24.0), (-68.0, 24.0), (-68.0, -24.0)]);
    }

    #[test]
    fn a_node_stands_where_it_stood_whatever_it_is_called() {
        let place = |html: &str, title: &str| {
            let before = html.split(&format!("<title>{title}")).next().unwrap_or_default();
            before.rsplit("translate(").next().unwrap_or_default().to_owned()
        };
        let called = |name: &str| shown(vec![member(3, name, &[]), member(1, "b", &[]), member(2, "c", &[])]);
        assert_eq!(place(&called("a"), "a"), place(&called("z"), "z"));
    }

    #[test]
    fn names_are_escaped_and_short_and_states_have_shapes() {
        let mut members = vec![member(1, "<b>\"roof", &[(2, 120, 0)]), member(2, "the very long name of a node", &[]), member(3, "", &[])];
        members[1].state = Liveness::Suspect;
        members[2].state = Liveness::Down;
        let html = shown(members);
        assert!(!html.contains("<b>") && html.contains("&lt;b&gt;&quot;roof"), "{html}");
        assert!(
            html.contains(">the very …</text>") && html.contains("<title>the very long name of a node: not answering</title>"),
            "{html}"
        );
        assert!(html.contains("<title>00000003: away</title><path class=\"cross\""), "{html}");
        assert!(html.contains("11 of 12 nodes hold this view.") && html.contains("<td>120 ms</td><td>0 %</td>"), "{html}");
        assert!(html.contains("aria-label=\"Nodes: 3; links: 1. good: 0; slow: 1; loses packets: 0.\""), "{html}");
        assert!(!html.contains("style="), "the page's policy allows no styles here");
        assert_eq!((short("日本日本日本", 10), short("garden", 6)), ("日本日本…".to_owned(), "garden".to_owned()));
    }

    #[test]
    fn who_is_alone_learns_what_comes_and_who_knows_no_link_sees_the_nodes() {
        let alone = shown(vec![member(1, "a", &[])]);
        assert!(alone.contains("Make an invite") && !alone.contains("<svg"), "{alone}");
        let unknown = shown(vec![member(1, "a", &[]), member(2, "b", &[])]);
        assert!(unknown.contains("No link is known yet") && unknown.contains("class=\"map\"") && !unknown.contains("<table"), "{unknown}");
    }

    #[test]
    fn the_map_of_many_nodes_is_small() {
        let many = |name: &str, both: bool| {
            let links = |number: usize| -> Vec<(usize, u16, u16)> {
                let near = (1..=6).flat_map(|step| [(number + step * 5) % 60, (number + 60 - step * 5) % 60]);
                let far = (1..=12).map(|step| (number + step) % 60);
                let to: Vec<usize> = if both { near.collect() } else { far.collect() };
                to.into_iter().map(|to| (to, 14, 0)).collect()
            };
            shown((0..60).map(|number| member(number, &format!("{name}{number}"), &links(number))).collect())
        };
        let usual = many("balcony-", true);
        assert!(usual.len() < 30_000, "{} bytes", usual.len());
        assert!(!usual.contains("<text"), "there is no room for sixty names");
        // Whatever names they have and whoever says of whom what no other says.
        let most = many(&"\"".repeat(61), false);
        assert_eq!(most.matches("<tr>").count(), ROWS + 1);
        assert!(most.contains("620 more links") && most.len() < 90_000, "{} bytes", most.len());
    }
}
