#!/usr/bin/env bash
# What CI runs, as root: README's test command as an ordinary user, since that is who builds images.
set -euo pipefail

user=cloudy-ci
home=/home/$user
repo=$PWD
begun=$SECONDS

say() { printf '\n== %s (after %s s)\n' "$*" "$((SECONDS - begun))"; }

say "what the host must have: newuidmap, a linker, git, ip, nft, python3 with venv"
missing=()
command -v newuidmap >/dev/null || missing+=(uidmap)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v git >/dev/null || missing+=(git)
command -v ip >/dev/null || missing+=(iproute2)
command -v nft >/dev/null || missing+=(nftables)
# axe-core comes from Python's package index.
/usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
if [ "${#missing[@]}" -gt 0 ]; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

say "an ordinary user with subordinate ids and its own copy of the checkout"
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
grep -q "^$user:" /etc/subuid || usermod --add-subuids 200000-265535 "$user"
grep -q "^$user:" /etc/subgid || usermod --add-subgids 200000-265535 "$user"
# Root's own toolchain lies where others can't read.
toolchain=$(rustc --print sysroot)
shared=/opt/cloudy-ci-$(basename "$toolchain")
if [ ! -x "$shared/bin/cargo" ]; then
    rm -rf "$shared.making"
    cp -a "$toolchain" "$shared.making"
    chmod -R go+rX "$shared.making"
    mv "$shared.making" "$shared"
fi
rm -rf "$home/checkout"
git -c safe.directory='*' clone --quiet "$repo" "$home/checkout"
chown -R "$user:$user" "$home/checkout"

say "cargo xtask test, as $user"
runuser -u "$user" -- env -i HOME="$home" USER="$user" PATH="$shared/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" \
    LANG=C.UTF-8 CI=true CARGO_INCREMENTAL=0 bash -c "cd '$home/checkout' && umask 022 && cargo xtask test" </dev/null

image=$home/checkout/out/cloudy-x86-minipc-standard.img
say "images onto a block device, as root"
bash ci/flash-loop.sh "$home/checkout/target/debug/xtask" x86-minipc "$image"
bash ci/flash-loop.sh "$home/checkout/target/debug/xtask" rpi3 "$home/checkout/out/cloudy-rpi3-standard.img"

say "done"
