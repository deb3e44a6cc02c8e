#!/usr/bin/env bash
# After `.ci/run`, as root: builds the x86 image again, as another user than the one who built it there, with a cache of its own that has the
# .debs alone, and compares the two. The programs are compiled already; compiled anew, far apart, they are by `cargo xtask bench double`.
# A slower proof: it takes some ten minutes, which CI does not have. It takes the checkout for itself: nobody builds there after it.
set -euo pipefail

home=/home/cloudy-ci
image=$home/checkout/out/cloudy-x86-minipc-standard.img
of_user=$(sha256sum <"$image")
# A build wants room of its own: what the suite made and nothing below asks for goes first, but for the .debs, images and the builder.
find "$home/.cache/cloudy" -mindepth 1 -maxdepth 1 ! -name debs -exec rm -rf {} +
find "$home/checkout/target" -mindepth 1 -maxdepth 1 ! -name debug ! -name node -exec rm -rf {} +
# What the user owned is nobody's in root's namespace.
chown -R root:root "$home/checkout/target/node"
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
(cd "$home/checkout" && CLOUDY_CACHE=$own target/debug/xtask image x86-minipc --deb-mirror "$home/.cache/cloudy" </dev/null)
of_root=$(sha256sum <"$image")
if [ "$of_user" != "$of_root" ]; then
    echo "root and an ordinary user built different images: $of_root and $of_user" >&2
    exit 1
fi
echo "identical: ${of_root%% *}"
