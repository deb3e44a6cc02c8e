//! How large volumes are, and how much is free where Docker keeps them: what is copied needs room for it a second time.

use super::Room;
use super::taken::Carried;
use crate::client::Client;
use crate::limits::VOLUME_COUNT_TIMEOUT;
use bollard::Docker;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use tokio::time::timeout;

/// Bytes of these volumes together, as Docker counts them; of one that it does not count, none (pure).
fn needed(said: &Value, names: &BTreeSet<&str>) -> u64 {
    let volumes = said.get("Volumes").and_then(Value::as_array).into_iter().flatten();
    let its = volumes.filter(|volume| volume.get("Name").and_then(Value::as_str).is_some_and(|name| names.contains(name)));
    // Docker says -1 where it does not know.
    let sizes = its.filter_map(|volume| volume.pointer("/UsageData/Size").and_then(Value::as_u64));
    sizes.fold(0, u64::saturating_add)
}

/// What a copy of these volumes takes, and what is free for it; nothing where Docker or the system does not say. Docker looks at each
/// file's size for that, and reads none.
pub async fn room(socket: &Path, docker: &Docker, carried: &[Carried]) -> Option<Room> {
    // What bollard reads of this is of newer versions of the API than the one that is spoken.
    let (client, path) = (Client::new(socket), format!("/v{}/system/df?type=volume", docker.client_version()));
    let said = match timeout(VOLUME_COUNT_TIMEOUT, client.get(&path)).await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => {
            log::warn!("Docker does not say how large volumes are, so nobody knows whether a copy fits: {error:#}");
            return None;
        }
        Err(_) => {
            log::warn!("Docker still counts how large volumes are, so nobody knows whether a copy fits");
            return None;
        }
    };
    let root = match docker.info().await {
        Ok(info) => info.docker_root_dir.unwrap_or_default(),
        Err(error) => {
            log::warn!("Docker does not say where it keeps volumes, so nobody knows whether a copy fits: {error}");
            return None;
        }
    };
    let names = carried.iter().map(|carried| carried.from.as_str()).collect();
    // They may lie on a disk of their own.
    let free = crate::host::free(&Path::new(&root).join("volumes")).or_else(|_| crate::host::free(Path::new(&root)));
    free.ok().map(|free| Room { needed: needed(&said, &names), free })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_sizes_of_the_volumes_that_are_meant_are_added_and_of_no_others() {
        let of = |said: &Value| needed(said, &["site", "data", "unknown"].into());
        let volume = |name: &str, size: i64| json!({ "Name": name, "UsageData": { "Size": size, "RefCount": 1 } });
        assert_eq!(of(&json!({ "Volumes": [volume("site", 7), volume("site2", 100), volume("data", 5), volume("unknown", -1)] })), 12);
        assert_eq!(of(&json!({ "Volumes": [volume("site", i64::MAX), volume("data", i64::MAX), volume("site", i64::MAX)] })), u64::MAX);
        for nothing in
            [json!(null), json!({ "Volumes": null }), json!({ "Volumes": [1, { "Name": "site" }, { "UsageData": { "Size": 9 } }] })]
        {
            assert_eq!(of(&nothing), 0, "{nothing}");
        }
    }
}
