#!/bin/sh
# The figures of the classifier: `make bench-models`, next to bare ONNX Runtime where Python has it.
#
# Run it on a machine that does nothing else.
set -eu
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet -p brightline-benches
raw=$(mktemp)
trap 'rm -f "$raw"' EXIT
for python in "${PYTHON:-python3}" target/onnxruntime/bin/python; do
    if "$python" benches/raw_runtime.py models/full.onnx >"$raw" 2>/dev/null; then break; fi
done
[ -s "$raw" ] || echo "bare ONNX Runtime skipped: no Python with the package onnxruntime" >&2
echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1), $(date +%F)"
echo
target/release/models models "$raw"
