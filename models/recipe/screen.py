"""The screen: static embeddings of tokens and token pairs, gated pooling, a small head.

`models/README.md` gives the arithmetic in words; `Screen` is what is trained, `Stored` the reference over the stored
bytes. It reads the same windows as the full model: `[CLS]`, prefix and context included.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor, nn

from common import LABELS

WIDTH, PAIRS, HIDDEN, WORDS = 72, 1 << 16, 96, 30522


def pairs_of(window: np.ndarray) -> np.ndarray:
    """The row of the pair table for each token but the first: a hash of the token before it and itself."""
    a, b = window[:-1].astype(np.uint32), window[1:].astype(np.uint32)
    h = (a * np.uint32(0x9E3779B1)) ^ (b * np.uint32(0x85EBCA6B))
    return ((h ^ (h >> np.uint32(16))) % np.uint32(PAIRS)).astype(np.int64)


class Screen(nn.Module):
    """Takes tokens, pairs (`PAIRS` where there is none) and mask, all [batch, tokens], to logits."""

    def __init__(self) -> None:
        super().__init__()
        self.unigram = nn.Embedding(WORDS, WIDTH, sparse=True)
        self.bigram = nn.Embedding(PAIRS + 1, WIDTH, sparse=True, padding_idx=PAIRS)
        self.gate = nn.Linear(WIDTH, 1)
        self.hidden = nn.Linear(2 * WIDTH, HIDDEN)
        self.out = nn.Linear(HIDDEN, len(LABELS))
        nn.init.zeros_(self.bigram.weight)

    def forward(self, tokens: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        e = self.unigram(tokens) + self.bigram(pairs)
        g = torch.sigmoid(self.gate(e)) * mask.unsqueeze(-1)
        weighted = g * e
        mean = weighted.sum(1) / g.sum(1).clamp(min=1e-6)
        top = (weighted + (mask.unsqueeze(-1) - 1.0) * 10000.0).amax(1)
        return self.out(torch.relu(self.hidden(torch.cat([mean, top], dim=1))))


class Stored:
    """The screen as it is shipped."""

    def __init__(self, path: Path) -> None:
        t = load_file(path)
        self.unigram = t["unigram"].astype(np.float32) * t["unigram.scale"][:, None]
        self.bigram = t["bigram"].astype(np.float32) * t["bigram.scale"][:, None]
        self.t = t

    def pooled(self, window: list[int]) -> np.ndarray:
        ids = np.array(window, dtype=np.int64)
        e = self.unigram[ids]
        e[1:] += self.bigram[pairs_of(ids)]
        g = 1 / (1 + np.exp(-(e @ self.t["gate"] + self.t["gate.bias"])))
        weighted = g[:, None] * e
        return np.concatenate([weighted.sum(0) / max(g.sum(), 1e-6), weighted.max(0)])

    def run(self, windows: list[list[int]]) -> np.ndarray:
        """Logits of each window."""
        pooled = np.stack([self.pooled(w) for w in windows])
        hidden = np.maximum(pooled @ self.t["hidden.weight"].T + self.t["hidden.bias"], 0)
        return hidden @ self.t["out.weight"].T + self.t["out.bias"]
