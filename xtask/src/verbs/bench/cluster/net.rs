//! Network namespaces on one bridge, made inside the sandbox: one for each node; the poller is beside them.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

/// The poller's address; what goes between it and the nodes is never lost.
pub const POLLER: &str = "10.77.0.254";

/// A node's namespace, held by a process that sleeps.
pub struct Node {
    holder: Child,
    /// Its address.
    pub address: String,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _gone = self.holder.kill();
        let _status = self.holder.wait();
    }
}

/// A program of the sandbox.
pub fn command(program: &str) -> Command {
    #[expect(clippy::disallowed_methods, reason = "runs inside the sandbox, as its payload; errors carry the command and its stderr below")]
    Command::new(program)
}

/// Runs a command line to its end.
fn run(line: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().context("no command")?;
    let output = command(program).args(words).output().with_context(|| format!("failed to start `{line}`"))?;
    ensure!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// Makes the bridge and a namespace for each node.
pub fn make(count: usize) -> Result<Vec<Node>> {
    run("ip link set lo up")?;
    run("ip link add br0 type bridge")?;
    run(&format!("ip address add {POLLER}/24 dev br0"))?;
    run("ip link set br0 up")?;
    (0..count).map(|number| make_node(number + 1)).collect()
}

fn make_node(number: usize) -> Result<Node> {
    let holder = command("unshare").args(["--net", "sleep", "infinity"]).spawn().context("failed to make a network namespace")?;
    let node = Node { address: format!("10.77.0.{number}"), holder };
    node.wait_for_namespace()?;
    run(&format!("ip link add v{number} type veth peer name eth0 netns {}", node.holder.id()))?;
    run(&format!("ip link set v{number} master br0 up"))?;
    for line in [
        "ip link set lo up".to_owned(),
        format!("ip address add {}/24 dev eth0", node.address),
        "ip link set eth0 up".to_owned(),
        format!("ip route add default via {POLLER}"),
    ] {
        run(&format!("nsenter --target {} --net -- {line}", node.holder.id()))?;
    }
    Ok(node)
}

impl Node {
    /// The holder makes its namespace after it has started.
    fn wait_for_namespace(&self) -> Result<()> {
        let own = std::fs::read_link("/proc/self/ns/net")?;
        super::inner::wait("a network namespace", 10.0, || {
            let there = std::fs::read_link(format!("/proc/{}/ns/net", self.holder.id())).ok()?;
            (there != own).then_some(())
        })
        .map(drop)
    }

    /// A command in this namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = command("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--net", "--", program]);
        command
    }

    /// From now on so many percent of the packets that come from other nodes are lost.
    pub fn lose(&self, percent: u32) -> Result<()> {
        let mut rules = "flush ruleset\n".to_owned();
        if percent > 0 {
            let which = if percent < 100 { format!("numgen random mod 100 < {percent}") } else { String::new() };
            rules.push_str(&format!(
                "table inet loss {{\n chain in {{\n type filter hook input priority 0\n \
                 iifname \"eth0\" ip saddr != {POLLER} {which} counter drop\n }}\n}}\n"
            ));
        }
        let mut child = self.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().context("nft has no stdin")?.write_all(rules.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim());
        Ok(())
    }

    /// Bytes received and sent at its interface so far.
    pub fn bytes(&self) -> Result<(f64, f64)> {
        let text = std::fs::read_to_string(format!("/proc/{}/net/dev", self.holder.id()))?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).context("a node has no eth0")?;
        let words: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        Ok((*words.first().context("no bytes")?, *words.get(8).context("no bytes")?))
    }
}
