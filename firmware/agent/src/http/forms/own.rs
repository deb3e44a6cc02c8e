//! Forms about apps of people's own.

use super::{Reader, to};
use crate::apps::typed;
use crate::http::own::{allow, compose_in, details_for, keep, remove};
use crate::http::pages::not_done;
use crate::http::pages::own::{self as page, Filled};
use crate::http::problem::Refusal;
use axum::extract::{Form as Fields, Path};
use axum::http::StatusCode;
use axum::response::Response;
use contract::apps::own::{Definition, Form, FormNetwork, Privilege};
use std::collections::{BTreeMap, BTreeSet};

type Said = BTreeMap<String, String>;

/// `GET /own-form`
pub async fn show_form(reader: Reader) -> Response {
    reader.page("/apps", None, &page::form(&reader.view(), &Filled::default(), None))
}

/// `GET /own-compose`
pub async fn show_compose(reader: Reader) -> Response {
    reader.page("/apps", None, &page::compose(&reader.view(), &Filled::default(), None))
}

/// `GET /own/NAME`
pub async fn show_one(reader: Reader, Path(name): Path<String>) -> Response {
    match details_for(&reader.app, &name, &reader.caller).await {
        Ok(details) => reader.page("/apps", None, &page::one(&reader.view(), &details, None)),
        Err(refusal) if refusal.status == StatusCode::FORBIDDEN => {
            reader.refused(&refusal, "/apps", &not_done(reader.lang, &refusal.said(reader.lang)))
        }
        Err(_) => reader.nothing(),
    }
}

/// `POST /own-form`
pub async fn save_form(reader: Reader, Fields(said): Fields<Said>) -> Response {
    let form = form(&said).map(|form| Definition { form: Some(form), ..head(&said) });
    let form = form.map_err(|why| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    save(&reader, &said, form, page::form).await
}

/// `POST /own-compose`
pub async fn save_compose(reader: Reader, Fields(said): Fields<Said>) -> Response {
    let mut said = said;
    let (file, blob) = (said.remove("file").filter(|file| !file.trim().is_empty()), field(&said, "blob").trim().to_owned());
    let came = match (file, blob.is_empty()) {
        (Some(_), false) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, reader.lang.own().file_or_blob)),
        (None, false) => compose_in(&reader.app, &blob).await.map(Some),
        (file, true) => Ok(file),
    };
    let definition = came.map(|came| {
        if let Some(text) = came {
            said.insert("compose".to_owned(), text);
        }
        // Browsers send CR LF, and the lines of what is wrong shall be those that were typed.
        let compose = field(&said, "compose").replace("\r\n", "\n");
        Definition { compose: Some(compose), ..head(&said) }
    });
    save(&reader, &said, definition, page::compose).await
}

type Page = fn(&super::View<'_>, &Filled, Option<&str>) -> maud::Markup;

async fn save(reader: &Reader, said: &Said, definition: Result<Definition, Refusal>, again: Page) -> Response {
    let name = field(said, "name").trim();
    let kept = match definition {
        Ok(definition) => keep(&reader.app, name, definition, said.contains_key("new"), &reader.caller).await,
        Err(refusal) => Err(refusal),
    };
    match kept {
        // What asks for nothing more is ready to be installed; the rest is shown to who may allow it.
        Ok(details) if details.view.asked.iter().all(|asked| asked.granted) && !details.view.installed => {
            to(&format!("/apps/{name}/install"))
        }
        Ok(details) if details.view.installed => to(&format!("/apps/{name}/update")),
        Ok(_) => to(&format!("/own/{name}")),
        Err(refusal) => reader.refused(&refusal, "/apps", &again(&reader.view(), &typed_again(said), Some(&refusal.said(reader.lang)))),
    }
}

/// `POST /own/NAME/remove`
pub async fn forget(reader: Reader, Path(name): Path<String>) -> Response {
    match remove(&reader.app, &name).await {
        Ok(()) => to("/apps"),
        Err(refusal) => show_again(&reader, &name, &refusal).await,
    }
}

/// `POST /own/NAME/grant`: what is ticked, and nothing else.
pub async fn grant(reader: Reader, Path(name): Path<String>, Fields(said): Fields<Said>) -> Response {
    let wanted = said.keys().filter_map(|field| field.strip_prefix("grant."));
    let grants: Result<BTreeSet<Privilege>, _> = wanted.map(str::parse).collect();
    let done = match grants {
        Ok(grants) => allow(&reader.app, &name, grants, &reader.caller).await,
        Err(error) => Err(Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())),
    };
    match done {
        Ok(_) => to(&format!("/own/{name}")),
        Err(refusal) => show_again(&reader, &name, &refusal).await,
    }
}

async fn show_again(reader: &Reader, name: &str, refusal: &Refusal) -> Response {
    match details_for(&reader.app, name, &reader.caller).await {
        Ok(details) => reader.refused(refusal, "/apps", &page::one(&reader.view(), &details, Some(&refusal.said(reader.lang)))),
        Err(_) => reader.nothing(),
    }
}

fn field<'a>(said: &'a Said, name: &str) -> &'a str {
    said.get(name).map(String::as_str).unwrap_or_default()
}

fn head(said: &Said) -> Definition {
    let line = |name: &str| field(said, name).trim().to_owned();
    Definition { title: line("title"), description: line("description"), ..Definition::default() }
}

fn lines<'a>(said: &'a Said, name: &str) -> impl Iterator<Item = &'a str> {
    field(said, name).lines().map(str::trim).filter(|line| !line.is_empty())
}

/// The form that was filled in.
fn form(said: &Said) -> Result<Form, String> {
    let word = |name: &str| Some(field(said, name).trim()).filter(|word| !word.is_empty());
    let number = |name: &str| match word(name) {
        None => Ok(None),
        Some(word) => word.parse::<u32>().map(Some).map_err(|_| format!("`{word}` is no whole number")),
    };
    let ports: Result<Vec<Vec<_>>, String> = lines(said, "ports").map(typed::port).collect();
    Ok(Form {
        image: field(said, "image").trim().to_owned(),
        entrypoint: lines(said, "entrypoint").map(str::to_owned).collect(),
        command: lines(said, "command").map(str::to_owned).collect(),
        ports: ports?.into_iter().flatten().collect(),
        environment: lines(said, "environment").map(typed::variable).collect(),
        volumes: lines(said, "volumes").map(typed::volume).collect::<Result<_, _>>()?,
        devices: lines(said, "devices").map(str::to_owned).collect(),
        capabilities: lines(said, "capabilities").map(str::to_owned).collect(),
        network: match field(said, "network") {
            "host" => FormNetwork::Host,
            "none" => FormNetwork::None,
            _ => FormNetwork::Own,
        },
        privileged: field(said, "privileged") == "yes",
        user: word("user").map(str::to_owned),
        memory_mb: number("memory-mb")?,
        cpu_percent: number("cpu-percent")?,
    })
}

/// What was typed, to be shown again.
fn typed_again(said: &Said) -> Filled {
    let text = |name: &str| field(said, name).to_owned();
    Filled {
        name: text("name"),
        saved: !said.contains_key("new"),
        title: text("title"),
        description: text("description"),
        compose: text("compose"),
        blob: text("blob"),
        image: text("image"),
        entrypoint: text("entrypoint"),
        command: text("command"),
        ports: text("ports"),
        environment: text("environment"),
        volumes: text("volumes"),
        devices: text("devices"),
        capabilities: text("capabilities"),
        network: text("network"),
        privileged: field(said, "privileged") == "yes",
        user: text("user"),
        memory_mb: text("memory-mb"),
        cpu_percent: text("cpu-percent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_filled_in_is_what_is_saved_and_shown_again() {
        let said: Said = [
            ("name", "web"),
            ("title", " Web "),
            ("image", "nginx:1"),
            ("ports", "8080:80 http\r\n53/udp\r\n"),
            ("environment", "A=a=b\r\nB\r\n"),
            ("volumes", "data:/data:ro"),
            ("devices", ""),
            ("network", "none"),
            ("memory-mb", "64"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let form = form(&said).unwrap();
        assert_eq!((form.ports.len(), form.network, form.memory_mb, form.privileged), (2, FormNetwork::None, Some(64), false));
        assert_eq!(form.environment, [("A".to_owned(), Some("a=b".to_owned())), ("B".to_owned(), None)].into());
        let definition = Definition { form: Some(form.clone()), ..head(&said) };
        assert_eq!(definition.title, "Web");
        let filled = Filled::of("web", &definition);
        let again = Said::from([
            ("ports".to_owned(), filled.ports),
            ("environment".to_owned(), filled.environment),
            ("volumes".to_owned(), filled.volumes),
        ]);
        let again = super::form(&again).unwrap();
        assert_eq!((again.ports, again.environment, again.volumes), (form.ports, form.environment, form.volumes));
        assert!(super::form(&[("ports".to_owned(), "x".to_owned())].into()).is_err());
        assert!(super::form(&[("memory-mb".to_owned(), "-1".to_owned())].into()).is_err());
    }
}
