#!/bin/sh
# Signs Packages with a key that is thrown away: run it after a change of Packages, and commit InRelease and key.gpg.
set -eu
cd "$(dirname "$0")"
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
gpg() { command gpg --batch --quiet --faked-system-time 20260101T000000 --pinentry-mode loopback --passphrase '' "$@"; }
gpg --quick-generate-key 'tests of cargo xtask lock' ed25519 sign never
gpg --export > key.gpg
sum=$(sha256sum Packages | cut -d' ' -f1)
size=$(stat -c %s Packages)
cat > "$GNUPGHOME/Release" <<END
Suite: test
Codename: test
Date: Thu, 01 Jan 2026 00:00:00 UTC
Architectures: amd64
Components: main
SHA256:
 $sum $size main/binary-amd64/Packages
END
gpg --yes --clearsign --digest-algo SHA512 --output InRelease "$GNUPGHOME/Release"
rm -r "$GNUPGHOME"
