"""What the border between Python and Rust costs: `make bench-python` runs this with the wheel installed.

- A check from Python next to the time the core reports for the same message, which it measures in whole microseconds.
- `check_batch` next to `brightline score` over the same records on as many threads.
- A cold start: from `import` to the first verdict, with both models, in a new process.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from brightline import Guard

ROOT = Path(__file__).parents[1]
MESSAGES = {
    "60 tokens": "How do I sharpen a kitchen knife on a wet stone, and how often should I do that? " * 3,
    "1 kB": "The parcel left the warehouse on Monday and should arrive on Thursday before noon. " * 12,
}
COLD = "import time; s = time.perf_counter(); import brightline; g = brightline.Guard('default'); g.check('How do I sharpen a knife?'); print(time.perf_counter() - s)"  # noqa: E501


def border(guard: Guard, text: str, calls: int = 20_000) -> tuple[float, float, float]:
    """Median microseconds of a call and of the core's part of it, and the median difference."""
    messages = [{"role": "user", "content": text}]
    whole, core = [], []
    for _ in range(calls):
        start = time.perf_counter_ns()
        verdict = guard.check(messages)
        whole.append((time.perf_counter_ns() - start) / 1e3)
        # The core cuts off the fraction of a microsecond.
        core.append(verdict.elapsed_us + 0.5)
    difference = statistics.median(a - b for a, b in zip(whole, core, strict=True))
    return statistics.median(whole), statistics.median(core), difference


def batch(guard: Guard, cli: str, count: int = 40_000) -> tuple[float, float]:
    """Records a second: of `check_batch`, and of the command."""
    texts = list(MESSAGES.values())
    records = [{"id": at, "request": f"{at} {texts[at % len(texts)]}"} for at in range(count)]
    python = 0.0
    for _ in range(5):
        start = time.perf_counter()
        guard.check_batch(records)
        python = max(python, count / (time.perf_counter() - start))
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log.jsonl")
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
        command = [cli, "score", "--no-models", str(log), "-o", str(Path(folder, "out.jsonl"))]
        rust = 0.0
        for _ in range(5):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            found = re.search(r"\((\d+) a second", done.stderr)
            if found is None:
                sys.exit(f"`{' '.join(command)}` said: {done.stderr}")
            rust = max(rust, float(found[1]))
    return python, rust


def cold_start() -> float:
    """Milliseconds from `import` to the first verdict, the median of nine processes."""
    run = [sys.executable, "-c", COLD]
    times = [float(subprocess.run(run, capture_output=True, text=True, check=True).stdout) for _ in range(9)]
    return statistics.median(times) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cli", help="the command to compare with, built with the same profile")
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, {platform.machine()}, {time.strftime('%Y-%m-%d')}")
    guard = Guard("default", models=False)
    for name, text in MESSAGES.items():
        whole, core, difference = border(guard, text)
        print(f"check, {name}: {whole:.1f} µs, of which the core {core:.1f} µs; border {difference:.1f} µs")
    if arguments.cli:
        python, rust = batch(guard, arguments.cli)
        print(f"check_batch: {python:,.0f} a second; command: {rust:,.0f} a second; {python / rust:.2f} of it")
    print(f"import to first verdict with both models: {cold_start():.0f} ms")


if __name__ == "__main__":
    main()
