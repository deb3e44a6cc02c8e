#!/usr/bin/env bash
# Schemathesis against a real agent, as each role: ci/api.sh PROGRAM [EXAMPLES]. It reads the API's document and sends what fits it and what
# does not; no answer may be a 5xx that is no "not now" (503, 507), none may break the document, and the agent must live on.
set -euo pipefail

program=$(realpath "${1:?the agent\'s program, such as target/debug/cloudy}")
examples=${2:-50}
version=4.32.5
repo=$(realpath "$(dirname "$0")/..")
venv=$repo/target/schemathesis-$version
work=$(mktemp -d)
agent=
finish() {
    [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
    [ -z "$agent" ] || wait "$agent" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

if [ ! -x "$venv/bin/schemathesis" ]; then
    echo "== schemathesis $version, from its package index"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "schemathesis==$version"
fi

mkdir "$work/data"
# What the test keeps goes with the rest.
cd "$work"
printf 'hostname = "tested"\n[join]\nfound = "Tested"\nmdns = false\n' >"$work/data/cloudy.toml"
"$program" agent --http 127.0.0.1:0 --bind 127.0.0.1:0 --broker /nonexistent/broker.sock --registry 127.0.0.1:0 --gateway 127.0.0.1:0 \
    --data "$work/data" 2>"$work/log" &
agent=$!
cloudy() { "$program" "$@" --data "$work/data" --json; }
field() { python3 -c 'import json,sys; v=json.load(sys.stdin)
for k in sys.argv[1:]: v=v[int(k) if k.isdigit() else k]
print(v)' "$@"; }
until cloudy status >/dev/null 2>&1; do
    kill -0 "$agent"
    sleep 0.2
done
page=http://$(cloudy status | field pages 0)
page=${page%/}
for role in owner operator guest; do
    echo "a password of $role" >"$work/password"
    cloudy user add "$role" --role "$role" --password-from "$work/password" >/dev/null
done

failed=0
local_ones=()
declare -A scopes=([owner]=admin [operator]=apps [guest]=read)
# What is for the local socket alone is not there on the network.
while read -r id; do local_ones+=(--exclude-operation-id "$id"); done < <(python3 -c '
import json, sys
paths = json.load(open(sys.argv[1]))["paths"]
print("\n".join(o["operationId"] for p in paths.values() for o in p.values() if isinstance(o, dict) and o.get("servers")))' "$repo/firmware/agent/assets/openapi.json")
# What ends the test itself, or speaks to this machine's systemd and disks, is left out.
left_out=(--exclude-operation-id catalog_add --exclude-operation-id leave --exclude-operation-id power --exclude-operation-id reset --exclude-operation-id unit --exclude-operation-id settings_set
    --exclude-operation-id settings_keep)
for role in ${CLOUDY_API_ROLES:-nobody owner operator guest}; do
    headers=()
    if [ "$role" != nobody ]; then
        token=$(cloudy user token "$role" --scope "${scopes[$role]}" | field token)
        headers=(--header "Authorization: Bearer $token")
    fi
    # What one role did to the users would lock out the next.
    more=()
    [ "$role" != owner ] || more=(--exclude-path-regex '^/api/v1/(users|account)')
    echo "== as $role: $examples examples an operation"
    "$venv/bin/schemathesis" run "$repo/firmware/agent/assets/openapi.json" --url "$page" "${headers[@]}" "${left_out[@]}" "${local_ones[@]}" "${more[@]}" \
        --workers 2 --max-examples "$examples" --phases examples,coverage,fuzzing --checks not_a_server_error,content_type_conformance,response_schema_conformance,status_code_conformance \
        --generation-database none --no-color --continue-on-failure >"$work/out" 2>&1 || failed=1
    tail -n 60 "$work/out"
    cp "$work/out" "${CLOUDY_API_OUT:-/dev/null}" 2>/dev/null || true
    kill -0 "$agent" || { echo "the agent is gone:"; tail -n 40 "$work/log"; exit 1; }
done
if grep -n "panicked" "$work/log"; then
    failed=1
fi
echo "the agent's memory: $(grep -E '^VmHWM' "/proc/$agent/status" | tr -s '\t ' ' ')"
exit "$failed"
