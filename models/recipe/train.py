"""Fine-tunes the full model on `work/train.jsonl` and writes `work/full.pt`, the average of the last checkpoints.

Resumes from `work/checkpoint.pt`. Uses a GPU when there is one, bf16 autocast either way.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from common import ATTACKS, HARMS, LABELS, SEED, UNSAFE, WORK, pad, read_jsonl
from model import Guard, from_base

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TOKENS_PER_BATCH = 3072
CATEGORIES = torch.tensor([label in HARMS + ATTACKS for label in LABELS])
GUESSED_NEGATIVE = 0.3
"""Weight of a category's absence where a public source chose the category by keyword."""


def load() -> tuple[list[list[int]], np.ndarray, np.ndarray]:
    ids, y, guess = [], [], []
    for row in read_jsonl(WORK / "train.jsonl"):
        ids.append(row["ids"])
        y.append(row["y"])
        guess.append(row["guess"])
    return ids, np.array(y, dtype=np.float32), np.array(guess, dtype=np.float32)


def batches(lengths: list[int], seed: int) -> list[list[int]]:
    """Rows of like length together, about the same number of tokens in each batch, in random order."""
    rng = random.Random(seed)
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] + rng.random() * 8)
    out: list[list[int]] = [[]]
    for i in order:
        if out[-1] and (len(out[-1]) + 1) * max(lengths[i], lengths[out[-1][0]]) > TOKENS_PER_BATCH:
            out.append([])
        out[-1].append(i)
    rng.shuffle(out)
    return out


def loss_of(logits: Tensor, y: Tensor, guess: Tensor) -> Tensor:
    """Binary cross-entropy over the known targets; `unsafe` counts as much as all categories together."""
    known = (y >= 0).float()
    weight = known * torch.where((y < 0.5) & CATEGORIES.to(y.device) & (guess[:, None] > 0), GUESSED_NEGATIVE, 1.0)
    losses = functional.binary_cross_entropy_with_logits(logits, y.clamp(min=0), reduction="none") * weight
    categories = losses[:, :UNSAFE].sum(1).mean()
    return categories / 4 + losses[:, UNSAFE].mean()


def average(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([s[name].float() for s in states]).mean(0) for name in states[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.2e-4)
    parser.add_argument("--start", type=Path, help="start from these weights instead of the base model's")
    parser.add_argument("--limit", type=int, help="use only so many rows")
    parser.add_argument("--save-every", type=int, default=200)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)

    ids, y, guess = load()
    if arguments.limit:
        ids = ids[: arguments.limit]
    lengths = [len(row) for row in ids]
    plan = [b for epoch in range(arguments.epochs) for b in batches(lengths, SEED + epoch)]

    model: Guard = from_base()
    if arguments.start:
        model.load_state_dict(torch.load(arguments.start))
    model.to(DEVICE).train()
    table = list(model.embed.words.parameters())
    heads = [p for n, p in model.named_parameters() if n.startswith(("harms", "attacks", "responses"))]
    body = [p for n, p in model.named_parameters() if n.startswith(("layers", "embed.norm", "embed.positions"))]
    groups = [{"params": body, "factor": 1.0}, {"params": heads, "factor": 8.0}]
    dense = torch.optim.AdamW(groups, lr=arguments.rate, weight_decay=0.01, fused=True)
    sparse = torch.optim.SparseAdam([{"params": table, "factor": 1.0}], lr=arguments.rate)

    step, states = 0, []
    checkpoint = WORK / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        if saved["plan"] == len(plan):
            step, states = saved["step"], saved["states"]
            model.load_state_dict(saved["model"])
            dense.load_state_dict(saved["dense"])
            sparse.load_state_dict(saved["sparse"])
            print(f"resumed at step {step}", flush=True)
    warm, keep_from, keep_every = len(plan) // 20 + 1, int(len(plan) * 0.75), max(1, len(plan) // 32)
    began, shown, running = time.time(), step, 0.0
    while step < len(plan):
        chosen = plan[step]
        rate = min((step + 1) / warm, 1.0) * (0.08 + 0.92 * (1 - step / len(plan)))
        for optimizer in (dense, sparse):
            for group in optimizer.param_groups:
                group["lr"] = arguments.rate * rate * group["factor"]
        window, mask = (torch.from_numpy(a).to(DEVICE) for a in pad([ids[i] for i in chosen]))
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            logits, _ = model(window, mask)
        loss = loss_of(
            logits.float(), torch.from_numpy(y[chosen]).to(DEVICE), torch.from_numpy(guess[chosen]).to(DEVICE)
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(body + heads, 1.0)
        for optimizer in (dense, sparse):
            optimizer.step()
            optimizer.zero_grad()
        step += 1
        running += loss.item()
        if step % 25 == 0:
            pace = (time.time() - began) / (step - shown)
            left = pace * (len(plan) - step) / 60
            print(
                f"step {step}/{len(plan)} loss {running / 25:.4f} {pace:.2f} s/step, {left:.0f} min left",
                flush=True,
            )
            running = 0.0
        if step >= keep_from and (step % keep_every == 0 or step == len(plan)):
            states.append({name: value.detach().cpu().clone() for name, value in model.state_dict().items()})
            states = states[-6:]
        if step % arguments.save_every == 0:
            torch.save({"plan": len(plan), "step": step, "states": states, "model": model.state_dict(),
                        "dense": dense.state_dict(), "sparse": sparse.state_dict()}, checkpoint)  # fmt: skip
    torch.save(average(states), WORK / "full.pt")
    checkpoint.unlink(missing_ok=True)
    print(f"wrote {WORK / 'full.pt'}")


if __name__ == "__main__":
    main()
