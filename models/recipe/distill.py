"""Trains the screen on the labels and on the full model's soft scores, and writes `models/screen.safetensors`.

Needs `work/teacher.npz` from `teach.py`. Also writes `work/screen.onnx`, the same computation for a cross-check.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn import functional

from common import MODELS, SEED, UNSAFE, WORK, pad, read_jsonl
from model import from_base
from screen import PAIRS, WIDTH, Screen, Stored, pairs_of

BATCH = 256
SOFT = 0.7
"""Share of the teacher in the loss where there is a label too; the pool has the teacher alone."""


def start(screen: Screen) -> None:
    """Principal components of the base model's word table, scaled down."""
    table = from_base().embed.words.weight.detach()
    centered = table - table.mean(0)
    _, _, axes = torch.linalg.svd(centered.T @ centered)
    screen.unigram.weight.data = centered @ axes[:WIDTH].T * 0.3


def collate(windows: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
    ids, mask = pad(windows)
    pairs = np.full_like(ids, PAIRS)
    for i, window in enumerate(windows):
        pairs[i, 1 : len(window)] = pairs_of(np.array(window))
    return torch.from_numpy(ids), torch.from_numpy(pairs), torch.from_numpy(mask).float()


def loss_of(logits: Tensor, y: Tensor, teacher: Tensor) -> Tensor:
    soft = functional.binary_cross_entropy_with_logits(logits, torch.sigmoid(teacher), reduction="none")
    hard = functional.binary_cross_entropy_with_logits(logits, y.clamp(min=0), reduction="none")
    share = torch.where(y >= 0, SOFT, 1.0)
    losses = share * soft + (1 - share) * hard
    return losses[:, :UNSAFE].sum(1).mean() / 4 + 2 * losses[:, UNSAFE].mean()


def quantized(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scale = np.maximum(np.abs(table).max(1), 1e-8) / 127
    return np.round(table / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def store(screen: Screen) -> None:
    state = {name: np.ascontiguousarray(value.detach().numpy()) for name, value in screen.state_dict().items()}
    unigram, unigram_scale = quantized(state.pop("unigram.weight"))
    bigram, bigram_scale = quantized(state.pop("bigram.weight")[:PAIRS])
    tables = {"unigram": unigram, "unigram.scale": unigram_scale, "bigram": bigram, "bigram.scale": bigram_scale}
    save_file(tables | {"gate": state.pop("gate.weight")[0]} | state, MODELS / "screen.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rate", type=float, default=2e-3)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    rng = np.random.default_rng(SEED)

    teacher = np.load(WORK / "teacher.npz")
    inputs, y, soft = [], [], []
    for name in ("train", "pool"):
        rows = read_jsonl(WORK / f"{name}.jsonl")
        for row, z in zip(rows, teacher[name], strict=False):
            inputs.append(row["ids"])
            y.append(row["y"] if name == "train" else [-1.0] * len(row["y"]))
            soft.append(z)
    targets, teachers = torch.tensor(y), torch.from_numpy(np.stack(soft))
    lengths = np.array([len(i) for i in inputs])
    print(f"{len(inputs)} rows", flush=True)

    screen = Screen()
    start(screen)
    tables = [*screen.unigram.parameters(), *screen.bigram.parameters()]
    rest = [p for n, p in screen.named_parameters() if not n.startswith(("unigram", "bigram"))]
    optimizers = [torch.optim.SparseAdam(tables, lr=arguments.rate), torch.optim.Adam(rest, lr=arguments.rate)]
    per_epoch = -(-len(inputs) // BATCH)
    step, total, began, running = 0, per_epoch * arguments.epochs, time.time(), 0.0
    for _ in range(arguments.epochs):
        order = np.argsort(lengths + rng.random(len(lengths)) * 12)
        for number in rng.permutation(per_epoch):
            chosen = order[number * BATCH : (number + 1) * BATCH]
            batch = collate([inputs[i] for i in chosen])
            loss = loss_of(screen(*batch), targets[chosen], teachers[chosen])
            loss.backward()
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = arguments.rate * max(0.02, 1 - step / total)
                optimizer.step()
                optimizer.zero_grad()
            step += 1
            running += loss.item()
            if step % 100 == 0:
                pace = (time.time() - began) / step
                print(
                    f"step {step}/{total} loss {running / 100:.4f}, {pace * (total - step) / 60:.1f} min left",
                    flush=True,
                )
                running = 0.0

    store(screen)
    stored, screen = Stored(MODELS / "screen.safetensors"), screen.eval()
    sample = [i for i in range(0, len(inputs), len(inputs) // 200)]
    with torch.no_grad():
        exact = torch.cat([screen(*collate([inputs[i]])) for i in sample]).numpy()
    shipped = stored.run([inputs[i] for i in sample])
    size = (MODELS / "screen.safetensors").stat().st_size
    print(f"{size} bytes; largest change of a logit through quantization {np.abs(exact - shipped).max():.3f}")
    torch.onnx.export(
        screen,
        collate([inputs[0], inputs[1]]),
        str(WORK / "screen.onnx"),
        input_names=["tokens", "pairs", "mask"],
        output_names=["logits"],
        dynamic_axes={n: {0: "batch", 1: "tokens"} for n in ("tokens", "pairs", "mask")},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main()
