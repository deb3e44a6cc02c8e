//! What names and numbers of a project may look like (pure).

/// An image as Docker calls it: `[host[:port]/]path[:tag][@sha256:…]` (the distribution project's reference grammar, lower case).
pub fn is_image(name: &str) -> bool {
    if name.len() > 255 || !name.is_ascii() {
        return false;
    }
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    };
    let hex = |digits: &str| digits.len() == 64 && digits.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    if digest.is_some_and(|digest| !digest.strip_prefix("sha256:").is_some_and(hex)) {
        return false;
    }
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match name.get(last..).and_then(|end| end.find(':')) {
        Some(colon) => (name.get(..last + colon).unwrap_or_default(), name.get(last + colon + 1..)),
        None => (name, None),
    };
    let tagged = |tag: &str| {
        (1..=128).contains(&tag.len())
            && !tag.starts_with(['.', '-'])
            && tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
    };
    if tag.is_some_and(|tag| !tagged(tag)) {
        return false;
    }
    let mut parts = path.split('/').peekable();
    let first = parts.peek().copied().unwrap_or_default();
    if path.contains('/') && (first.contains(['.', ':']) || first == "localhost") {
        parts.next();
        let (host, port) = first.split_once(':').map_or((first, None), |(host, port)| (host, Some(port)));
        let good = !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-".contains(&c));
        if !good || port.is_some_and(|port| port.parse::<u16>().is_err()) {
            return false;
        }
    }
    let component = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"._-".contains(&c))
            && !part.contains("..")
    };
    parts.all(component)
}

/// Names of services, volumes and networks inside a project.
pub fn is_part(name: &str) -> bool {
    (1..=40).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
}

/// A name of a machine.
pub fn is_host(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && !name.starts_with(['-', '.'])
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || b".-_".contains(&c))
}

/// Absolute and normal, of plain characters: nothing in it has a meaning for compose or Docker.
pub fn is_path(path: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-@+= ".contains(&c))
    };
    path.len() <= 255 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(part))
}

/// A path without the slashes that mean nothing: `/srv//media/` is `/srv/media`.
pub fn tidied(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if path.starts_with('/') { format!("/{}", parts.join("/")) } else { parts.join("/") }
}

/// A user or group of a container: `name`, `number`, `one:other`.
pub fn is_user(user: &str) -> bool {
    let one = |part: &str| (1..=32).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c));
    user.split(':').count() <= 2 && user.split(':').all(one)
}

/// Bytes as compose writes them: `512m`, `1.5gb`, `1073741824`.
pub fn bytes(text: &str) -> Option<u64> {
    let lower = text.trim().to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(lower.len());
    let (number, unit) = lower.split_at(end);
    let unit: u64 = match unit.trim() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    thousandths(number).map(|number| number.saturating_mul(unit) / 1000)
}

/// A number with three digits after its point at most, in thousandths.
pub fn thousandths(number: &str) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.len() <= 15 && text.bytes().all(|c| c.is_ascii_digit());
    if !digits(whole) || !digits(part) || (whole.is_empty() && part.is_empty()) {
        return None;
    }
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    whole.checked_mul(1000)?.checked_add(part.parse().ok()?)
}

/// A time as Go writes it (`1m30s`, `500ms`), in milliseconds; a day at most.
pub fn milliseconds(text: &str) -> Option<u64> {
    let (mut rest, mut sum) = (text, 0_u64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let units = [("ms", 1_u64), ("us", 0), ("ns", 0), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
        let (unit, milliseconds) = units.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        sum = sum.checked_add(thousandths(number)?.checked_mul(milliseconds)? / 1000)?;
        rest = after.get(unit.len()..)?;
    }
    (sum <= 86_400_000).then_some(sum)
}
