//! An image layout with one app, to be taken into a catalog: one that no machine could run, or a script.

use contract::arch::Arch;
use contract::oci::Digest;
use contract::oci::documents::{CONFIG, Descriptor, FACTS, INDEX, Index, LAYER, LAYERS, MANIFEST, Manifest, Platform, REF_NAME};
use serde_json::json;
use std::path::Path;

const FACTS_TEXT: &str = r#"
category = "messages"
title = { en = "Broker", es = "Broker", ca = "Broker" }
description = { en = "A broker.", es = "Un broker.", ca = "Un broker." }
limits.memory-mb = 64
image.packages = ["mosquitto"]
run = { command = ["/usr/bin/x"], user = "broker", uid = 20001 }
ports.mqtt = { container = 1883, proposed = 21883, scheme = "mqtt" }
settings.password = { kind = "password", environment = "PASSWORD", title = { en = "P", es = "P", ca = "P" } }
"#;

/// What `cargo xtask app` would write, for every machine that a test may run on; `version` makes its layer another.
pub fn layout(folder: &Path, version: u8) {
    layout_of(folder, version, FACTS_TEXT);
}

/// The same app, that uses the store.
pub fn layout_with_store(folder: &Path) {
    layout_of(folder, 7, &format!("store = true{FACTS_TEXT}"));
}

/// The same app, whose image is the one layer that this tar is, and that runs `/bin/sh /script` of it.
pub fn layout_that_runs(folder: &Path, tar: &[u8]) {
    let facts = FACTS_TEXT.replace("command = [\"/usr/bin/x\"]", "command = [\"/bin/sh\", \"/script\"]");
    let rootfs = json!({ "type": "layers", "diff_ids": [Digest::of(tar)] });
    let this = Arch::ALL.into_iter().find(|arch| arch.multiarch().starts_with(std::env::consts::ARCH)).unwrap();
    let config = json!({ "architecture": this.oci().0, "os": "linux", "config": { "Cmd": ["/bin/sh", "/script"] }, "rootfs": rootfs });
    write(folder, config.to_string().as_bytes(), (LAYERS[2], tar), &facts);
}

fn layout_of(folder: &Path, version: u8, facts: &str) {
    write(folder, b"{}", (LAYER, &vec![version; 3_000_000]), facts);
}

fn write(folder: &Path, config: &[u8], (kind, layer): (&str, &[u8]), facts: &str) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    let put = |media_type: &str, bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(folder.join("blobs/sha256").join(digest.hex()), bytes).unwrap();
        let size = bytes.len().try_into().unwrap();
        Descriptor { media_type: media_type.to_owned(), digest: digest.to_string(), size, platform: None, annotations: [].into() }
    };
    let manifest =
        Manifest { schema_version: 2, media_type: MANIFEST.to_owned(), config: put(CONFIG, config), layers: vec![put(kind, layer)] };
    let manifest = put(MANIFEST, &serde_json::to_vec(&manifest).unwrap());
    let manifests = Arch::ALL.map(|arch| Descriptor { platform: Some(Platform::of(arch)), ..manifest.clone() });
    let index = Index { schema_version: 2, media_type: Some(INDEX.to_owned()), manifests: manifests.to_vec() };
    let index = put(INDEX, &serde_json::to_vec(&index).unwrap());
    let annotations = [(REF_NAME, "broker".to_owned()), (FACTS, put("", facts.as_bytes()).digest)];
    let annotations = annotations.map(|(key, value)| (key.to_owned(), value)).into();
    let list = Index { schema_version: 2, media_type: None, manifests: vec![Descriptor { annotations, ..index }] };
    std::fs::write(folder.join("index.json"), serde_json::to_vec(&list).unwrap()).unwrap();
}
