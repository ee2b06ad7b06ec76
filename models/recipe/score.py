"""Scores messages with the shipped models in Python; the Rust engine's scores take the same form."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime

from common import LABELS, MODELS, WORK, Encoder, pad, surface
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


def largest(logits: np.ndarray, counts: list[int]) -> np.ndarray:
    """A message's logit is the largest among its windows'."""
    ends = np.cumsum(counts)
    return np.stack([logits[e - c : e].max(0) for e, c in zip(ends, counts, strict=True)])


def full_model() -> onnxruntime.InferenceSession:
    return session(MODELS / "full.onnx")


def both(rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """Logits of messages by the full model and by the screen, over the same windows."""
    encoder = Encoder()
    windows = encoder.encode([r["kind"] for r in rows], [r["text"] for r in rows], [r["context"] for r in rows])
    flat = [w for message in windows for w in message]
    surfaces = [surface(r["kind"]) for r, message in zip(rows, windows, strict=True) for _ in message]
    counts = [len(m) for m in windows]
    prefixes = {where: len(ids) for where, ids in encoder.prefixes.items()}
    full = run_windows(full_model(), flat)
    screen = Stored(MODELS / "screen.safetensors").run_all(flat, surfaces, prefixes)
    return largest(full, counts), largest(screen, counts)


def cached(name: str, rows: list[dict]) -> tuple[np.ndarray, np.ndarray]:
    """`both`, kept in `work/` until a model or the rows change."""
    digest = hashlib.sha256(repr([(r["id"], r["text"]) for r in rows]).encode())
    for model in ("full.onnx", "screen.safetensors"):
        digest.update((MODELS / model).read_bytes())
    path = WORK / f"scores_{name}_{digest.hexdigest()[:12]}.npz"
    if not path.exists():
        full, screen = both(rows)
        np.savez(path, full=full, screen=screen)
    saved = np.load(path)
    return saved["full"], saved["screen"]
