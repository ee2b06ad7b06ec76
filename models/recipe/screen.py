"""The screen: static embeddings of tokens and token pairs, gated pooling, a small head. `models/README.md` gives the
arithmetic in words; `Screen` is what is trained, `run` is the reference over the stored bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from common import LABELS, PREFIXES

WIDTH, BUCKETS, GATES, HIDDEN, WORDS = 64, 1 << 16, 3, 64, 30522
CLS, SEP = 101, 102
SURFACES = list(PREFIXES)


def bucket(previous: np.ndarray, current: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Hash of two neighboring tokens, and of whether they belong to the context, to sixteen bits."""
    p, c, s = (a.astype(np.uint32) for a in (previous, current, context))
    h = (p * np.uint32(0x9E3779B1)) ^ (c * np.uint32(0x85EBCA77)) ^ (s * np.uint32(0xC2B2AE3D))
    h ^= h >> np.uint32(15)
    return ((h * np.uint32(0x2C1B3C6D)) >> np.uint32(16)).astype(np.int64)


def features(window: list[int], where: str, prefix: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token, bucket and segment of each position of a full model's window, without prefix and last `[SEP]`.

    Position 0 is `[CLS]`. A `[SEP]` inside the window starts the context: from there on the segment is another one.
    """
    tokens = np.array([window[0], *window[1 + prefix : -1]], dtype=np.int64)
    context = np.cumsum(tokens == SEP) > 0
    previous = np.concatenate([[0], tokens[:-1]])
    segment = SURFACES.index(where) + len(SURFACES) * context
    return tokens, bucket(previous, tokens, context), segment


class Screen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH, sparse=True)
        self.pairs = nn.Embedding(BUCKETS, WIDTH, sparse=True)
        self.segments = nn.Embedding(2 * len(SURFACES), WIDTH)
        self.gates = nn.Linear(WIDTH, GATES)
        self.hidden = nn.Linear(WIDTH * (GATES + 1), HIDDEN)
        self.out = nn.Linear(HIDDEN, len(LABELS))
        nn.init.normal_(self.words.weight, std=0.1)
        nn.init.zeros_(self.pairs.weight)
        nn.init.normal_(self.segments.weight, std=0.02)

    def forward(self, tokens: Tensor, buckets: Tensor, segments: Tensor, mask: Tensor) -> Tensor:
        e = self.words(tokens) + self.pairs(buckets) + self.segments(segments)
        gone = (1.0 - mask).unsqueeze(-1) * -10000.0
        weights = torch.softmax(self.gates(e) + gone, dim=1)
        pooled = weights.transpose(1, 2) @ e
        peak = (e + gone).amax(1, keepdim=True)
        flat = torch.cat([pooled, peak], dim=1).flatten(1)
        return self.out(torch.relu(self.hidden(flat)))


class Stored:
    """The screen as it is shipped."""

    def __init__(self, path: Path) -> None:
        t = load_file(path)
        self.words = t["words"].astype(np.float32) * t["words_scale"][:, None]
        self.pairs = t["pairs"].astype(np.float32) * t["pairs_scale"][:, None]
        self.t = t

    def run(self, window: list[int], where: str, prefix: int) -> np.ndarray:
        """Logits of one window."""
        tokens, buckets, segments = features(window, where, prefix)
        e = self.words[tokens] + self.pairs[buckets] + self.t["segments"][segments]
        z = e @ self.t["gates_weight"].T + self.t["gates_bias"]
        z = np.exp(z - z.max(0))
        pooled = (z / z.sum(0)).T @ e
        flat = np.concatenate([pooled, e.max(0, keepdims=True)]).reshape(-1)
        hidden = np.maximum(self.t["hidden_weight"] @ flat + self.t["hidden_bias"], 0)
        return self.t["out_weight"] @ hidden + self.t["out_bias"]

    def run_all(self, windows: list[list[int]], surfaces: list[str], prefixes: dict[str, int]) -> np.ndarray:
        """Logits of many windows."""
        return np.stack([self.run(w, s, prefixes[s]) for w, s in zip(windows, surfaces, strict=True)])
