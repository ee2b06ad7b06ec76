"""Bare ONNX Runtime on the full model: prints lines `tokens milliseconds`, the median of many runs on one thread."""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import onnxruntime

LENGTHS = (16, 32, 64, 124)
RUNS = 60


def main() -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    for tokens in LENGTHS:
        ids = np.arange(1000, 1000 + tokens, dtype=np.int64)[None]
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        times = []
        for _ in range(RUNS):
            started = time.perf_counter()
            session.run(["logits", "embedding"], feed)
            times.append(time.perf_counter() - started)
        print(tokens, f"{statistics.median(times) * 1000:.3f}")


if __name__ == "__main__":
    main()
