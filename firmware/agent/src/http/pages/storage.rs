//! The page of disks: which there are, preparing one, moving apps' data there, taking it away.

use super::home::size;
use super::{View, not_done};
use crate::storage::{DiskState, DiskView};
use crate::text::Storage as Words;
use contract::storage::{DiskId, NAME_BYTES};
use maud::{Markup, html};
use std::collections::BTreeMap;

/// What the page shows.
pub struct Shown {
    /// The disks.
    pub disks: Vec<DiskView>,
    /// Apps whose data can be moved, with the job that is at work on each.
    pub apps: Vec<(String, Option<u64>)>,
    /// Those whose data lie on a disk.
    pub places: BTreeMap<String, DiskId>,
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown, wrong: Option<&str>) -> Markup {
    let words = view.lang.storage();
    let (own, others): (Vec<_>, Vec<_>) = shown.disks.iter().partition(|disk| disk.state == DiskState::System);
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @for disk in others.iter().filter(|disk| disk.state == DiskState::Missing) {
            section.wrong role="alert" {
                h2 { (words.missing) ": " (name(disk)) }
                p { (words.missing_why) " " (disk.apps.join(", ")) }
                @if let Some(id) = disk.id {
                    details {
                        summary { (words.forget) }
                        p { (words.forget_why) }
                        form method="post" action={ "/storage/" (id) "/forget" } { (view.csrf()) button.danger { (words.forget_now) } }
                    }
                }
            }
        }
        section.whole {
            h2 { (words.disks) }
            p { (words.why) }
            @if !others.iter().any(|disk| disk.state != DiskState::Missing) { p { (words.none) } }
            ul.nodes { @for disk in others.iter().filter(|disk| disk.state != DiskState::Missing) { (one(view, words, disk)) } }
            @for disk in own { p.quiet { (words.system) " " (model(disk)) } }
        }
        (apps(view, words, shown))
    }
}

fn name(disk: &DiskView) -> String {
    disk.name.clone().unwrap_or_else(|| model(disk))
}

fn model(disk: &DiskView) -> String {
    format!("{} ({}, {})", disk.model, disk.disk, size(disk.bytes))
}

fn one(view: &View<'_>, words: &Words, disk: &DiskView) -> Markup {
    let (class, how) = match disk.state {
        DiskState::Ready => ("ok", words.ready),
        DiskState::Free => ("none", words.free),
        DiskState::Strange => ("none", words.strange),
        DiskState::Coming => ("warn", words.coming),
        DiskState::Ejected => ("ok", words.ejected),
        DiskState::Wrong | DiskState::ReadOnly => ("bad", words.wrong),
        DiskState::Refused => ("none", words.refused),
        DiskState::System | DiskState::Missing => ("none", ""),
    };
    let named = |word: &str, what: &[String]| (!what.is_empty()).then(|| format!("{word}: {}", what.join(", ")));
    let facts = [
        // One without a name is called by its model.
        Some(model(disk)).filter(|model| *model != name(disk)),
        (!disk.serial.is_empty()).then(|| format!("{} {}", words.serial, disk.serial)),
        disk.free_bytes.map(|free| format!("{} {}", size(free), words.room)),
        named(words.apps, &disk.apps),
        named(words.holds, &disk.holds).filter(|_| disk.id.is_none()),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    html! {
        li data-disk=(name(disk)) {
            span.dot.(class) {}
            div.wide {
                strong { (name(disk)) } " " span.quiet { (how) }
                @if !facts.is_empty() { p.quiet { (facts.join(" · ")) } }
                @if let Some(wrong) = &disk.wrong { p.mend { (wrong) } }
                (buttons(view, words, disk))
            }
        }
    }
}

fn buttons(view: &View<'_>, words: &Words, disk: &DiskView) -> Markup {
    let to = |action: &str| format!("/storage/{}/{action}", disk.id.map(|id| id.to_string()).unwrap_or_default());
    html! {
        @match disk.state {
            DiskState::Ready | DiskState::ReadOnly => details { summary { (words.eject) } p { (words.eject_why) } (view.button(&to("eject"), words.eject_now)) },
            DiskState::Ejected => { p { (words.ejected_why) } (view.button(&to("use"), words.use_again)) },
            DiskState::Strange => details { summary { (words.use_it) } p { (words.use_why) } (view.button(&to("use"), words.use_now)) },
            DiskState::Wrong => {
                (view.button(&to("use"), words.try_again))
                details { summary { (words.repair) } p { (words.repair_why) } (view.button(&to("repair"), words.repair_now)) }
            },
            DiskState::Free => (prepare(view, words, disk)),
            DiskState::Coming | DiskState::Refused | DiskState::System | DiskState::Missing => {},
        }
        @if matches!(disk.state, DiskState::Strange) { (prepare(view, words, disk)) }
    }
}

fn prepare(view: &View<'_>, words: &Words, disk: &DiskView) -> Markup {
    html! {
        details {
            summary { (words.prepare) }
            p { (words.prepare_why) }
            form method="post" action="/storage/prepare" {
                (view.csrf())
                input type="hidden" name="disk" value=(disk.disk);
                input type="hidden" name="mark" value=(disk.mark);
                label { (words.call_it) input name="name" required maxlength=(NAME_BYTES) autocomplete="off" placeholder=(words.call_so); }
                label.tick { input name="erase" type="checkbox" value="yes" required; " " (words.erase) " " strong { (model(disk)) } }
                button.danger { (words.prepare_now) }
            }
        }
    }
}

/// Where apps keep their data.
fn apps(view: &View<'_>, words: &Words, shown: &Shown) -> Markup {
    let ready: Vec<&DiskView> = shown.disks.iter().filter(|disk| disk.state == DiskState::Ready).collect();
    let called = |id: &DiskId| shown.disks.iter().find(|disk| disk.id == Some(*id)).map_or_else(|| id.to_string(), name);
    html! {
        section.whole {
            h2 { (words.where_apps) }
            @if shown.apps.is_empty() { p { (words.no_apps) } } @else { p { (words.move_why) } }
            ul.nodes { @for (app, job) in &shown.apps {
                @let at = shown.places.get(app);
                li data-app=(app) { div.wide {
                    strong { (app) } " " span.quiet { @match at { Some(id) => (called(id)), None => (words.own_storage) } }
                    @if job.is_some() { p.quiet { (words.at_work) " " a href="/apps" { (words.see_jobs) } } }
                    @else { div.buttons {
                        @if at.is_some() { (go(view, app, None, words.to_own)) }
                        @for disk in ready.iter().filter(|disk| disk.id.as_ref() != at) {
                            (go(view, app, disk.id, &format!("{} {}", words.to_disk, name(disk))))
                        }
                    } }
                } }
            } }
        }
    }
}

fn go(view: &View<'_>, app: &str, to: Option<DiskId>, label: &str) -> Markup {
    html! {
        form.inline method="post" action="/storage/move" {
            (view.csrf())
            input type="hidden" name="app" value=(app);
            input type="hidden" name="to" value=(to.map(|id| id.to_string()).unwrap_or_default());
            button { (label) }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::text::Lang;
    use crate::users::Role;

    fn id(number: u128) -> DiskId {
        DiskId(contract::guid::Guid(number))
    }

    /// A disk of each kind.
    pub fn shown() -> Shown {
        let states = [DiskState::System, DiskState::Free, DiskState::Refused, DiskState::Strange, DiskState::Coming, DiskState::Ready];
        let more = [DiskState::Ejected, DiskState::Wrong, DiskState::Missing, DiskState::ReadOnly];
        let disk = |(number, state): (u128, DiskState)| DiskView {
            id: (!matches!(state, DiskState::System | DiskState::Free | DiskState::Refused)).then(|| id(number)),
            name: (number > 3).then(|| format!("<i>disk {number}")),
            state,
            model: "<b>stick".to_owned(),
            wrong: Some("<u>broken".to_owned()),
            ..DiskView::default()
        };
        Shown {
            disks: (1..).zip(states.into_iter().chain(more)).map(disk).collect(),
            apps: vec![("wiki".to_owned(), None), ("chat".to_owned(), Some(7)), ("mosquitto".to_owned(), None)],
            places: [("wiki".to_owned(), id(6)), ("chat".to_owned(), id(9))].into(),
        }
    }

    #[test]
    fn each_disk_has_what_can_be_done_with_it_and_nothing_of_it_is_html() {
        let caller = caller(Some(Role::Owner));
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let html = body(&view, &shown(), Some("<no>")).into_string();
        assert!(!html.contains("<i>") && !html.contains("<b>") && !html.contains("<u>") && !html.contains("<no>"));
        assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
        // What is free, and what another node prepared; never what the system stands on, or what is in use.
        assert_eq!(html.matches("/storage/prepare").count(), 2);
        // Taken away is also one that can only be read; forgotten, one that is missing.
        for (action, times) in [("eject", 2), ("use", 3), ("repair", 1), ("forget", 1)] {
            assert_eq!(html.matches(&format!("/{action}\"")).count(), times, "{action}");
        }
        // One goes back or nowhere, one waits for its job, one may go to the disk.
        assert_eq!(html.matches("/storage/move").count(), 2);
        assert!(html.contains("is missing") && html.contains("chat"));
    }
}
