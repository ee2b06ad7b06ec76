#!/bin/sh
# Both backends give the same scores: `make test` runs this. ONNX Runtime comes from ORT_DYLIB_PATH, else from the Python
# package `onnxruntime`, which is installed under target/ once. Without either it is skipped, and says so.
set -eu
cd "$(dirname "$0")/.."

# The library inside the package of this Python.
library() {
    "$1" -c '
import importlib.util, pathlib
spec = importlib.util.find_spec("onnxruntime")
found = sorted(pathlib.Path(spec.origin).parent.glob("capi/*onnxruntime.*")) if spec else []
print(next((path for path in found if ".so" in path.name or path.suffix in (".dylib", ".dll")), ""))
' 2>/dev/null || true
}

skip() {
    echo "agreement of the backends skipped: $1" >&2
    exit 0
}

if [ -z "${ORT_DYLIB_PATH:-}" ]; then
    command -v python3 >/dev/null || skip "there is no Python to install ONNX Runtime with"
    ORT_DYLIB_PATH=$(library python3)
    if [ -z "$ORT_DYLIB_PATH" ]; then
        venv=target/onnxruntime
        if [ ! -x "$venv/bin/python" ] || [ -z "$(library "$venv/bin/python")" ]; then
            python3 -m venv "$venv" >/dev/null 2>&1 || skip "Python cannot make a virtual environment"
            timeout 60 "$venv/bin/python" -m pip install --quiet --disable-pip-version-check onnxruntime >/dev/null 2>&1 ||
                skip "ONNX Runtime could not be installed"
        fi
        ORT_DYLIB_PATH=$(library "$venv/bin/python")
    fi
fi
[ -n "$ORT_DYLIB_PATH" ] || skip "ONNX Runtime was not found"
export ORT_DYLIB_PATH
${CARGO:-cargo} test --quiet --locked --workspace --features "${BRIGHTLINE_FEATURES:-brightline/onnxruntime}" --lib \
    agreement -- --nocapture
