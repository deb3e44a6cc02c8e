//! Scenarios as data: what is read, and what is refused.

use std::collections::BTreeMap;

use super::super::visit::{Answer, Ended};
use super::raw::{RawStep, RunCommand, WaitHttp};
use super::run::{check_answer, check_ended};
use super::*;

const ONE: &str = "title = \"t\"\ncommunity = \"Home\"\n[[nodes]]\nname = \"one\"\ncloudy-toml = '''\n[join]\nkit = \"{kit}\"\n'''\n";

fn error(text: &str) -> String {
    format!("{:#}", Scenario::parse(Path::new("x.toml"), text).unwrap_err())
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let cases = [
        ("[[steps]]\nstrat = { node = \"one\" }\n", "x.toml:10:1: unknown"),
        ("[[steps]]\nstart = { nod = \"one\" }\n", "x.toml:10:11: unknown key `nod`; did you mean `node`?"),
        ("[[steps]]\nstart = { node = \"two\" }\n", "step 1 (start): there is no node `two`; there are: one"),
        ("[[steps]]\nrun = { node = \"one\", command = \"x\", seconds = 1, same-as = \"y\" }\n", "no step before it saves `y`"),
        ("[[steps]]\nwait-http = { node = \"one\", path = \"x\", seconds = 1 }\n", "does not begin with /"),
        ("[[steps]]\nadd-slot = { node = \"one\", build = \"12\" }\n", "no build id"),
        ("[[steps]]\nbrowse = { node = \"one\", press = \"say \\\"x\\\"\", seconds = 1 }\n", "has a quote"),
        ("[[steps]]\nbrowse = { node = \"one\", fill = { a = \"b\" }, seconds = 1 }\n", "nothing is opened, pressed or seen"),
        ("[[steps]]\nbrowse = { node = \"one\", fill = { a = \"{y}\" }, press = \"x\", seconds = 1 }\n", "no step before it saves `y`"),
        ("[[steps]]\nwrite-config = { node = \"one\", name = \"c\", text = \"{tken}\" }\n", "`{tken}` is not known"),
    ];
    for (steps, expected) in cases {
        let found = error(&format!("{ONE}{steps}"));
        assert!(found.contains(expected), "{found}");
    }
    let steps = "[[steps]]\nstart = { node = \"one\" }\n";
    assert!(error(&format!("{}{steps}", ONE.replace("community = \"Home\"\n", ""))).contains("needs a community"));
    assert!(error("title = \"t\"\nnodes = []\nsteps = []\n").contains("no nodes"));
}

#[test]
fn every_scenario_of_the_repo_is_one() {
    let repo = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let paths = list(repo).unwrap();
    assert!(!paths.is_empty());
    for path in paths {
        read(&path).unwrap_or_else(|error| panic!("{error:#}"));
    }
}

fn wait_http(conditions: &str) -> WaitHttp {
    let text = format!("{ONE}[[steps]]\nwait-http = {{ node = \"one\", path = \"/\", seconds = 1, {conditions} }}\n");
    match Scenario::parse(Path::new("x.toml"), &text).unwrap().steps.remove(0) {
        RawStep::WaitHttp(step) => step,
        other => panic!("{other:?}"),
    }
}

#[test]
fn conditions_on_an_answer() {
    let answer = Answer { status: 200, body: r#"{"nodes":[{"name":"one"},{"name":"two"}],"n":2}"#.to_owned() };
    let saved = BTreeMap::from([("x".to_owned(), "two".to_owned())]);
    let names = check_answer(&wait_http("pointer = \"/nodes/0/name\", save = \"x\""), &answer, &saved).unwrap();
    assert_eq!(names, "one");
    for holds in [
        "pointer = \"/n\", equals = 2",
        "pointer = \"/nodes\", length = 2, contains = [\"one\", \"two\"], lacks = [\"three\"]",
        "pointer = \"/nodes/1/name\", equals = \"two\"",
        "contains = [\"nodes\"]",
    ] {
        check_answer(&wait_http(holds), &answer, &saved).unwrap();
    }
    for fails in [
        "pointer = \"/n\", equals = 3",
        "pointer = \"/m\", equals = 2",
        "pointer = \"/nodes\", length = 1",
        "status = 404",
        "lacks = [\"nodes\"]",
        "pointer = \"/nodes\", contains = [\"three\"]",
    ] {
        assert!(check_answer(&wait_http(fails), &answer, &saved).is_err(), "{fails}");
    }
}

#[test]
fn conditions_on_a_command() {
    let step = |conditions: &str| -> RunCommand {
        let text = format!(
            "{ONE}[[steps]]\nrun = {{ node = \"one\", command = \"a\", seconds = 1, save = \"x\" }}\n\
             [[steps]]\nrun = {{ node = \"one\", command = \"b\", seconds = 1, {conditions} }}\n"
        );
        match Scenario::parse(Path::new("x.toml"), &text).unwrap().steps.remove(1) {
            RawStep::Run(step) => step,
            other => panic!("{other:?}"),
        }
    };
    let ended = Ended { status: Some(3), output: "out\n".to_owned(), errors: String::new() };
    let saved = BTreeMap::from([("x".to_owned(), "out\n".to_owned())]);
    check_ended(&step("status = 3, contains = [\"out\"], same-as = \"x\""), &ended, &saved).unwrap();
    for fails in ["contains = [\"out\"]", "status = 3, lacks = [\"out\"]", "status = 3, differs-from = \"x\""] {
        assert!(check_ended(&step(fails), &ended, &saved).is_err(), "{fails}");
    }
    assert!(check_ended(&step("status = 3"), &Ended { status: None, ..ended }, &saved).is_err());
}
