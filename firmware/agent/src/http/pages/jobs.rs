//! The page of jobs: what is being done with apps and what was, the newest first, and the way out of what failed.

use super::View;
use super::home::{duration, size};
use crate::apps::{JobAsked, JobKind as Kind, JobView};
use crate::http::paging::Paging;
use crate::text::Lang;
use crate::users::Operation;
use maud::{Markup, html};
use std::collections::{BTreeMap, BTreeSet};

/// What the page shows.
pub struct Shown {
    /// The jobs, the newest first.
    pub jobs: Vec<JobView>,
    /// For the page after this.
    pub next: Option<String>,
    /// Which page this is.
    pub asked: Paging,
    /// The newest job of each app.
    pub latest: BTreeMap<String, u64>,
    /// The apps that are installed.
    pub installed: BTreeSet<String>,
    /// Seconds since 1970 by this node's clock.
    pub now: u64,
}

/// How a person goes on after a job that did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// The same once more, by this button's form.
    Again(String),
    /// The page where it is asked for once more.
    Ask(String),
}

/// The way out of a job: none where it came about or a newer one of its app says how that is now, and where there is nothing any more
/// to do it with.
fn way_out(job: &JobView, latest: bool, installed: bool) -> Option<Way> {
    if !latest || !matches!(job.state.as_str(), "undone" | "failed") {
        return None;
    }
    let at = |action: &str| format!("/apps/{}/{action}", job.app);
    Some(match job.kind {
        // What was typed into their forms is not kept.
        Kind::Install if !installed => Way::Ask(at("install")),
        Kind::Restore => Way::Ask("/backups".to_owned()),
        Kind::Adopt => Way::Ask("/by-hand".to_owned()),
        Kind::Move => Way::Ask("/storage".to_owned()),
        _ if !installed => return None,
        Kind::Install | Kind::Change => Way::Ask(format!("/apps/{}", job.app)),
        Kind::Remove { .. } => Way::Ask(at("remove")),
        Kind::Start => Way::Again(at("start")),
        Kind::Stop => Way::Again(at("stop")),
        Kind::Restart => Way::Again(at("restart")),
        Kind::Backup { .. } => Way::Again(at("backup")),
    })
}

/// Who may go that way: moving data and what comes from elsewhere are owners'.
fn may(view: &View<'_>, way: &Way) -> bool {
    let owners = matches!(way, Way::Ask(page) if page == "/storage" || page == "/backups");
    view.caller.may(if owners { Operation::Own } else { Operation::Operate })
}

/// The address of a page of jobs.
pub fn address(path: &str, asked: &Paging) -> String {
    let limit = asked.limit.map(|limit| ("limit", limit.to_string()));
    let after = (!asked.after.is_empty()).then(|| ("after", asked.after.clone()));
    let fields: Vec<(&str, String)> = limit.into_iter().chain(after).collect();
    let query = serde_urlencoded::to_string(fields).unwrap_or_default();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

/// All of it.
pub fn body(view: &View<'_>, shown: &Shown) -> Markup {
    let words = view.lang.jobs();
    let first = shown.asked.after.is_empty();
    html! {
        section.whole aria-live="polite" {
            h2 { (words.jobs) }
            p.quiet { (words.why) }
            noscript { p { a href=(address("/jobs", &shown.asked)) { (words.reload) } } }
            @if shown.jobs.is_empty() {
                @if first { p { (words.none) } p { a.button href="/apps" { (view.lang.people().apps) } } } @else { p { (words.no_more) } }
            }
            ul.nodes { @for job in &shown.jobs { (row(job, view.lang, &more(view, job, shown))) } }
            @if !first { p { a href="/jobs" { (words.newest) } } }
            @if let Some(next) = &shown.next {
                p { a rel="next" href=(address("/jobs", &Paging { after: next.clone(), ..shown.asked.clone() })) { (words.older) } }
            }
        }
    }
}

/// What this page says of a job beyond how it is: by whom and when, what its end means, and what can be done.
fn more(view: &View<'_>, job: &JobView, shown: &Shown) -> Markup {
    let (words, installed) = (view.lang.jobs(), shown.installed.contains(&job.app));
    let way = way_out(job, shown.latest.get(&job.app) == Some(&job.id), installed).filter(|way| may(view, way));
    let when = when(&job.asked, shown.now, view.lang);
    html! {
        @if job.asked.by.is_some() || !when.is_empty() {
            p.quiet { @if let Some(by) = &job.asked.by { (words.asked_by) " " (by) @if !when.is_empty() { ", " } } (when) }
        }
        @match job.state.as_str() {
            "undone" => p.mend { (words.undone_means) },
            "failed" => p.mend { (words.failed_means) },
            _ => {}
        }
        @if way.is_some() || installed {
            div.buttons {
                @match &way {
                    Some(Way::Again(action)) => form.inline method="post" action=(action) {
                        (view.csrf())
                        @if let Kind::Backup { shared: true } = job.kind { input type="hidden" name="shared" value="true"; }
                        button { (words.again) }
                    },
                    Some(Way::Ask(page)) => a.button href=(page) { (words.again_form) },
                    None => {},
                }
                @if installed { a.button href=(format!("/apps/{}", job.app)) { (words.app) } }
            }
        }
    }
}

/// How long ago it was begun, and how long it took. A clock that was set meanwhile says nothing of it.
fn when(asked: &JobAsked, now: u64, lang: Lang) -> String {
    let span = |from: u64, to: u64| (to >= from).then(|| to - from);
    let ago = |seconds| if seconds < 60 { lang.jobs().now.to_owned() } else { lang.ago(&duration(seconds, lang.words())) };
    let took = |seconds| if seconds < 60 { format!("{seconds} s") } else { duration(seconds, lang.words()) };
    let begun = asked.begun.and_then(|begun| span(begun, now)).map(ago);
    let lasted = asked.begun.zip(asked.ended).and_then(|(begun, ended)| span(begun, ended));
    let lasted = lasted.map(|seconds| format!("{} {}", lang.jobs().took, took(seconds)));
    begun.into_iter().chain(lasted).collect::<Vec<_>>().join(", ")
}

/// A job in a list: what it is for, how it is, how far, why it did not come about, and what was said then.
pub fn row(job: &JobView, lang: Lang, more: &Markup) -> Markup {
    let words = lang.store();
    let kind = match job.kind {
        Kind::Install => words.job_install,
        Kind::Change => words.job_change,
        Kind::Start => words.job_start,
        Kind::Stop => words.job_stop,
        Kind::Restart => words.job_restart,
        Kind::Remove { .. } => words.job_remove,
        Kind::Backup { .. } => lang.backups().job_backup,
        Kind::Restore => lang.backups().job_restore,
        Kind::Adopt => lang.by_hand().job_adopt,
        Kind::Move => lang.storage().job_move,
    };
    let (class, state) = match job.state.as_str() {
        "queued" => ("none", words.queued),
        "running" => ("warn", words.running),
        "undoing" => ("warn", words.undoing),
        "done" => ("ok", words.done),
        "undone" => ("bad", words.undone),
        _ => ("bad", words.failed),
    };
    html! {
        li data-job=(job.id) {
            span.dot.(class) {}
            div.wide {
                strong { (kind) ": " (job.app) } " " span.quiet { (state) @if !job.over { ", " (job.done) "/" (job.steps) } }
                @if !job.over {
                    @match &job.progress {
                        Some(progress) if progress.total > 0 => progress aria-label=(kind) max=(progress.total) value=(progress.done) {},
                        Some(progress) => { progress aria-label=(kind) {} " " span.quiet { (size(progress.done)) } },
                        None => progress aria-label=(kind) max=(job.steps.max(1)) value=(job.done) {},
                    }
                }
                @if let Some(waits) = &job.waits { p.quiet { (waits) } }
                @if let Some(reason) = &job.reason { p { (reason) } }
                @if job.backup.is_some() { p { a href="/backups" { (lang.backups().all) } } }
                @if !job.output.is_empty() { details { summary { (words.said) } pre { (job.output) } } }
                (more)
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::http::jobs::tests::job;
    use crate::users::Role;

    fn ended(id: u64, app: &str, kind: Kind, state: &str) -> JobView {
        JobView { app: app.to_owned(), kind, state: state.to_owned(), over: true, ..job(id, 0) }
    }

    /// One that runs, and one of each kind that failed, each of an app of its own.
    pub fn shown() -> Shown {
        let backup = Kind::Backup { shared: true };
        let kinds = [Kind::Install, Kind::Change, Kind::Start, Kind::Stop, Kind::Restart, backup, Kind::Restore, Kind::Adopt, Kind::Move];
        let failed = (1..).zip(kinds).map(|(id, kind)| ended(id, "wiki", kind, "failed"));
        let jobs: Vec<JobView> = std::iter::once(JobView { app: "other".to_owned(), ..job(70, 1) }).chain(failed).collect();
        // Each is the newest where it stands alone.
        let latest = [("wiki".to_owned(), 3), ("other".to_owned(), 70)].into();
        Shown { jobs, next: Some("1".to_owned()), asked: Paging::default(), latest, installed: ["wiki".to_owned()].into(), now: 0 }
    }

    fn html(role: Role, shown: &Shown) -> String {
        let caller = caller(Some(role));
        body(&View { node: "garden", lang: Lang::En, caller: &caller, owned: true }, shown).into_string()
    }

    #[test]
    fn what_failed_last_has_a_way_out_and_nothing_else_has() {
        use Way::{Again, Ask};
        let again = |action: &str| Some(Again(format!("/apps/wiki/{action}")));
        let ask = |page: &str| Some(Ask(page.to_owned()));
        let (backup, remove) = (Kind::Backup { shared: false }, Kind::Remove { with_data: true });
        let table = [
            (Kind::Install, ask("/apps/wiki"), ask("/apps/wiki/install")),
            (Kind::Change, ask("/apps/wiki"), None),
            (Kind::Start, again("start"), None),
            (Kind::Stop, again("stop"), None),
            (Kind::Restart, again("restart"), None),
            (Kind::Remove { with_data: true }, ask("/apps/wiki/remove"), None),
            (backup, again("backup"), None),
            (Kind::Restore, ask("/backups"), ask("/backups")),
            (Kind::Adopt, ask("/by-hand"), ask("/by-hand")),
            (Kind::Move, ask("/storage"), ask("/storage")),
        ];
        for (kind, installed, not) in table {
            for state in ["undone", "failed"] {
                let job = ended(1, "wiki", kind, state);
                assert_eq!((way_out(&job, true, true), way_out(&job, true, false)), (installed.clone(), not.clone()), "{kind:?}");
                assert_eq!(way_out(&job, false, true), None, "a newer one says how it is now");
            }
            for state in ["queued", "running", "undoing", "done"] {
                assert_eq!(way_out(&ended(1, "wiki", kind, state), true, true), None, "{kind:?} {state}");
            }
        }
        assert!(!matches!(way_out(&ended(1, "wiki", remove, "failed"), true, true), Some(Again(_))), "data go by no button of a list");
    }

    #[test]
    fn a_failure_is_told_with_who_when_why_and_what_was_said_and_all_of_it_is_escaped() {
        let asked = JobAsked { by: Some("<b>ana".to_owned()), begun: Some(1_000), ended: Some(1_065) };
        let (reason, output) = (Some("no room <i>left".to_owned()), "</pre><script>".to_owned());
        let failed = JobView { reason, output, asked, ..ended(9, "wiki", Kind::Start, "undone") };
        let latest = [("wiki".to_owned(), 9)].into();
        let all = Shown { jobs: vec![failed], latest, now: 1_000 + 7_260, next: None, ..shown() };
        let text = html(Role::Operator, &all);
        for needed in [
            "&lt;b&gt;ana",
            "2 h 1 min ago, took 1 min",
            "no room &lt;i&gt;left",
            "&lt;/pre&gt;",
            "action=\"/apps/wiki/start\"",
            "href=\"/apps/wiki\"",
            "All is as it was before",
        ] {
            assert!(text.contains(needed), "{needed}: {text}");
        }
        assert!(!text.contains("<script>") && !text.contains("rel=\"next\"") && !text.contains("The newest"));
        assert_eq!(text.matches("<form").count(), text.matches("name=\"csrf\"").count());
        let gone = Shown { installed: BTreeSet::new(), ..all };
        assert!(!html(Role::Operator, &gone).contains("<form") && !html(Role::Operator, &gone).contains("href=\"/apps/wiki\""));
    }

    #[test]
    fn a_page_leads_to_the_next_an_empty_one_teaches_and_without_scripts_it_is_looked_at_again() {
        let all = shown();
        let text = html(Role::Owner, &all);
        assert!(text.contains("<progress") && text.contains("rel=\"next\" href=\"/jobs?after=1\""), "{text}");
        assert!(text.contains("<noscript><p><a href=\"/jobs\">Look again"));
        let second = Shown { asked: Paging { limit: Some(5), after: "30".to_owned() }, ..all };
        let text = html(Role::Owner, &second);
        assert!(text.contains("href=\"/jobs?limit=5&amp;after=1\"") && text.contains(">The newest<"), "{text}");
        let empty = Shown { jobs: Vec::new(), next: None, asked: Paging::default(), ..second };
        assert!(html(Role::Owner, &empty).contains("Install one, and here you see how far it is"));
        assert!(
            html(Role::Owner, &Shown { asked: Paging { limit: None, after: "1".to_owned() }, ..empty }).contains("There are no older ones")
        );
    }

    #[test]
    fn a_clock_that_was_set_meanwhile_says_nothing() {
        let asked = |begun, ended| JobAsked { by: None, begun, ended };
        assert_eq!(when(&asked(Some(100), Some(130)), 110, Lang::Ca), "ara mateix, va tardar 30 s");
        assert_eq!(when(&asked(Some(100), Some(90)), 50, Lang::En), "");
        assert_eq!(when(&asked(None, Some(90)), 500, Lang::En), "");
        assert_eq!(when(&asked(Some(100), None), 100 + 86_400, Lang::Es), "hace 1 d 0 h");
    }
}
