//! The page of settings: time, network, Wi-Fi, ssh keys, power.

use super::{View, not_done, page};
use crate::settings::SettingsView;
use crate::text::Settings as Words;
use crate::units::Power;
use maud::{Markup, html};

/// All of it.
pub fn body(view: &View<'_>, settings: &SettingsView, zones: &[String], wrong: Option<&str>) -> Markup {
    let words = view.lang.settings();
    html! {
        @if let Some(wrong) = wrong { (not_done(view.lang, wrong)) }
        @if let Some(seconds) = settings.trial_seconds { (trial(view, words, seconds)) }
        @if settings.taken_back { section.wrong role="alert" { p { (words.taken_back) } } }
        (time(view, settings, zones, &html! {}))
        (network(view, words, settings))
        (wifi(view, words, settings))
        section {
            h2 { (words.keys) }
            @if settings.ssh_keys.is_empty() { p { (words.no_keys) } }
            ul { @for key in &settings.ssh_keys { li { (key) } } }
            p.quiet { (words.keys_how) }
        }
        section { h2 { (view.lang.storage().storage) } p { (view.lang.storage().more) } p { a.button href="/storage" { (view.lang.storage().storage) } } }
        (power(view, words))
    }
}

/// A change that could have cut the node off.
fn trial(view: &View<'_>, words: &Words, seconds: u64) -> Markup {
    html! {
        section.whole role="alert" {
            h2 { (words.trial) }
            p { (words.trial_why) " " (seconds / 60) ":" (format!("{:02}", seconds % 60)) }
            (view.button("/settings/keep", words.keep))
        }
    }
}

/// Where a value came from, where that is known.
fn source(settings: &SettingsView, key: &str, words: &Words) -> Markup {
    html! { @if let Some(source) = settings.sources.get(key) { p.quiet { (words.from) " " (source) } } }
}

/// Where the node is. What the form carries `more` says where it leads back.
pub(super) fn time(view: &View<'_>, settings: &SettingsView, zones: &[String], more: &Markup) -> Markup {
    let words = view.lang.settings();
    html! {
        section {
            h2 { (words.time) }
            form method="post" action="/settings/time" {
                (view.csrf()) (more)
                label { (words.zone) input #zone name="time-zone" list="zones" required maxlength="60" value=(settings.time_zone.as_deref().unwrap_or_default()) placeholder="Europe/Madrid"; }
                datalist #zones { @for zone in zones { option value=(zone) {} } }
                button.main { (words.change) }
            }
            (source(settings, "time-zone", words))
            script src="/zone.js" defer {}
        }
    }
}

fn network(view: &View<'_>, words: &Words, settings: &SettingsView) -> Markup {
    html! {
        section {
            h2 { (words.network) }
            p { (words.network_why) }
            form method="post" action="/settings/network" {
                (view.csrf())
                label { (words.address) input name="address" maxlength="60" value=(settings.address.as_deref().unwrap_or_default()) placeholder="192.168.1.20/24"; }
                label { (words.gateway) input name="gateway" maxlength="60" value=(settings.gateway.as_deref().unwrap_or_default()) placeholder="192.168.1.1"; }
                label { (words.dns) input name="dns" maxlength="200" value=(settings.dns.join(" ")) placeholder="9.9.9.9"; }
                button.main { (words.change) }
            }
            (source(settings, "network", words))
        }
    }
}

fn wifi(view: &View<'_>, words: &Words, settings: &SettingsView) -> Markup {
    html! {
        section {
            h2 { (words.wifi) }
            form method="post" action="/settings/wifi" {
                (view.csrf())
                label { (words.ssid) input name="ssid" required maxlength="32" autocapitalize="none" value=(settings.wifi.as_deref().unwrap_or_default()); }
                label { (words.passphrase) input name="passphrase" type="password" maxlength="64" autocomplete="new-password"
                    placeholder=[settings.wifi_key.then_some(words.unchanged)]; }
                label { (words.country) input name="country" required minlength="2" maxlength="2" autocapitalize="characters" value=(settings.country.as_deref().unwrap_or_default()) placeholder="ES"; }
                button.main { (words.change) }
            }
            @if settings.wifi.is_some() { (view.button("/settings/no-wifi", words.no_wifi)) }
            (source(settings, "wifi", words))
        }
    }
}

fn power(view: &View<'_>, words: &Words) -> Markup {
    html! {
        section {
            h2 { (words.power) }
            p { (words.power_why) }
            details { summary { (words.restart) } p { (words.restart_why) } (view.button("/settings/restart", words.restart_now)) }
            details {
                summary { (words.reset) }
                p { (words.reset_why) }
                form method="post" action="/settings/reset" {
                    (view.csrf())
                    label { (words.reset_name) " " strong { (view.node) } input name="name" required maxlength="63" autocomplete="off" autocapitalize="none"; }
                    button.danger { (words.reset_now) }
                }
            }
            details { summary { (words.off) } p { (words.off_why) } (view.button("/settings/off", words.off_now)) }
        }
    }
}

/// What is asked where nobody has said the time zone yet.
pub fn where_is_it(view: &View<'_>) -> Markup {
    let words = view.lang.settings();
    html! { section { h2 { (words.where_is_it) } p { (words.where_why) } p { a.button href="/settings" { (words.say_zone) } } } }
}

/// What is shown while the machine stops.
pub fn going(view: &View<'_>, power: Power) -> Markup {
    let words = view.lang.settings();
    let (title, why) = match power {
        Power::Restart => (words.restarting, words.restarting_why),
        Power::Off => (words.stopping, words.off_why),
    };
    page(
        view,
        "/settings",
        None,
        &html! { section.whole role="status" { h2 { (title) } p { (why) } p { a href="/" { (view.lang.people().home) } } } },
    )
}

#[cfg(test)]
pub mod tests {
    use super::super::tests::caller;
    use super::*;
    use crate::text::Lang;
    use crate::users::Role;

    pub fn shown() -> SettingsView {
        SettingsView {
            wifi: Some("<i>Casa".to_owned()),
            wifi_key: true,
            ssh_keys: vec!["<b>ana (ssh-ed25519)".to_owned()],
            sources: [("wifi".to_owned(), "<u>cloudy.toml".to_owned())].into(),
            trial_seconds: Some(65),
            taken_back: true,
            ..SettingsView::default()
        }
    }

    #[test]
    fn each_form_says_whose_it_is_and_what_was_set_is_escaped() {
        let caller = caller(Some(Role::Owner));
        let view = View { node: "garden", lang: Lang::En, caller: &caller, owned: true };
        let html = body(&view, &shown(), &["Europe/Madrid".to_owned()], Some("<no>")).into_string();
        assert_eq!(html.matches("<form").count(), html.matches("name=\"csrf\"").count());
        assert!(html.contains("1:05") && html.contains("<option value=\"Europe/Madrid\">"), "{html}");
        assert!(!html.contains("<i>") && !html.contains("<b>") && !html.contains("<u>") && !html.contains("<no>"));
        let none = body(&view, &SettingsView::default(), &[], None).into_string();
        assert!(!none.contains("/settings/keep") && !none.contains("/settings/no-wifi"));
        assert!(going(&view, Power::Off).into_string().contains("garden"));
    }
}
