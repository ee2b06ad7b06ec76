"""Scores messages with the shipped models in Python; the Rust engine's scores take the same form."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from common import LABELS, MODELS, WORK, Encoder, pad
from screen import Stored

TOKENS_PER_BATCH = 2048


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_windows(model: onnxruntime.InferenceSession, windows: list[list[int]]) -> np.ndarray:
    """Logits of each window, computed in batches of like length."""
    out = np.zeros((len(windows), len(LABELS)), dtype=np.float32)
    order = sorted(range(len(windows)), key=lambda i: len(windows[i]))
    batch: list[int] = []

    def flush() -> None:
        if batch:
            ids, mask = pad([windows[i] for i in batch])
            out[batch] = model.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
            batch.clear()

    for index in order:
        if (len(batch) + 1) * len(windows[index]) > TOKENS_PER_BATCH:
            flush()
        batch.append(index)
    flush()
    return out


def full_model() -> onnxruntime.InferenceSession:
    return session(MODELS / "full.onnx")


def windows_of(rows: list[dict]) -> tuple[list[list[int]], np.ndarray]:
    """The windows of all messages, and to which message each belongs."""
    encoded = Encoder().encode([r["kind"] for r in rows], [r["text"] for r in rows], [r["context"] for r in rows])
    owner = np.repeat(np.arange(len(rows)), [len(m) for m in encoded])
    return [w for message in encoded for w in message], owner


@dataclass
class Scored:
    """Logits of every window by both tiers, and to which message each window belongs."""

    full: np.ndarray
    screen: np.ndarray
    owner: np.ndarray

    def messages(self, windows: np.ndarray) -> np.ndarray:
        """Of each label the largest among a message's windows."""
        starts = np.concatenate([[0], np.flatnonzero(np.diff(self.owner)) + 1])
        return np.maximum.reduceat(windows, starts, axis=0)


def cached(name: str, rows: list[dict]) -> Scored:
    """Both tiers' logits of the rows, kept in `work/` until a model or the rows change."""
    rows_hash = hashlib.sha256(repr([(r["id"], r["kind"], r["text"]) for r in rows]).encode())
    out = []
    for tier in ("full.onnx", "screen.safetensors"):
        digest = rows_hash.copy()
        digest.update((MODELS / tier).read_bytes())
        path = WORK / f"scores_{name}_{tier.split('.')[0]}_{digest.hexdigest()[:12]}.npy"
        if not path.exists():
            windows, _ = windows_of(rows)
            full = tier == "full.onnx"
            np.save(path, run_windows(full_model(), windows) if full else Stored(MODELS / tier).run(windows))
        out.append(np.load(path))
    return Scored(out[0], out[1], windows_of(rows)[1])
