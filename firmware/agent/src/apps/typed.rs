//! A form's parts as people type them, one in a line: on the page and on the command line.

use contract::apps::own::{FormPort, FormVolume, read_port};
use contract::apps::{Protocol, Scheme};

/// `8080:80`, `53/udp`, `8080:80 http`: the node's port, the container's, the transport, and what is spoken there.
pub fn port(line: &str) -> Result<Vec<FormPort>, String> {
    let mut words = line.split_whitespace();
    let (ports, scheme) = (words.next().unwrap_or_default(), words.next());
    let wrong = || format!("`{line}` is no port: write it as `8080:80`, `53/udp` or `8080:80 http`");
    let scheme = match scheme {
        None => None,
        Some(word) => {
            Some(Scheme::of(word).ok_or_else(|| format!("`{word}` is nothing that is spoken on a port here: {}", Scheme::listed()))?)
        }
    };
    let read = read_port(ports).filter(|ports| words.next().is_none() && ports.iter().all(|port| port.address.is_none()));
    let one = |port: contract::apps::own::Published| FormPort {
        container: port.container,
        proposed: (port.proposed != port.container).then_some(port.proposed),
        protocol: port.protocol,
        scheme,
    };
    Ok(read.ok_or_else(wrong)?.into_iter().map(one).collect())
}

/// As [`port`] reads it.
pub fn show_port(port: &FormPort) -> String {
    let node = port.proposed.map(|node| format!("{node}:")).unwrap_or_default();
    let transport = if port.protocol == Protocol::Udp { "/udp" } else { "" };
    let scheme = port.scheme.map(|scheme| format!(" {}", scheme.word())).unwrap_or_default();
    let line = format!("{node}{}{transport}{scheme}", port.container);
    // Both transports are two lines.
    if port.protocol == Protocol::Both { format!("{line}\n{node}{}/udp{scheme}", port.container) } else { line }
}

/// `NAME=value`, or a name whose value is said when the app is installed.
pub fn variable(line: &str) -> (String, Option<String>) {
    match line.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (line.to_owned(), None),
    }
}

/// `data:/data`, `/srv/music:/music:ro`
pub fn volume(line: &str) -> Result<FormVolume, String> {
    let wrong = || format!("`{line}` is nothing that is kept: write it as `data:/data` or `data:/data:ro`");
    let (source, rest) = line.split_once(':').ok_or_else(wrong)?;
    let (path, read_only) = match rest.split_once(':') {
        None => (rest, false),
        Some((path, "rw")) => (path, false),
        Some((path, "ro")) => (path, true),
        Some(_) => return Err(wrong()),
    };
    Ok(FormVolume { source: source.to_owned(), path: path.to_owned(), read_only })
}

/// As [`volume`] reads it.
pub fn show_volume(volume: &FormVolume) -> String {
    format!("{}:{}{}", volume.source, volume.path, if volume.read_only { ":ro" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_shown_again_as_it_was_typed() {
        for line in ["80", "8080:80", "53/udp", "8080:80 http"] {
            let ports = port(line).unwrap();
            assert_eq!(ports.iter().map(show_port).collect::<Vec<_>>(), [line]);
        }
        assert_eq!(port("80-82").unwrap().len(), 3);
        for line in ["", "x", "0", "127.0.0.1:80:80", "80 ftp", "80 http x"] {
            assert!(port(line).is_err(), "{line}");
        }
        for line in ["data:/data", "/srv/music:/music:ro"] {
            assert_eq!(show_volume(&volume(line).unwrap()), line);
        }
        assert!(volume("data").is_err() && volume("a:/b:x").is_err());
        assert_eq!(variable("A=b=c"), ("A".to_owned(), Some("b=c".to_owned())));
        assert_eq!(variable("A"), ("A".to_owned(), None));
    }
}
