//! The page of the microcloud: joining and founding; then letting others in, and leaving.

use super::home::{called, liveness};
use super::{View, map, not_done, words as four};
use crate::http::changes::Replaced;
use crate::net::{ClusterView, CommunityView, Door, JoinState, Liveness, MemberView};
use crate::text::Cloud;
use maud::{Markup, html};

/// For how many nodes an invite may be.
const USES: [u16; 3] = [1, 5, 20];
/// For how many days it may be good.
const DAYS: [u64; 3] = [1, 7, 30];
/// For how many minutes the door may be open.
const MINUTES: [u32; 3] = [10, 60, 600];

/// What was just made, and is shown once.
#[derive(Clone, Copy, Debug)]
pub enum Made<'a> {
    /// The recovery kit of a community that was founded.
    Kit(&'a str),
    /// An invite.
    Invite(&'a str),
    /// What takes the place of a node that is gone.
    Successor(&'a Replaced),
}

/// All of it.
pub fn body(page: &View<'_>, view: &ClusterView, made: Option<Made<'_>>, wrong: Option<&str>) -> Markup {
    let words = page.lang.cloud();
    html! {
        @if let Some(wrong) = wrong { (not_done(page.lang, wrong)) }
        @if let Some(made) = made { (once(made, words)) }
        @match &view.community {
            Some(community) => {
                (four::newcomers(page, &view.newcomers))
                (map::section(page.lang, view))
                (inside(page, community, &view.members, view.me.place()))
            },
            None => {
                (ways_in(page, view, &html! {}))
            }
        }
        section {
            h2 { (words.node_name) }
            form method="post" action="/microcloud/rename" {
                (page.csrf())
                label { (words.node_name) input name="name" required maxlength="63" value=(view.me.name); }
                button { (words.rename) }
            }
        }
    }
}

/// The ways into a microcloud, and how the one is that was taken. What their forms carry `more` says where they lead back.
pub fn ways_in(page: &View<'_>, view: &ClusterView, more: &Markup) -> Markup {
    html! {
        @if let Some(joining) = &view.joining { (self::joining(joining, page)) }
        (four::outside(page, view, more))
        (outside(page, more))
    }
}

/// What is shown once.
pub fn once(made: Made<'_>, words: &Cloud) -> Markup {
    let (title, why, text) = match made {
        Made::Kit(kit) => (words.kit, words.kit_why, kit),
        Made::Invite(token) => (words.invite_made, words.invite_how, token),
        Made::Successor(replaced) => {
            return html! {
                section.well {
                    h2 { (words.replaced) ": " (replaced.name) }
                    p { (words.replaced_how) }
                    pre #made { (replaced.card) }
                    p { (words.replaced_then) }
                }
            };
        }
    };
    html! { section.well { h2 { (title) } p { (why) } p { code #made { (text) } } } }
}

fn outside(page: &View<'_>, more: &Markup) -> Markup {
    let words = page.lang.cloud();
    html! {
        section {
            h2 { (words.join) }
            p { (words.join_why) }
            form method="post" action="/microcloud/join" {
                (page.csrf()) (more)
                label { (words.invite) textarea name="token" rows="5" required autocapitalize="none" autocomplete="off" spellcheck="false" {} }
                button.main { (words.join_now) }
            }
        }
        section {
            h2 { (words.found) }
            p { (words.found_why) }
            form method="post" action="/microcloud/found" {
                (page.csrf()) (more)
                label { (words.name) input name="name" required maxlength="63"; }
                button.main { (words.found_now) }
            }
        }
        section {
            h2 { (words.back) }
            p { (words.back_why) }
            form method="post" action="/microcloud/found" {
                (page.csrf()) (more)
                label { (words.name) input name="name" required maxlength="63"; }
                label { (words.back_kit) textarea name="kit" rows="5" required autocapitalize="none" autocomplete="off" spellcheck="false" {} }
                label { (words.back_member) input name="member" maxlength="120" autocapitalize="none" autocomplete="off" spellcheck="false"; }
                button.main { (words.back_now) }
            }
        }
    }
}

fn joining(joining: &JoinState, page: &View<'_>) -> Markup {
    /// So many of the last failures are shown.
    const SHOWN: usize = 3;
    let words = page.lang.cloud();
    html! {
        section.whole aria-live="polite" {
            h2 { (page.lang.words().joining) ": " (joining.what) }
            @if joining.retrying && joining.next_attempt_seconds > 0 { p.quiet { (words.next_try) " " (joining.next_attempt_seconds) } }
            ul { @for failure in joining.failures.iter().take(SHOWN) {
                li { p { (words.seen) ": " (failure.target) ": " (failure.seen) } p.mend { (failure.mend) } }
            } }
        }
    }
}

fn inside(page: &View<'_>, community: &CommunityView, members: &[MemberView], place: Option<String>) -> Markup {
    let words = page.lang.cloud();
    html! {
        section {
            h2 { (community.name) }
            p { (words.members) ": " (members.len()) }
            ul.nodes { @for member in members { (self::member(page, community, member)) } }
            p { a.button href="/household" { (page.lang.household().title) } }
            @if !community.removed.is_empty() {
                p.quiet { (words.removed) ": " @for (at, node) in community.removed.iter().enumerate() { @if at > 0 { ", " } (called(&node.name, &node.id)) } }
            }
            @if let Some(place) = place {
                details {
                    summary { (words.back_place) }
                    p { (words.back_place_why) }
                    p { code #place { (place) } }
                }
            }
            details {
                summary { (words.leave) }
                p { (words.leave_why) }
                (page.button("/microcloud/leave", words.leave_now))
            }
        }
        section {
            h2 { (words.let_in) }
            @if community.can_invite {
                form method="post" action="/microcloud/invite" {
                    (page.csrf())
                    label { (words.uses) select name="uses" { @for uses in USES { option value=(uses) { (uses) } } } }
                    label { (words.valid) select name="days" {
                        @for days in DAYS { option value=(days) { (days) } }
                        // Where a node's clock was not set from the network, none other can be made.
                        option value="0" { (words.no_end) }
                    } }
                    button.main { (words.make_invite) }
                }
            } @else { p { (words.may_not_invite) } }
        }
        @if community.can_invite { (door(page, community.door)) }
    }
}

fn member(page: &View<'_>, community: &CommunityView, member: &MemberView) -> Markup {
    let (words, called) = (page.lang.cloud(), called(&member.name, &member.id));
    let (class, state) = liveness(member.state, page.lang.words());
    html! {
        li data-member=(called) {
            span.dot.(class) {}
            div.wide {
                strong { (called) } " " span.quiet {
                    @if member.me { (words.this_node) } @else { (state) " · " (member.id.get(..8).unwrap_or_default()) }
                    @if member.admin { " · " (words.admin) }
                }
                @if community.can_invite { (decisions(page, community, member)) }
            }
        }
    }
}

/// What this node, an admin's, may decide about a member.
fn decisions(page: &View<'_>, community: &CommunityView, member: &MemberView) -> Markup {
    let words = page.lang.cloud();
    let node = html! { (page.csrf()) input type="hidden" name="node" value=(member.id); };
    html! {
        @if community.founder && !member.admin && !member.me && !member.suspended {
            details {
                summary { (words.appoint) }
                p { (words.appoint_why) }
                form method="post" action="/microcloud/appoint" { (node) button { (words.appoint_now) } }
            }
        }
        @if community.founder && member.admin && !member.me {
            details {
                summary { (words.dismiss) }
                p { (words.dismiss_why) }
                form method="post" action="/microcloud/dismiss" {
                    (node)
                    label.tick { input type="checkbox" name="undo" value="yes"; " " (words.dismiss_undo) }
                    button.danger { (words.dismiss_now) }
                }
            }
        }
        @if member.removable && !member.me && member.state == Liveness::Down {
            details {
                summary { (words.replace) }
                p { (words.replace_why) }
                form method="post" action="/microcloud/replace" { (node) button { (words.replace_now) } }
            }
        }
        @if member.removable && !member.me {
            details {
                summary { (words.revoke) }
                p { (words.revoke_why) }
                form method="post" action="/microcloud/revoke" { (node) button.danger { (words.revoke_now) } }
            }
        }
    }
}

fn door(page: &View<'_>, door: Door) -> Markup {
    let words = page.lang.cloud();
    html! {
        section {
            h2 { (words.door) }
            p { (words.door_why) }
            form method="post" action="/microcloud/door" {
                (page.csrf())
                @match door {
                    Door::Closed => {
                        label { (words.minutes) select name="minutes" { @for minutes in MINUTES { option value=(minutes) { (minutes) } } } }
                        button.main { (words.open) }
                    },
                    Door::Open | Door::OpenFor { .. } => {
                        p { strong { (words.door_open) } }
                        input type="hidden" name="minutes" value="0";
                        button.main { (words.close) }
                    },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::net::{LanView, Me};
    use crate::text::Lang;
    use crate::users::Role;

    fn shown(community: Option<CommunityView>, made: Option<Made<'_>>) -> String {
        let caller = caller(Some(Role::Owner));
        let page = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let me = Me { id: String::new(), name: "<b>garden".to_owned(), version: String::new(), addresses: Vec::new(), epoch: 1 };
        let lan = LanView { enabled: true, problem: None, seen: Vec::new() };
        let view = ClusterView { me, community, lan, ..ClusterView::default() };
        body(&page, &view, made, Some("<no>")).into_string()
    }

    fn community(can_invite: bool, door: Door) -> Option<CommunityView> {
        Some(CommunityView { id: String::new(), name: "<i>Home".to_owned(), can_invite, founder: can_invite, removed: Vec::new(), door })
    }

    #[test]
    fn why_joining_fails_is_shown_with_what_where_and_the_mend_in_each_language() {
        let caller = caller(Some(Role::Owner));
        let failure = |n: u8| crate::net::JoinFailure {
            reason: crate::net::JoinProblem::Timeout,
            target: format!("node {n} at 10.0.0.{n}:4747"),
            seen: format!("no answer within {n} s"),
            mend: "is the other node <b>switched on</b>?".to_owned(),
        };
        let joining = JoinState {
            what: "the community `Home` by token".to_owned(),
            attempts: 3,
            next_attempt_seconds: 8,
            retrying: true,
            failures: (1..=4).map(failure).collect(),
        };
        let pages = [Lang::En, Lang::Es, Lang::Ca].map(|lang| {
            let page = View { node: "garden", lang, caller: &caller, owned: true };
            let view = ClusterView { joining: Some(joining.clone()), ..ClusterView::default() };
            let html = body(&page, &view, None, None).into_string();
            for needed in [
                "10.0.0.1:4747",
                "no answer within 3 s",
                "&lt;b&gt;switched on",
                lang.cloud().seen,
                lang.cloud().next_try,
                lang.words().joining,
            ] {
                assert!(html.contains(needed), "{needed} in {html}");
            }
            assert!(!html.contains("10.0.0.4:4747"), "the last ones are enough");
            html
        });
        assert!(pages[0] != pages[1] && pages[1] != pages[2]);
    }

    #[test]
    fn who_is_outside_may_join_or_found_and_who_is_inside_lets_others_in() {
        let actions = |html: &str| -> Vec<String> {
            html.split("action=\"/microcloud/").skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(actions(&shown(None, None)), ["join", "found", "found", "rename"]);
        assert_eq!(actions(&shown(community(true, Door::Closed), None)), ["leave", "invite", "door", "rename"]);
        assert_eq!(actions(&shown(community(false, Door::Closed), None)), ["leave", "rename"]);
        let open = shown(community(true, Door::OpenFor { seconds: 3 }), None);
        assert!(open.contains("name=\"minutes\" value=\"0\""), "an open door is closed");
        assert_eq!(open.matches("<form").count(), open.matches("name=\"csrf\"").count());
        assert!(!open.contains("<i>") && !open.contains("<b>garden") && !open.contains("<no>"), "{open}");
    }

    #[test]
    fn who_may_invite_may_remove_others_and_names_are_escaped() {
        let caller = caller(Some(Role::Owner));
        let page = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let node = |name: &str, me| MemberView { id: "ab".repeat(32), name: name.to_owned(), me, removable: !me, ..MemberView::default() };
        let chief = MemberView { admin: true, removable: false, ..node("chief", false) };
        let helper = MemberView { admin: true, ..node("helper", false) };
        let gone = MemberView { state: Liveness::Down, ..node("<u>roof", false) };
        let members = [gone, node("garden", true), node("", false), chief, helper];
        let shown = |may| inside(&page, &community(may, Door::Closed).unwrap(), &members, None).into_string();
        let admin = shown(true);
        let count = |what: &str| admin.matches(&format!("action=\"/microcloud/{what}\"")).count();
        assert_eq!((count("revoke"), count("appoint"), count("dismiss")), (3, 2, 2), "all but this node, and admins");
        assert_eq!(count("replace"), 1, "only what is not here");
        assert!(admin.contains("&lt;u&gt;roof") && !admin.contains("<u>") && admin.contains("data-member=\"abababab\""));
        let other = shown(false);
        assert!(["revoke", "replace", "appoint", "dismiss"].iter().all(|what| !other.contains(&format!("/microcloud/{what}"))));
        let beside = CommunityView { founder: false, ..community(true, Door::Closed).unwrap() };
        let beside = inside(&page, &beside, &members, None).into_string();
        assert!(
            beside.contains("/microcloud/revoke") && !beside.contains("/microcloud/appoint") && !beside.contains("/microcloud/dismiss")
        );
    }

    #[test]
    fn what_was_made_is_shown_in_that_answer_alone() {
        let kit = shown(community(true, Door::Closed), Some(Made::Kit("cloudy1-kit-x")));
        assert!(kit.contains("<code id=\"made\">cloudy1-kit-x</code>") && kit.contains("recovery kit"), "{kit}");
        assert!(!shown(community(true, Door::Closed), None).contains("id=\"made\""));
    }
}
