#!/usr/bin/env bash
# Pages under axe-core, in the scenarios in which people use them: ci/axe.sh [SCENARIO…]. The image must have been built. axe-core comes from
# a package of the Python index that carries it, held to its hash.
set -euo pipefail

version=0.1.8
wheel=fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8
cd "$(dirname "$0")/.."
folder=target/axe-$version
if [ ! -f "$folder/axe.min.js" ]; then
    echo "== axe-core, from the Python package index"
    mkdir -p "$folder"
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/pip" download --quiet --no-deps --require-hashes --dest "$folder" \
        --requirement <(echo "axe-playwright-python==$version --hash=sha256:$wheel")
    python3 -m zipfile --extract "$folder"/*.whl "$folder/wheel"
    mv "$folder/wheel/axe_playwright_python/axe.min.js" "$folder/axe.min.js"
    rm -rf "$folder/venv" "$folder/wheel" "$folder"/*.whl
fi
scenarios=("$@")
[ ${#scenarios[@]} -gt 0 ] || mapfile -t scenarios < <(grep -l '^browse = ' ci/scenarios/*.toml | xargs -n1 basename | sed 's/\.toml$//')
words=()
for scenario in "${scenarios[@]}"; do words+=(--scenario "$scenario"); done
cargo xtask vm x86-minipc --axe "$folder/axe.min.js" "${words[@]}"
