#!/usr/bin/env bash
# `cargo xtask flash` onto a block device, as root: ci/flash-loop.sh XTASK BOARD IMAGE. Skipped, loudly, where there are no loop devices.
set -euo pipefail

xtask=$1 board=$2 image=$3
work=$(mktemp -d)
loop=
mounted=
cleanup() {
    [ -z "$mounted" ] || umount "$mounted" 2>/dev/null || true
    [ -z "$loop" ] || losetup --detach "$loop" || true
    rm -rf "$work"
}
trap cleanup EXIT

refused() {
    local words=$1
    shift
    if "$xtask" flash "$board" --image "$image" --yes "$@" >"$work/said" 2>&1 </dev/null; then
        echo "flash $* was not refused"
        exit 1
    fi
    grep -q -- "$words" "$work/said" || { echo "flash $* said:"; cat "$work/said"; exit 1; }
}

truncate --size 8G "$work/disk"
if ! loop=$(losetup --find --show "$work/disk" 2>/dev/null); then
    loop=
    echo "no loop device here: flash is tested on plain files only"
    exit 0
fi

"$xtask" flash "$board" --image "$image" --yes --hostname loop "$loop" </dev/null
# The config partition starts at 1 MiB, with the FAT's own label and our settings somewhere in it.
dd if="$loop" of="$work/config" bs=1M skip=1 count=64 status=none
grep -q --text 'hostname = "loop"' "$work/config"
case $board in
    rpi*)
        # What the Pi's firmware reads is there still, and nothing but a Pi's image goes onto a Pi's card.
        grep -q --text 'kernel=u-boot.bin' "$work/config"
        board=x86-minipc refused "is it another board's?" "$loop"
        ;;
esac

mkfs.ext4 -q -F "$loop"
mkdir "$work/at"
mount "$loop" "$work/at"
mounted=$work/at
refused "it is mounted at $work/at" "$loop"
# Named twice it is unmounted and written.
"$xtask" flash "$board" --image "$image" --yes --json "$loop" "$loop" </dev/null
mounted=
if grep -q "$work/at" /proc/self/mountinfo; then
    echo "the mounted disk was written without being unmounted"
    exit 1
fi

refused "there is no" /dev/cloudy-has-no-such-disk
refused "no disk" "$work/disk"
losetup --detach "$loop"
loop=$(losetup --find --show --read-only "$work/disk")
refused "write-protected" "$loop" "$loop"
echo "flash of $board: written to a loop device, and refused where it must"
