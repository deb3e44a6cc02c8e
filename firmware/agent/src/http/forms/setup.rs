//! The steps by which a node is set up: what is shown of them, and answers. What they set is set by the forms of its own pages, which lead
//! back here.

use super::{Reader, html as answer_html, to};
use crate::http::pages::setup::{self as page, Shown, address};
use crate::http::problem::Refusal;
use crate::http::setup::{answer, look};
use crate::net::ClusterView;
use crate::settings::Desk;
use crate::setup::Step;
use axum::extract::{Form, Path};
use axum::response::Response;
use maud::Markup;
use serde::Deserialize;

/// Where setting up goes on.
pub const HERE: &str = "/setup";

/// `GET /setup`: leads to the step that comes next.
pub async fn go_on(reader: Reader) -> Response {
    match look(&reader.app).next {
        Step::Claim => to("/claim"),
        step => to(&address(step)),
    }
}

fn body(reader: &Reader, step: Step, view: Option<&ClusterView>, kit: Option<&str>, wrong: Option<&str>) -> Markup {
    let far = look(&reader.app);
    let zones = if step == Step::Place { Desk::zones() } else { Vec::new() };
    let (settled, settings) = (far.next != step, reader.app.settings().view());
    let shown = Shown { step, steps: far.steps, left: far.left, settled, view, kit, settings, zones: &zones };
    page::body(&reader.view(), &shown, wrong)
}

/// Whether what a step shows may change while nobody does anything here.
fn changes_by_itself(step: Step, view: Option<&ClusterView>) -> bool {
    step == Step::Microcloud && view.is_some_and(|view| view.community.is_none())
}

fn shown(reader: &Reader, step: Step) -> Response {
    let view = reader.app.view();
    let fresh = changes_by_itself(step, view.as_ref()).then(|| format!("{}/body", address(step)));
    reader.page(HERE, fresh.as_deref(), &body(reader, step, view.as_ref(), None, None))
}

/// `GET /setup/STEP`
pub async fn show(reader: Reader, Path(step): Path<String>) -> Response {
    Step::of(&step).map_or_else(|| reader.nothing(), |step| shown(&reader, step))
}

/// `GET /setup/STEP/body`: while it joins or asks, and once it is in, the page looks by itself.
pub async fn show_body(reader: Reader, Path(step): Path<String>) -> Response {
    match Step::of(&step) {
        Some(step) => answer_html(body(&reader, step, reader.app.view().as_ref(), None, None)),
        None => reader.nothing(),
    }
}

/// The recovery kit of what was just founded, in this one answer, which no browser keeps (`Cache-Control: no-store`).
pub(super) fn founded(reader: &Reader, kit: &str) -> Response {
    reader.page(HERE, None, &body(reader, Step::Kit, reader.app.view().as_ref(), Some(kit), None))
}

/// A step whose form came to nothing.
pub(super) fn refused(reader: &Reader, step: Step, refusal: &Refusal) -> Response {
    let body = body(reader, step, reader.app.view().as_ref(), None, Some(&refusal.said(reader.lang)));
    reader.refused(refusal, HERE, &body)
}

/// A step whose form did what it is for.
pub(super) async fn stepped(reader: &Reader, step: Step) -> Response {
    match answer(&reader.app, step.word(), false).await {
        Ok(_) => to(HERE),
        Err(refusal) => refused(reader, step, &refusal),
    }
}

/// The fields of its own forms.
#[derive(Deserialize)]
pub struct Fields {
    /// It is left for later.
    later: Option<String>,
    /// Of a box, which says something only where it is ticked.
    kept: Option<String>,
}

/// `POST /setup/STEP`
pub async fn act(reader: Reader, Path(step): Path<String>, Form(fields): Form<Fields>) -> Response {
    let Some(step) = Step::of(&step).filter(|step| *step != Step::Claim) else { return reader.nothing() };
    // Nobody has kept a kit who did not say so.
    let later = fields.later.is_some() || (step == Step::Kit && fields.kept.is_none());
    match (answer(&reader.app, step.word(), later).await, step) {
        (Ok(_), Step::Done) => to(if later { "/" } else { "/apps" }),
        (Ok(_), _) => to(HERE),
        (Err(refusal), _) => refused(&reader, step, &refusal),
    }
}
