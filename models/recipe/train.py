"""Fine-tunes the full model on `work/train.jsonl` and writes `work/full.pt`, the average of the last checkpoints.

Resumes from `work/checkpoint.pt`. Uses a GPU when there is one, bf16 autocast either way. On a CPU two workers of one
thread each share the weights without locks (Hogwild): on a machine with other work, faster than two threads that wait
for one another, at the price that two runs differ in the last digits.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, multiprocessing
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


def schedule(step: int, steps: int) -> float:
    """Linear warm-up over a twentieth of the run, then linear decay to a twelfth of the rate."""
    return min((step + 1) / (steps / 20 + 1), 1.0) * (0.08 + 0.92 * (1 - step / steps))


class Optimizers:
    """AdamW for the body and, at eight times the rate, for the heads; sparse Adam for the word table."""

    def __init__(self, model: Guard, rate: float) -> None:
        named = list(model.named_parameters())
        heads = [p for n, p in named if n.startswith(("harms", "attacks", "responses"))]
        body = [p for n, p in named if n.startswith(("layers", "embed.norm", "embed.positions"))]
        table = [p for n, p in named if n.startswith("embed.words")]
        groups = [{"params": body, "base": rate}, {"params": heads, "base": 8 * rate}]
        self.dense = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01, fused=True)
        self.sparse = torch.optim.SparseAdam([{"params": table, "base": rate}], lr=rate)
        self.clipped = body + heads

    def step(self, factor: float) -> None:
        torch.nn.utils.clip_grad_norm_(self.clipped, 1.0)
        for optimizer in (self.dense, self.sparse):
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * factor
            optimizer.step()
            optimizer.zero_grad()


def save(path: Path, step: int, steps: int, model: Guard) -> None:
    state = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    partial = path.with_suffix(".part")
    torch.save({"step": step, "steps": steps, "model": state}, partial)
    partial.rename(path)


def work(rank: int, model: Guard, rate: float, plan: list[list[int]], counter, save_every: int, workers: int) -> None:
    """Takes batches from the common plan until it is done; the weights are shared, the optimizers' moments are not."""
    torch.manual_seed(SEED + rank)
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    ids, y, guess = load()
    optimizers = Optimizers(model, rate)
    keep_from, keep_every = int(len(plan) * 0.75), max(1, len(plan) // 32)
    began, first, running, parent = time.time(), None, [], os.getppid()
    while os.getppid() == parent:
        with counter.get_lock():
            step = counter.value
            counter.value += 1
        if step >= len(plan):
            return
        first = step if first is None else first
        chosen = plan[step]
        window, mask = (torch.from_numpy(a).to(DEVICE) for a in pad([ids[i] for i in chosen]))
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            logits, _ = model(window, mask)
        known, sure = torch.from_numpy(y[chosen]).to(DEVICE), torch.from_numpy(guess[chosen]).to(DEVICE)
        loss = loss_of(logits.float(), known, sure)
        loss.backward()
        optimizers.step(schedule(step, len(plan)))
        running.append(loss.item())
        done = step + 1
        if done % 25 == 0:
            pace = (time.time() - began) / (done - first)
            left = pace * (len(plan) - done) / 60
            mean = sum(running) / len(running)
            print(f"step {done}/{len(plan)} loss {mean:.4f} {pace:.2f} s/step, {left:.0f} min left", flush=True)
            running = []
        if done >= keep_from and (done % keep_every == 0 or done == len(plan)):
            save(WORK / "snapshots" / f"{done:06}.pt", done, len(plan), model)
        if done % save_every == 0:
            save(WORK / "checkpoint.pt", done, len(plan), model)


def average(paths: list[Path]) -> dict[str, Tensor]:
    states = [torch.load(path)["model"] for path in paths]
    return {name: torch.stack([s[name].float() for s in states]).mean(0) for name in states[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.2e-4)
    parser.add_argument("--start", type=Path, help="start from these weights instead of the base model's")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many rows")
    parser.add_argument("--limit", type=int, help="use only so many rows")
    parser.add_argument("--save-every", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2 if DEVICE == "cpu" else 1, help="1 repeats bit for bit")
    arguments = parser.parse_args()
    torch.manual_seed(SEED)

    lengths = [len(row) for row in load()[0]][: arguments.limit]
    plan = [b for epoch in range(arguments.epochs) for b in batches(lengths[arguments.skip :], SEED + epoch)]
    plan = [[i + arguments.skip for i in batch] for batch in plan]
    model: Guard = from_base()
    if arguments.start:
        state = torch.load(arguments.start)
        model.load_state_dict(state.get("model", state))
    step, checkpoint, snapshots = 0, WORK / "checkpoint.pt", WORK / "snapshots"
    if checkpoint.exists() and (saved := torch.load(checkpoint))["steps"] == len(plan):
        step = saved["step"]
        model.load_state_dict(saved["model"])
        print(f"resumed at step {step}", flush=True)
    elif snapshots.exists():
        shutil.rmtree(snapshots)
    snapshots.mkdir(parents=True, exist_ok=True)
    model.to(DEVICE).train()

    context = multiprocessing.get_context("spawn")
    counter = context.Value("l", step)
    job = (model, arguments.rate, plan, counter, arguments.save_every, arguments.workers)
    if arguments.workers == 1:
        work(0, *job)
    else:
        model.share_memory()
        multiprocessing.spawn(work, job, nprocs=arguments.workers)
    torch.save(average(sorted(snapshots.glob("*.pt"))[-6:]), WORK / "full.pt")
    checkpoint.unlink(missing_ok=True)
    print(f"wrote {WORK / 'full.pt'}")


if __name__ == "__main__":
    main()
