#!/usr/bin/env bash
# Builds the wheel, installs it into empty environments and tests what was installed: `make test` runs this.
# Everything lies under target/python; skipped, with the reason, where there is no Python or no registry.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${PYTHON:-python3}
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
work=target/python
here=bindings/python

skip() {
    echo "Python skipped: $1" >&2
    exit 0
}

command -v "$python" >/dev/null || skip "there is no \`$python\`"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip "\`$python\` is older than 3.11"
mkdir -p "$work"

# An environment with pinned packages, made again when the pins change.
environment() {
    local place=$work/$1 pins=$here/$2
    if ! cmp -s "$pins" "$place/pins.txt"; then
        rm -rf "$place"
        "$python" -m venv "$place" >/dev/null 2>&1 || skip "Python cannot make a virtual environment"
        timeout 600 "$place/bin/pip" install -q --disable-pip-version-check -r "$pins" ||
            skip "the packages of $pins could not be installed"
        cp "$pins" "$place/pins.txt"
    fi
}

environment build requirements-build.txt
rm -f target/wheels/brightline-*.whl
# Models are links out of the package: the wheel holds what they lead to.
CARGO=$cargo "$work/build/bin/maturin" build --quiet --release --locked -m "$here/Cargo.toml" -o target/wheels
wheel=$(ls target/wheels/brightline-*.whl)
size=$(wc -c <"$wheel")
echo "wheel: ${wheel##*/}, $((size / 1000000)).$((size / 100000 % 10)) MB"
[ "$size" -lt 45000000 ] || { echo "the wheel is larger than 45 MB" >&2; exit 1; }

# Nothing but the wheel: no toolchain, no other package, no network.
rm -rf "$work/empty"
"$python" -m venv "$work/empty"
"$work/empty/bin/pip" install -q --disable-pip-version-check --no-index --no-deps "$wheel"
(cd "$work" && "empty/bin/python" "../../$here/tests/blocks.py" "../../$here/README.md")

environment test requirements-test.txt
bin=$work/test/bin
"$bin/pip" install -q --disable-pip-version-check --no-deps --force-reinstall "$wheel"
if [ -z "${BRIGHTLINE_CLI:-}" ]; then
    $cargo build --quiet --locked -p brightline-cli
    BRIGHTLINE_CLI=$target/debug/brightline
fi
BRIGHTLINE_CLI=$(realpath "$BRIGHTLINE_CLI")
export BRIGHTLINE_CLI OPENAI_AGENTS_DISABLE_TRACING=1
# From another folder, so that the installed package is imported and not the sources.
root=$PWD
cd "$here/tests"
"$root/$bin/python" -m pytest -c ../pyproject.toml --rootdir .. .
"$root/$bin/python" -m pytest -c ../pyproject.toml -q --doctest-modules --doctest-ignore-import-errors --pyargs brightline
"$root/$bin/python" blocks.py --model ../README.md ../../../docs/python.md
for example in ../examples/*.py; do
    case $example in *litellm*) continue ;; esac
    "$root/$bin/python" "$example" >/dev/null || { echo "$example failed" >&2; exit 1; }
done
"$root/$bin/python" -m mypy.stubtest brightline._brightline --mypy-config-file ../pyproject.toml
"$root/$bin/python" -m mypy --config-file ../pyproject.toml --exclude litellm ../python/brightline ../examples
# Pyright is a program for Node.
if command -v node >/dev/null; then
    "$root/$bin/pyright" -p .. --pythonpath "$root/$bin/python"
else
    echo "Pyright skipped: there is no \`node\`" >&2
fi

cd "$root"
environment litellm requirements-litellm.txt
bin=$work/litellm/bin
"$bin/pip" install -q --disable-pip-version-check --no-deps --force-reinstall "$wheel"
cd "$here/tests"
export LITELLM_LOCAL_MODEL_COST_MAP=True
"$root/$bin/python" -m pytest -c ../pyproject.toml --rootdir .. --disable-warnings test_litellm.py
"$root/$bin/python" ../examples/litellm_proxy.py >/dev/null 2>&1 || { echo "litellm_proxy.py failed" >&2; exit 1; }
"$root/$bin/python" -m mypy --config-file ../pyproject.toml \
    ../python/brightline/integrations/litellm.py ../examples/litellm_proxy.py
