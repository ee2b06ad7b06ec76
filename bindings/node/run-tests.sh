#!/usr/bin/env bash
# Builds the npm package, installs its tarball into an empty folder and tests what is installed there.
#
#   run-tests.sh [--pack]     with --pack it stops when the tarball is there
#
# target/node/            the pinned development dependencies (node_modules), the tarball
# target/node/package/    what the tarball is packed from
# target/node/installed/  the empty folder, with the tests beside the installed package
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/node

skip() { echo "skipped: the Node package: $1"; exit 0; }
command -v node >/dev/null || skip "node is not installed"
command -v npm >/dev/null || skip "npm is not installed"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] || skip "node $major is older than 20"

mkdir -p "$work"
if ! cmp -s "$here/package-lock.json" "$work/installed-lock.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$work"
    if ! (cd "$work" && npm ci --silent --no-audit --no-fund 2>"$work/npm.log"); then
        cat "$work/npm.log"
        npm ping >/dev/null 2>&1 || skip "the npm registry cannot be reached"
        exit 1
    fi
    cp "$here/package-lock.json" "$work/installed-lock.json"
fi

(cd "$root" && cargo build --release --locked --quiet -p brightline-node)
package=$work/package
rm -rf "$package"
mkdir -p "$package/native" "$package/models"
cp -r "$here/lib" "$here/package.json" "$here/tsconfig.json" "$here/README.md" "$root"/LICENSE-* "$package"
for file in manifest.json calibration.json full.onnx screen.safetensors tokenizer.json MODEL_CARD.md; do
    cp "$root/models/$file" "$package/models"
done
case $(node -p process.platform) in
    darwin) library=libbrightline_node.dylib ;;
    win32) library=brightline_node.dll ;;
    *) library=libbrightline_node.so ;;
esac
addon=$package/native/$(node -p 'process.platform + "-" + process.arch').node
cp "$target/release/$library" "$addon"
if command -v strip >/dev/null; then strip -x "$addon"; fi
(cd "$package" && "$work/node_modules/.bin/tsc" -p tsconfig.json)
for entry in $(node -p 'Object.values(require("'"$package"'/package.json").exports).flatMap((it) => it.require?.default ?? []).join(" ")'); do
    name=$(basename "$entry" .js)
    echo "export * from './$name.js';" | tee "$package/dist/$name.mjs" >"$package/dist/$name.d.mts"
done
(cd "$package" && npm pack --silent --pack-destination "$work" >/dev/null)
tarball=$(ls "$work"/brightline-*.tgz)
echo "$(basename "$tarball"): $(du -k --apparent-size "$tarball" | awk '{printf "%.1f MB", $1 / 1024}')"
[ "${1:-}" != --pack ] || exit 0
[ "$(stat -c %s "$tarball")" -lt 45000000 ] || { echo "the tarball is larger than 45 MB"; exit 1; }

if [ -z "${BRIGHTLINE_CLI:-}" ]; then
    (cd "$root" && cargo build --locked --quiet -p brightline-cli)
    BRIGHTLINE_CLI=$target/debug/brightline
fi
BRIGHTLINE_COMMAND=$(realpath "$BRIGHTLINE_CLI")
installed=$work/installed
rm -rf "$installed"
mkdir -p "$installed"
cd "$installed"
echo '{ "private": true }' >package.json
npm install --silent --no-audit --no-fund --offline --no-package-lock --no-save --legacy-peer-deps "$tarball"
cp -r "$here/test" "$here/examples" "$here/README.md" "$installed"
mkdir docs
cp "$root/docs/node.md" docs
export BRIGHTLINE_ROOT=$root BRIGHTLINE_COMMAND
unset BRIGHTLINE_MODELS
node --test --test-reporter=dot test/*.test.*js
"$work/node_modules/.bin/tsc" -p test/tsconfig.json
