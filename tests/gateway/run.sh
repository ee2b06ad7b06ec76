#!/usr/bin/env bash
# Real clients against the gateway: the SDKs of OpenAI and Anthropic for Python, that of OpenAI for Node.
# Their packages are installed under target/; where an interpreter or the registry is missing, that part is skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=tests/gateway
work=$PWD/target/gateway
mkdir -p "$work"

target=${CARGO_TARGET_DIR:-target}
${CARGO:-cargo} build -q --locked --workspace --features "${BRIGHTLINE_FEATURES:-}" --bin brightline --example fake_upstream

started=()
finish() { for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; }
trap finish EXIT

# Waits for the first line of a file that matches, and prints what the expression captures.
await() {
  for _ in $(seq 100); do
    if line=$(sed -nE "s|$2|\1|p" "$1" | head -n 1) && [ -n "$line" ]; then echo "$line"; return; fi
    sleep 0.1
  done
  cat "$1" >&2
  echo "$1 says nothing of $2" >&2
  exit 1
}

"$target/debug/examples/fake_upstream" >"$work/upstream.log" & started+=($!)
upstream=$(await "$work/upstream.log" '(http://.*)')
"$target/debug/brightline" serve --no-models -p bindings/http/tests/gateway/support/policy.md \
  --upstream "$upstream" --listen 127.0.0.1:0 2>"$work/gateway.log" & started+=($!)
BRIGHTLINE_GATEWAY=$(await "$work/gateway.log" '.* at (http://[0-9.:]+)$')
export BRIGHTLINE_GATEWAY

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
  echo "skipped: the Python clients, since there is no $python"
elif ! { "$python" -m venv "$work/venv" && "$work/venv/bin/pip" install -q --disable-pip-version-check \
         -r $here/requirements.txt; } >"$work/pip.log" 2>&1; then
  echo "skipped: the Python clients, since their packages cannot be installed ($work/pip.log)"
else
  "$work/venv/bin/python" $here/test_sdk.py
fi

if ! command -v npm >/dev/null; then
  echo "skipped: the Node client, since there is no npm"
elif ! { cp $here/package.json $here/sdk.test.mjs "$work/" \
         && npm install --prefix "$work" --no-audit --no-fund; } >"$work/npm.log" 2>&1; then
  echo "skipped: the Node client, since its package cannot be installed ($work/npm.log)"
else
  node --test "$work/sdk.test.mjs" >"$work/node.log" 2>&1 || { cat "$work/node.log"; exit 1; }
  grep -E '^# (pass|fail)|^ℹ (pass|fail)' "$work/node.log" | tr '\n' ' '
  echo "(Node)"
fi

# The gateway ends when told to, after what is in flight, with status 0.
kill "${started[1]}"
wait "${started[1]}"
