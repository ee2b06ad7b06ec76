#!/usr/bin/env python3
"""How often the shipped policies stop benign and unsafe rows of the labelled data beside the checkout.

Reads `data/dev.jsonl.gz` of the material named by BRIGHTLINE_SHARED (`../shared` without it); prints a Markdown table.
"""

import gzip
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target/release/brightline"
POLICIES = ("default", "model-spec", "constitution")
DETECTORS = {"patterns": ["--no-models"], "patterns and models": ["--models", "models"]}
STOPPED = {"redact", "revise", "escalate", "block"}


def record(row: dict) -> dict:
    """A row in the short form that `brightline score` takes."""
    kind, text, context = row["kind"], row["text"], row["context"]
    if kind == "tool_call":
        text = {"name": "tool", "arguments": text}
    before = {"request": context} if context and kind in ("response", "tool_call") else {}
    return {"id": row["id"], **before, kind: text}


def main() -> int:
    shared = Path(os.environ.get("BRIGHTLINE_SHARED", ROOT / "../shared"))
    data = shared / "data/dev.jsonl.gz"
    if not data.exists():
        print("skipped: the labelled data is not beside this checkout", file=sys.stderr)
        return 0
    with gzip.open(data, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    records = "".join(json.dumps(record(row)) + "\n" for row in rows)
    print("| policy | detectors | benign rows stopped | unsafe rows stopped |")
    print("| --- | --- | --- | --- |")
    for policy, (detectors, option) in product(POLICIES, DETECTORS.items()):
        command = [PROGRAM, "score", "--quiet", "--policy", policy, *option, "-"]
        run = subprocess.run(command, input=records, capture_output=True, text=True, cwd=ROOT, check=False)
        verdicts = [json.loads(line) for line in run.stdout.splitlines()]
        if len(verdicts) != len(rows) or any("error" in verdict for verdict in verdicts):
            print(f"`{policy}`: not every row was judged\n{run.stderr}", file=sys.stderr)
            return 1
        cells = []
        for unsafe in (0, 1):
            some = [v for row, v in zip(rows, verdicts, strict=True) if row["unsafe"] == unsafe]
            stopped = sum(verdict["action"] in STOPPED for verdict in some)
            cells.append(f"{stopped} of {len(some)} ({stopped / len(some):.2%})")
        print(f"| {policy} | {detectors} | {cells[0]} | {cells[1]} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
