//! Signed catalogs: what is signed is read back, what breaks a limit is neither signed nor read, and nothing that was changed passes.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

use std::sync::LazyLock;

use cluster::catalog::{
    Build, Catalog, Contents, Listed, MAX_APPS, MAX_CATALOG_BYTES, Mark, News, Words, Wrong, key_from_text, key_to_text, news,
};
use cluster::keys::{self, Key, Purpose};
use cluster::text::TextError;
use cluster::wire::{self, WireError};
use proptest::prelude::*;

const SEED: [u8; 32] = [7; 32];

fn words(text: &str) -> Words {
    Words { en: text.to_owned(), es: text.to_owned(), ca: text.to_owned() }
}

fn app(name: &str) -> Listed {
    let build = |machine: &str, hash| Build { machine: machine.to_owned(), hash: [hash; 32], size_bytes: 3_000_000 };
    Listed {
        name: name.to_owned(),
        index: [9; 32],
        category: "messages".to_owned(),
        title: words("Broker"),
        description: words("A broker of messages."),
        builds: vec![build("amd64", 1), build("arm64", 2)],
    }
}

fn contents(number: u64) -> Contents {
    Contents { name: "gracia".to_owned(), title: words("Gràcia"), number, revoked: false, apps: vec![app("broker"), app("wiki")] }
}

/// What somebody signs who keeps to no limit.
fn signed_all_the_same(contents: &Contents) -> Vec<u8> {
    let key = Key::of_seed(&SEED);
    let signature = keys::sign(&SEED, Purpose::Catalog, &wire::encode(&(key, contents)));
    [b"cloudy catalog\n".as_slice(), &wire::encode(&(key, contents, signature))].concat()
}

#[test]
fn what_is_signed_is_read_back_and_names_its_key() {
    let signed = Catalog::sign(&SEED, contents(3)).unwrap();
    let read = Catalog::from_bytes(&signed.to_bytes()).unwrap();
    assert_eq!((&read, read.key(), read.contents()), (&signed, Key::of_seed(&SEED), &contents(3)));
    assert_eq!(read.contents().apps[0].build("arm64").unwrap().hash, [2; 32]);
    assert_eq!(read.contents().apps[0].build("riscv64"), None);
    assert_eq!(signed_all_the_same(&contents(3)), signed.to_bytes());
}

#[test]
fn what_another_key_or_another_purpose_signed_is_none() {
    let key = Key::of_seed(&SEED);
    let body = wire::encode(&(key, &contents(1)));
    for (seed, purpose) in [([8; 32], Purpose::Catalog), (SEED, Purpose::Head)] {
        let signature = keys::sign(&seed, purpose, &body);
        let bytes = [b"cloudy catalog\n".as_slice(), &wire::encode(&(key, &contents(1), signature))].concat();
        assert_eq!(Catalog::from_bytes(&bytes), Err(Wrong::Signature), "{purpose:?}");
    }
}

#[test]
fn what_breaks_a_limit_is_neither_signed_nor_read_and_is_said_to_be_where() {
    let with = |change: fn(&mut Contents)| {
        let mut contents = contents(1);
        change(&mut contents);
        contents
    };
    let wrong: [(Contents, &str); 16] = [
        (with(|c| c.name = "../x".to_owned()), "the catalog's name"),
        (with(|c| c.name = "x".repeat(34)), "the catalog's name"),
        (with(|c| c.title.ca = " ".to_owned()), "the catalog's title, ca: it is empty"),
        (with(|c| c.title.es = "a\u{202e}b".to_owned()), "the catalog's title, es"),
        (with(|c| c.number = 0), "the catalog's number"),
        (with(|c| c.revoked = true), "none where its key is given up"),
        (with(|c| c.apps = (0..=MAX_APPS).map(|n| app(&format!("a{n}"))).collect()), "there may be 500"),
        (with(|c| c.apps.push(app("wiki"))), "the app `wiki`: it stands there twice"),
        (with(|c| c.apps[1].name = "Wiki\u{1b}[2J".to_owned()), r"the app `Wiki\u{1b}[2J`: its name must be"),
        (with(|c| c.apps[0].title.en = "x".repeat(161)), "the app `broker`, title, en"),
        (with(|c| c.apps[0].description.en = "x".repeat(1001)), "the app `broker`, description, en"),
        (with(|c| c.apps[0].category = "<b>".to_owned()), "the app `broker`, category"),
        (with(|c| c.apps[0].builds.clear()), "the app `broker`, images: there must be 1"),
        (with(|c| c.apps[0].builds[1].machine = "amd64".to_owned()), "`amd64` is no kind of machine, or stands there twice"),
        (with(|c| c.apps[0].builds[1].size_bytes = 0), "the app `broker`, arm64: 0 bytes are said"),
        (with(|c| c.apps[0].builds[1].size_bytes = u64::MAX), "the app `broker`, arm64"),
    ];
    for (contents, said) in wrong {
        let refused = Catalog::sign(&SEED, contents.clone()).unwrap_err();
        assert!(refused.to_string().contains(said) && refused.to_string().contains("publish it anew"), "{refused}");
        assert_eq!(Catalog::from_bytes(&signed_all_the_same(&contents)), Err(refused));
    }
    let long = |n: usize| Listed { description: words(&"x".repeat(1000)), ..app(&format!("a{n}")) };
    let long = Contents { apps: (0..MAX_APPS).map(long).collect(), ..contents(1) };
    assert!(Catalog::sign(&SEED, long.clone()).unwrap_err().to_string().contains("shorten its descriptions"));
    assert!(matches!(Catalog::from_bytes(&signed_all_the_same(&long)), Err(Wrong::Wire(WireError::TooLong { .. }))));
    assert_eq!(Catalog::from_bytes(b"PK\x03\x04"), Err(Wrong::NoCatalog));
    let mut later = Catalog::sign(&SEED, contents(1)).unwrap().to_bytes();
    later[b"cloudy catalog\n".len()] = 2;
    assert_eq!(Catalog::from_bytes(&later), Err(Wrong::Wire(WireError::Version(2))));
    const { assert!(MAX_CATALOG_BYTES < 16 * 1024 * 1024, "one part of a blob, so that its hash is that of its bytes") };
}

#[test]
fn a_number_only_goes_up_and_a_key_that_was_given_up_says_nothing_more() {
    let mark = |number, hash: &str, revoked| Mark { number, hash: hash.to_owned(), revoked };
    let had = mark(5, "five", false);
    for (shown, is) in [
        (mark(6, "six", false), News::Newer),
        (mark(5, "five", false), News::Same),
        (mark(5, "other", false), News::Fork),
        (mark(4, "four", false), News::Older),
        (mark(1, "end", true), News::Newer),
    ] {
        assert_eq!(news(Some(&had), &shown), is, "{shown:?}");
    }
    assert_eq!(news(None, &mark(1, "one", false)), News::Newer);
    let end = mark(1, "end", true);
    for shown in [mark(u64::MAX, "later", false), mark(2, "again", true)] {
        assert_eq!(news(Some(&end), &shown), News::Revoked);
    }
    assert_eq!(news(Some(&end), &end), News::Same);
}

#[test]
fn a_key_is_brought_to_another_node_as_text() {
    let text = key_to_text(&SEED, "gracia");
    assert!(text.starts_with("cloudy1-publisher-"));
    assert_eq!(key_from_text(&format!(" {}\n", text.to_uppercase())).unwrap(), (SEED, "gracia".to_owned()));
    assert_eq!(key_from_text(&text[..text.len() - 2]), Err(TextError::Checksum));
    assert!(matches!(key_from_text("cloudy1-kit-abc"), Err(TextError::OtherKind { .. })));
    assert!(key_from_text(&key_to_text(&SEED, "../x")).is_err());
}

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| Catalog::sign(&SEED, contents(3)).unwrap().to_bytes());

#[test]
fn what_is_built_for_other_machines_stays_for_the_same_version_alone() {
    let listed = |index: u8, machines: &[(&str, u8)]| {
        let build = |(machine, hash): &(&str, u8)| Build { machine: (*machine).to_owned(), hash: [*hash; 32], size_bytes: 1 };
        Listed { index: [index; 32], builds: machines.iter().map(build).collect(), ..app("broker") }
    };
    let before = Contents { apps: vec![listed(1, &[("amd64", 1), ("arm64", 2)])], ..Contents::default() };
    assert_eq!(listed(1, &[("arm64", 3)]).with_builds_of(Some(&before)), listed(1, &[("amd64", 1), ("arm64", 3)]));
    assert_eq!(listed(2, &[("arm64", 3)]).with_builds_of(Some(&before)), listed(2, &[("arm64", 3)]));
    assert_eq!(listed(1, &[("arm64", 3)]).with_builds_of(None), listed(1, &[("arm64", 3)]));
}

proptest! {
    #[test]
    fn a_changed_catalog_is_no_catalog(place in any::<prop::sample::Index>(), bit in 0..8_u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = GOOD.clone();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        prop_assert!(Catalog::from_bytes(&bytes).is_err());
        prop_assert!(Catalog::from_bytes(&GOOD[..cut.index(GOOD.len())]).is_err());
        prop_assert!(Catalog::from_bytes(&[GOOD.as_slice(), &[bit]].concat()).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic_and_are_no_catalog(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Catalog::from_bytes(&bytes).is_err());
        let error = Catalog::from_bytes(&[b"cloudy catalog\n\x01".as_slice(), &bytes].concat()).unwrap_err().to_string();
        prop_assert!(!error.chars().any(char::is_control));
    }

    /// What a publisher signs who keeps to nothing is refused in plain words, or keeps every limit.
    #[test]
    fn what_is_signed_by_whoever_keeps_limits_or_is_refused(
        name in "[a-z]{1,5}|\\PC{0,40}|.*", title in "[A-Z ]{1,9}|.*", category in "[a-z]{1,9}|.*", number in 0..3_u64, revoked in any::<bool>(), twice in any::<bool>(),
        size_bytes in prop_oneof![Just(1_u64), any::<u64>()],
    ) {
        let build = Build { machine: category.clone(), hash: [1; 32], size_bytes };
        let one = Listed { name: name.clone(), category, title: words(&title), builds: vec![build], ..app("x") };
        let apps = if twice { vec![one.clone(), one] } else { vec![one] };
        let contents = Contents { name, title: words(&title), number, revoked, apps };
        match Catalog::from_bytes(&signed_all_the_same(&contents)) {
            Err(error) => prop_assert!(!error.to_string().chars().any(char::is_control), "{error}"),
            Ok(read) => {
                prop_assert!(!twice && !revoked && number > 0 && size_bytes > 0 && title.chars().all(wire::is_plain));
                prop_assert_eq!(read.contents(), &contents);
            }
        }
    }
}
