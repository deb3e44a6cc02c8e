//! A large blob from two real agents at once, each on a cable of its own, so that what each of them gave is counted by the kernel.

#![expect(clippy::unwrap_used, reason = "a test may end so")]

mod support;

use serde_json::Value;
use std::path::Path;
use support::{
    cloudy,
    namespaces::{self, Script},
    wait,
};

/// Parts of 16 MiB: more than two holders take at once.
const PARTS: usize = 5;
const PART: u64 = 16 * 1024 * 1024;

/// `$2` a folder with one data folder for each agent. One bridge; each agent has a namespace of its own. Lines on its input are run.
const COMMUNITY: &str = r#"
set -e
ip link set lo up
ip link add bridge type bridge
ip link set bridge up
for n in 1 2 3; do
  unshare --net sh -c 'echo $$; exec sleep infinity' > "$2/$n/pid" &
  while [ ! -s "$2/$n/pid" ]; do sleep 0.05; done
  there=$(cat "$2/$n/pid")
  inside() { nsenter --target "$there" --net -- "$@"; }
  ip link add v$n type veth peer name eth netns "$there"
  ip link set v$n master bridge
  ip link set v$n up
  inside ip link set lo up
  inside ip link set eth up
  inside ip address add 10.9.0.$n/24 dev eth
  inside "$1" agent --http 127.0.0.1:0 --bind 10.9.0.$n:4747 --broker /nonexistent/broker.sock --registry 127.0.0.1:0 --gateway 127.0.0.1:0 --data "$2/$n" &
done
echo started
while read -r line; do eval "$line"; echo done; done
"#;

/// The JSON of a command that succeeds.
fn run(data: &Path, words: &[&str]) -> Value {
    let output = cloudy().args(words).args(["--json", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

fn holders(data: &Path, hash: &str) -> usize {
    let all = run(data, &["blob", "ls"]);
    let found = all["blobs"].as_array().unwrap().iter().find(|blob| blob["hash"] == hash).cloned().unwrap_or_default();
    found["holders"].as_array().map_or(0, Vec::len)
}

fn get(data: &Path, hash: &str) -> Vec<u8> {
    let output = data.join("fetched");
    let words = ["blob", "get", hash, "--output", output.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let done = cloudy().args(words).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(output).unwrap()
}

/// Bytes that came from the agents 1 and 2, as their ends of the cables counted them.
fn sent(script: &mut Script, folder: &Path) -> [u64; 2] {
    script.tell(r#"cat /proc/net/dev > "$2/sent""#);
    let counted = std::fs::read_to_string(folder.join("sent")).unwrap();
    let received =
        |of: &str| counted.lines().find_map(|line| line.trim().strip_prefix(of)?.split_whitespace().next()?.parse().ok()).unwrap();
    [received("v1:"), received("v2:")]
}

#[test]
fn a_large_blob_comes_from_both_that_hold_it_at_once() {
    if !namespaces::are_there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut script, _) = namespaces::community(COMMUNITY, folder.path(), 3);
    let [one, two, three] = [1, 2, 3].map(|n| folder.path().join(n.to_string()));
    let length = PARTS * usize::try_from(PART).unwrap() - 12_345;
    // No two parts are alike.
    let bytes: Vec<u8> = (0_u64..).flat_map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (n >> 7)).to_le_bytes()).take(length).collect();
    let file = folder.path().join("film.webm");
    std::fs::write(&file, &bytes).unwrap();
    let hash = run(&one, &["blob", "add", file.to_str().unwrap()])["hash"].as_str().unwrap().to_owned();
    wait("it is told", || (holders(&two, &hash) == 1).then_some(()));
    assert!(get(&two, &hash) == bytes);
    wait("two hold it", || (holders(&three, &hash) == 2).then_some(()));

    let before = sent(&mut script, folder.path());
    assert!(get(&three, &hash) == bytes);
    let after = sent(&mut script, folder.path());
    let gave = [after[0] - before[0], after[1] - before[1]];
    println!("{} MB came from two nodes: {} MB of one and {} MB of the other", length >> 20, gave[0] >> 20, gave[1] >> 20);
    // Each gave a part at least, and both together what there is once: nothing came twice.
    let all = u64::try_from(length).unwrap();
    assert!(gave.iter().all(|gave| *gave >= PART), "{gave:?}");
    assert!((all..all + all / 5).contains(&(gave[0] + gave[1])), "{gave:?} of {all}");
}
