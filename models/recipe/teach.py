"""Scores the training rows and the pool with the full model: targets for the screen, and rows to train on again.

Writes `work/teacher.npz` (logits, in the order of `train.jsonl` and `pool.jsonl`) and `work/mined.json`: ids of
benign public rows that the model takes for unsafe. Running `prepare.py` and `train.py` again learns from them.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from common import UNSAFE, WORK, read_jsonl
from score import full_model, run_windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=int, default=80_000, help="most rows of train.jsonl")
    parser.add_argument("--pool", type=int, default=120_000, help="most rows of pool.jsonl")
    parser.add_argument("--suspect", type=float, default=-1.5, help="logit of `unsafe` from which a safe row is mined")
    arguments = parser.parse_args()
    model = full_model()
    train = list(read_jsonl(WORK / "train.jsonl"))[: arguments.train]
    pool = list(read_jsonl(WORK / "pool.jsonl"))[: arguments.pool]
    pooled = run_windows(model, [r["ids"] for r in pool])
    suspects = [
        r["id"] for r, z in zip(pool, pooled, strict=True) if r["safe"] and z[UNSAFE] > arguments.suspect
    ]  # fmt: skip
    (WORK / "mined.json").write_text(json.dumps(suspects))
    print(f"mined {len(suspects)} of {sum(r['safe'] for r in pool)} benign rows", flush=True)
    trained = run_windows(model, [r["ids"] for r in train])
    np.savez(WORK / "teacher.npz", train=trained, pool=pooled)


if __name__ == "__main__":
    main()
