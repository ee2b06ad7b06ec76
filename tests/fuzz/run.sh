#!/bin/sh
# Runs the fuzz targets under libFuzzer, on the stable toolchain.
#
#   tests/fuzz/run.sh [--seconds N] [TARGET..]
#
# Ten seconds for each target without `--seconds`. What is learned stays in target/fuzz/corpus; an input that breaks a
# promise is written to tests/fuzz/artifacts, and the script exits with status 1.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
seconds=10
targets=""
while [ $# -gt 0 ]; do
    case $1 in
        --seconds) seconds=${2:?--seconds needs a number}; shift 2 ;;
        -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
        -*) echo "unknown option \`$1\`" >&2; exit 2 ;;
        *) [ -d "$here/corpus/$1" ] || { echo "no target \`$1\`" >&2; exit 2; }
           targets="$targets $1"; shift ;;
    esac
done
[ -n "$targets" ] || targets="markdown rule_fences cel artifact wire engine stream"

# The coverage that libFuzzer reads, by flags that the stable compiler passes on to LLVM. With an explicit target they
# reach what is fuzzed and leave build scripts and macros alone.
host=$(rustc -vV | sed -n 's/^host: //p')
build="$root/target/fuzz"
RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares" \
    cargo build --quiet --manifest-path "$here/Cargo.toml" --features libfuzzer --bins \
    --profile fuzz --target "$host" --target-dir "$build"

mkdir -p "$here/artifacts"
failed=0
for target in $targets; do
    mkdir -p "$build/corpus/$target"
    log="$build/$target.log"
    status=0
    "$build/$host/fuzz/$target" "$build/corpus/$target" "$here/corpus/$target" \
        -max_total_time="$seconds" -max_len=4096 -timeout=60 -rss_limit_mb=2048 \
        -artifact_prefix="$here/artifacts/$target-" -print_final_stats=1 >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    if [ "$status" -eq 0 ]; then
        echo "$target: ${runs:-0} executions, nothing found"
    else
        failed=1
        echo "$target: ${runs:-?} executions, FAILED (log: $log)"
        grep -E 'panicked|ERROR|Test unit written|^thread' -A2 "$log" | head -n 20 || true
    fi
done
exit "$failed"
