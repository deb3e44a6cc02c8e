//! What a node says of its boot, and the table that it becomes. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::verbs::bench::median;

/// Run in the node once its page answers: waits until it has come up, then prints what [`Seen::parse`] reads.
pub const QUESTIONS: &str = r#"
systemctl is-system-running --wait >/dev/null 2>&1
sudo dmesg | sed -n 's/^\[ *\([0-9.]*\)\] Run .* as init process$/init \1/p' | head -n 1
printf 'systemd '; systemctl show --property=UserspaceTimestampMonotonic --value
printf 'units '; systemd-analyze --json=short plot
echo
"#;

/// Run in the node: writes how long it has been up on its console.
pub const MARK: &str = r#"sudo sh -c 'read up rest < /proc/uptime; echo "up for $up s" > /dev/console'"#;

/// The seconds that [`MARK`] wrote, once the line is whole.
pub fn marked(console: &str) -> Option<f64> {
    let (_, rest) = console.split_once("up for ")?;
    let (seconds, _) = rest.split_once(" s")?;
    seconds.parse().ok()
}

/// What a node said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// When the kernel started the initramfs's init, in seconds since the kernel's start, as all here.
    init: f64,
    /// When systemd took over.
    systemd: f64,
    units: Vec<Unit>,
}

/// A line of `systemd-analyze plot`, in microseconds since the kernel's start.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Unit {
    name: String,
    /// When it began to start.
    activating: u64,
    /// When it was there; 0 if it failed.
    activated: u64,
    /// How long that took.
    time: u64,
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

impl Seen {
    /// Reads what [`QUESTIONS`] printed.
    pub fn parse(said: &str) -> Result<Self> {
        let value = |name: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            found.with_context(|| format!("the node did not say `{name}`: {said}"))
        };
        let init = value("init")?.trim().parse().context("the time of init is no number")?;
        let systemd: u64 = value("systemd")?.trim().parse().context("the time of systemd is no number")?;
        let units = serde_json::from_str(value("units")?).context("the list of units can't be read")?;
        Ok(Self { init, systemd: seconds(systemd), units })
    }

    fn active(&self, unit: &str) -> Option<f64> {
        self.units.iter().find(|seen| seen.name == unit && seen.activated > 0).map(|seen| seconds(seen.activated))
    }
}

/// One boot, in seconds since the kernel's start.
#[derive(Clone, Debug, PartialEq)]
pub struct Times {
    /// The rows of the table: name, seconds.
    rows: Vec<(&'static str, f64)>,
    /// The slowest units that began before the page answered.
    slowest: Vec<(String, f64)>,
}

impl Times {
    /// `page`: when the page answered; `from_power_on`: the same since the machine was switched on; `slowest`: how many units are named.
    pub fn new(seen: &Seen, page: f64, from_power_on: f64, slowest: usize) -> Self {
        let unit = |name| seen.active(name).unwrap_or(f64::NAN);
        let rows = vec![
            ("kernel", seen.init),
            ("initramfs", seen.systemd - seen.init),
            ("systemd to Docker active", unit("docker.service") - seen.systemd),
            ("systemd to agent ready", unit("cloudy.service") - seen.systemd),
            ("systemd to page answering", page - seen.systemd),
            ("kernel start to page answering", page),
            ("power on to page answering", from_power_on),
        ];
        // Devices and targets only wait for others.
        let works = |unit: &&Unit| !unit.name.ends_with(".device") && !unit.name.ends_with(".target") && seconds(unit.activating) < page;
        let mut units: Vec<_> = seen.units.iter().filter(works).map(|unit| (unit.name.clone(), seconds(unit.time))).collect();
        units.sort_by(|a, b| b.1.total_cmp(&a.1));
        units.truncate(slowest);
        Self { rows, slowest: units }
    }

    /// All in one line.
    pub fn line(&self) -> String {
        self.rows.iter().map(|(name, seconds)| format!("{name} {seconds:.1}")).collect::<Vec<_>>().join(", ")
    }
}

/// The medians of some boots, row by row.
fn medians(boots: &[Times]) -> Vec<(&'static str, f64)> {
    let names = boots.first().map(|boot| boot.rows.iter().map(|(name, _)| *name)).into_iter().flatten();
    names
        .enumerate()
        .map(|(at, name)| (name, median(&boots.iter().filter_map(|boot| Some(boot.rows.get(at)?.1)).collect::<Vec<_>>())))
        .collect()
}

/// The units that were among the slowest, by their median, slowest first.
fn slowest(boots: &[Times]) -> Vec<(String, f64)> {
    let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (name, seconds) in boots.iter().flat_map(|boot| &boot.slowest) {
        all.entry(name).or_default().push(*seconds);
    }
    let most = boots.iter().map(|boot| boot.slowest.len()).max().unwrap_or(0);
    let mut units: Vec<_> = all.into_iter().map(|(name, seconds)| (name.to_owned(), median(&seconds))).collect();
    units.sort_by(|a, b| b.1.total_cmp(&a.1));
    units.truncate(most);
    units
}

/// Both sides beside each other. The first boot of each, which sets it up, stands apart.
pub fn table(board: &str, ours: &[Times], theirs: &[Times]) -> String {
    let mut out = String::new();
    let parts = ours.split_first().zip(theirs.split_first());
    let Some(((our_first, ours), (their_first, theirs))) = parts else { return out };
    let _ = writeln!(out, "{board} and a plain Debian of the same packages on the same virtual machine, seconds");
    let mut part = |title: String, ours: &[Times], theirs: &[Times]| {
        let _ = writeln!(out, "\n{title:36} {:>8} {:>8} {:>8}", "cloudy", "Debian", "ratio");
        for ((name, our), (_, their)) in medians(ours).into_iter().zip(medians(theirs)) {
            let _ = writeln!(out, "  {name:34} {our:8.1} {their:8.1} {:8.2}", our / their);
        }
        for (name, boots) in [("cloudy", ours), ("Debian", theirs)] {
            let units: Vec<_> = slowest(boots).into_iter().map(|(unit, seconds)| format!("{unit} {seconds:.1}")).collect();
            let _ = writeln!(out, "  slowest units, {name}: {}", units.join(", "));
        }
    };
    part("the first boot".to_owned(), std::slice::from_ref(our_first), std::slice::from_ref(their_first));
    part(format!("every later boot, median of {}", ours.len()), ours, theirs);
    out
}

/// The same for machines.
pub fn json(ours: &[Times], theirs: &[Times]) -> serde_json::Value {
    let side = |boots: &[Times]| {
        let rows = |boots: &[Times]| {
            medians(boots).into_iter().map(|(name, seconds)| (name.to_owned(), seconds.into())).collect::<serde_json::Map<_, _>>()
        };
        let (first, later) = boots.split_at(boots.len().min(1));
        serde_json::json!({ "first": rows(first), "later": rows(later), "slowest": slowest(later), "runs": later.len() })
    };
    serde_json::json!({ "cloudy": side(ours), "debian": side(theirs) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const SAID: &str = r#"init 2.5
systemd 4000000
units [{"name":"docker.service","activated":30000000,"activating":20000000,"time":10000000,"deactivated":0,"deactivating":0},{"name":"cloudy.service","activated":24000000,"activating":23000000,"time":1000000},{"name":"late.service","activated":90000000,"activating":70000000,"time":20000000},{"name":"dev-sda.device","activated":9000000,"activating":4000000,"time":5000000},{"name":"udev.service","activated":9000000,"activating":7000000,"time":2000000}]
"#;

    fn times(more: f64) -> Times {
        let mut seen = Seen::parse(SAID).unwrap();
        seen.init += more;
        Times::new(&seen, 25.0, 33.0 + more, 2)
    }

    #[test]
    fn a_boot_is_split_and_units_that_came_later_do_not_count() {
        let times = times(0.0);
        assert_eq!(
            times.line(),
            "kernel 2.5, initramfs 1.5, systemd to Docker active 26.0, systemd to agent ready 20.0, systemd to page answering 21.0, \
             kernel start to page answering 25.0, power on to page answering 33.0"
        );
        assert_eq!(times.slowest, [("docker.service".to_owned(), 10.0), ("udev.service".to_owned(), 2.0)]);
    }

    #[test]
    fn what_is_missing_is_named() {
        for missing in ["init", "systemd", "units"] {
            let said = SAID.replace(&format!("{missing} "), "x ");
            let error = Seen::parse(&said).unwrap_err();
            assert!(error.to_string().contains(missing), "{error:#}");
        }
    }

    #[test]
    fn the_consoles_mark_counts_once_it_is_whole() {
        assert_eq!(marked("[  OK  ] x\nup for 61.25 s\n"), Some(61.25));
        assert_eq!(marked("up for 61."), None);
    }

    #[test]
    fn the_table_compares_medians() {
        let ours = [times(9.0), times(0.0), times(1.0), times(0.5)];
        let theirs = [times(9.0), times(2.5), times(3.0), times(2.0)];
        expect![[r#"
            x and a plain Debian of the same packages on the same virtual machine, seconds

            the first boot                         cloudy   Debian    ratio
              kernel                                 11.5     11.5     1.00
              initramfs                              -7.5     -7.5     1.00
              systemd to Docker active               26.0     26.0     1.00
              systemd to agent ready                 20.0     20.0     1.00
              systemd to page answering              21.0     21.0     1.00
              kernel start to page answering         25.0     25.0     1.00
              power on to page answering             42.0     42.0     1.00
              slowest units, cloudy: docker.service 10.0, udev.service 2.0
              slowest units, Debian: docker.service 10.0, udev.service 2.0

            every later boot, median of 3          cloudy   Debian    ratio
              kernel                                  3.0      5.0     0.60
              initramfs                               1.0     -1.0    -1.00
              systemd to Docker active               26.0     26.0     1.00
              systemd to agent ready                 20.0     20.0     1.00
              systemd to page answering              21.0     21.0     1.00
              kernel start to page answering         25.0     25.0     1.00
              power on to page answering             33.5     35.5     0.94
              slowest units, cloudy: docker.service 10.0, udev.service 2.0
              slowest units, Debian: docker.service 10.0, udev.service 2.0
        "#]]
        .assert_eq(&table("x", &ours, &theirs));
    }
}
