#!/bin/sh
# The figures of README.md: `make bench`. Instruction counts follow where valgrind is there.
#
# Run it on a machine that does nothing else.
set -eu
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet -p brightline-cli -p brightline-benches
target/release/measure

echo
target/release/stream

echo
python3 benches/public_data.py || echo "false refusals skipped: python3 is not installed" >&2

command -v valgrind >/dev/null || { echo "instruction counts skipped: valgrind is not installed" >&2; exit 0; }
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/count "$1" "$2" 2>&1 |
        sed -n 's/.*Collected : //p'
}
echo
echo "| one warm check of 1 kB | instructions |"
echo "| --- | --- |"
for case in $(target/release/count list); do
    few=$(count "$case" 1000)
    many=$(count "$case" 2000)
    echo "| $case | $(((many - few) / 1000)) |"
done
