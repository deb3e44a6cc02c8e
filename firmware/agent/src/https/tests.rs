//! Certificates against the verification that rustls does for a browser's part (webpki): names, addresses, constraints, clocks.

use super::*;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, RootCertStore};

const NOW: i64 = 1_795_800_000;

fn at(days: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap() + Duration::days(days)
}

/// A client that trusts this root alone.
pub fn client(root: &[u8]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from(root.to_vec())).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_protocol_versions(&[&TLS13]).unwrap();
    config.with_root_certificates(store).with_no_client_auth()
}

/// Whether who trusts `root` believes that this chain is `name`'s, at that moment.
fn believed(root: &Root, chain: &[CertificateDer<'_>], name: &str, when: OffsetDateTime) -> bool {
    let mut store = RootCertStore::empty();
    store.add(CertificateDer::from(root.der().unwrap())).unwrap();
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::new(ring::default_provider())).build().unwrap();
    let when = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(when.unix_timestamp()).unwrap()));
    let (leaf, more) = chain.split_first().unwrap();
    verifier.verify_server_cert(leaf, more, &ServerName::try_from(name.to_owned()).unwrap(), &[], when).is_ok()
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|ip| ip.parse().unwrap()).collect()
}

#[test]
fn the_root_vouches_for_local_names_and_private_addresses_and_for_nothing_else() {
    let root = Root::make("garden").unwrap();
    let here = addresses(&["10.1.2.3", "192.168.7.9", "fd00::7", "203.0.113.9", "2001:db8::1"]);
    let leaf = root.sign("garden", &here, at(0)).unwrap();
    for name in ["garden.local", "garden.lan", "garden.home.arpa", "10.1.2.3", "192.168.7.9", "fd00::7", "127.0.0.1"] {
        assert!(believed(&root, &leaf.chain, name, at(0)), "{name}");
    }
    for name in ["garden", "203.0.113.9", "2001:db8::1", "10.1.2.4", "other.local", "garden.example.org"] {
        assert!(!believed(&root, &leaf.chain, name, at(0)), "{name}");
    }
    // Another node's root vouches for nothing here.
    assert!(!believed(&Root::make("garden").unwrap(), &leaf.chain, "garden.local", at(0)));
    // Who has the root's key can sign what they like: nobody believes it.
    for name in ["example.org", "www.garden.example.org", "garden", "shop.garden"] {
        let stolen = root.signed_for_test(name, at(0));
        assert!(!believed(&root, &stolen, name, at(0)), "{name}");
    }
    assert!(believed(&root, &root.signed_for_test("roof.local", at(0)), "roof.local", at(0)), "the test signs well");
    for (moment, good) in [(-31, false), (-29, true), (700, true), (800, false)] {
        assert_eq!(believed(&root, &leaf.chain, "garden.local", at(moment)), good, "after {moment} days");
    }
}

#[test]
fn a_name_that_no_certificate_can_have_is_left_out() {
    let root = Root::make("l'hort").unwrap();
    let leaf = root.sign("l'hort", &addresses(&["10.0.0.9"]), at(0)).unwrap();
    assert!(believed(&root, &leaf.chain, "10.0.0.9", at(0)));
}

#[test]
fn addresses_are_private_or_they_are_not() {
    for (ip, private) in [
        ("10.255.255.255", true),
        ("11.0.0.0", false),
        ("172.15.255.255", false),
        ("172.16.0.1", true),
        ("172.32.0.1", false),
        ("169.254.1.1", true),
        ("fdff::1", true),
        ("fe80::1", true),
        ("fec0::1", false),
        ("::1", false),
        ("0.0.0.0", false),
    ] {
        assert_eq!(cert::is_private(ip.parse().unwrap()), private, "{ip}");
    }
}

#[test]
fn the_root_stays_over_restarts_and_is_another_with_another_name() {
    let data = tempfile::tempdir().unwrap();
    let first = Https::open(data.path(), "garden").unwrap();
    first.choose(Choice { only: true }).unwrap();
    let again = Https::open(data.path(), "garden").unwrap();
    assert_eq!((again.view().fingerprint, again.is_only()), (first.view().fingerprint, true));
    assert_ne!(Https::open(data.path(), "roof").unwrap().view().fingerprint, again.view().fingerprint);
    assert_eq!(
        Https::open(data.path(), "Garden.example").unwrap().view().fingerprint,
        again.view().fingerprint,
        "its name is its own again"
    );
    let file = data.path().join(format!("https/root-{}.json", Root::file_name("roof")));
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&file).unwrap()) & 0o777, 0o600);
    std::fs::write(&file, "{").unwrap();
    assert!(Https::open(data.path(), "roof").unwrap().view().root.starts_with("-----BEGIN CERTIFICATE-----\nMII"));
}

#[test]
fn another_address_and_a_clock_that_was_set_want_another_certificate() {
    let (one, two) = (addresses(&["10.0.0.1"]), addresses(&["10.0.0.2"]));
    for (made, now, stale) in [
        ((&one, 0), (&one, 29), false),
        ((&one, 0), (&two, 0), true),
        ((&one, 0), (&one, 31), true),
        ((&one, 400), (&one, 0), true),
        ((&one, 0), (&one, -1), false),
    ] {
        assert_eq!(is_stale((made.0, at(made.1)), (now.0, at(now.1))), stale, "{made:?} {now:?}");
    }
    let data = tempfile::tempdir().unwrap();
    let https = Https::open(data.path(), "garden").unwrap();
    https.refresh(two.clone(), at(0)).unwrap();
    let chain = lock(&https.now).key.cert.clone();
    assert!(believed(&https.root, &chain, "10.0.0.2", at(1)));
    https.refresh(two, at(1)).unwrap();
    assert_eq!(lock(&https.now).key.cert, chain, "nothing changed");
}

#[test]
fn a_browser_is_led_to_where_it_called_the_node() {
    let view = |port| HttpsView { port, fingerprint: String::new(), root: String::new(), only: true };
    assert_eq!(view(443).at("garden.local"), "https://garden.local");
    for (host, to) in [
        ("10.0.0.1", "https://10.0.0.1:8443"),
        ("garden", "https://garden.local:8443"),
        ("localhost", "https://localhost:8443"),
        ("[fd00::1]", "https://[fd00::1]:8443"),
    ] {
        assert_eq!(view(8443).at(host), to);
    }
}
