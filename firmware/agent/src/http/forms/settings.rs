//! Forms about the node's settings and its power.

use super::setup::{refused as steps_refused, stepped};
use super::{Reader, html, to};
use crate::http::pages::settings as page;
use crate::http::settings::{alter, erase, hold, switch};
use crate::settings::{Desk, NetworkWish, WifiWish, Wish};
use crate::setup::Step;
use crate::units::Power;
use axum::extract::{Form, Path};
use axum::response::Response;
use serde::Deserialize;

const HERE: &str = "/settings";

/// The fields of all its forms.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Fields {
    time_zone: String,
    address: String,
    gateway: String,
    dns: String,
    name: String,
    ssid: String,
    passphrase: String,
    country: String,
    /// Said by the steps of setting up, which it leads back to.
    setup: Option<String>,
}

fn body(reader: &Reader, wrong: Option<&str>) -> maud::Markup {
    page::body(&reader.view(), &reader.app.settings().view(), &Desk::zones(), wrong)
}

/// `GET /settings`
pub async fn show(reader: Reader) -> Response {
    reader.page(HERE, None, &body(&reader, None))
}

/// `POST /settings/ACTION`
pub async fn act(reader: Reader, Path(action): Path<String>, Form(fields): Form<Fields>) -> Response {
    let app = &reader.app;
    let (name, setup) = (fields.name.clone(), fields.setup.is_some());
    let done = match (action.as_str(), wish(&action, fields)) {
        (_, Some(wish)) => alter(app, wish).await.map(drop),
        ("keep", _) => hold(app).await.map(drop),
        ("reset", _) => erase(app, &name).await,
        ("restart", _) => switch(app, Power::Restart).await,
        ("off", _) => switch(app, Power::Off).await,
        _ => return reader.nothing(),
    };
    match (done, action.as_str()) {
        (Ok(()), "reset" | "restart") => html(page::going(&reader.view(), Power::Restart)),
        (Ok(()), "off") => html(page::going(&reader.view(), Power::Off)),
        (Ok(()), _) if setup => stepped(&reader, Step::Place).await,
        (Err(refusal), _) if setup => steps_refused(&reader, Step::Place, &refusal),
        (Ok(()), _) => to(HERE),
        (Err(refusal), _) => reader.refused(&refusal, HERE, &body(&reader, Some(&refusal.said(reader.lang)))),
    }
}

/// What a form wishes; an empty field says nothing.
fn wish(action: &str, fields: Fields) -> Option<Wish> {
    let said = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let nothing = Wish::default();
    Some(match action {
        "time" => Wish { time_zone: said(fields.time_zone), ..nothing },
        "network" => {
            let dns = fields.dns.split([' ', ',']).filter(|one| !one.is_empty()).map(str::to_owned).collect();
            let network = NetworkWish { address: said(fields.address), gateway: said(fields.gateway), dns };
            Wish { network: Some(network), ..nothing }
        }
        "wifi" => {
            // Blanks belong to a key.
            let passphrase = Some(fields.passphrase).filter(|text| !text.is_empty());
            let wifi = WifiWish { ssid: fields.ssid, passphrase, country: fields.country.trim().to_uppercase() };
            Wish { wifi: Some(wifi), ..nothing }
        }
        "no-wifi" => Wish { no_wifi: true, ..nothing },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_say_what_is_wished_and_empty_ones_nothing() {
        let text = |text: &str| text.to_owned();
        let fields = || Fields {
            time_zone: text("Europe/Madrid "),
            address: text(" 10.0.0.5/24"),
            dns: text("9.9.9.9, 1.1.1.1"),
            ssid: text("Casa"),
            passphrase: text(" with blanks "),
            country: text("es"),
            ..Fields::default()
        };
        assert_eq!(wish("time", fields()).unwrap().time_zone.as_deref(), Some("Europe/Madrid"));
        let network = wish("network", fields()).unwrap().network.unwrap();
        assert_eq!((network.address.as_deref(), network.gateway, network.dns.len()), (Some("10.0.0.5/24"), None, 2));
        let wifi = wish("wifi", fields()).unwrap().wifi.unwrap();
        assert_eq!((wifi.passphrase.as_deref(), wifi.country.as_str()), (Some(" with blanks "), "ES"));
        assert_eq!(wish("wifi", Fields { passphrase: String::new(), ..fields() }).unwrap().wifi.unwrap().passphrase, None);
        assert!(wish("no-wifi", fields()).unwrap().no_wifi && wish("erase", fields()).is_none());
    }
}
