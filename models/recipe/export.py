"""Exports `work/full.pt` as `models/full.onnx` with dynamic int8 weights, and checks it against torch.

Inputs `input_ids`, `attention_mask` (int64, [batch, tokens]); outputs `logits` [batch, labels] and `embedding`
[batch, 384] of unit length. Matrices of the encoder are int8, symmetric, one scale a column, seven bits so that
processors without VNNI do not saturate; the word table is int8 with one scale a row. Heads and norms stay float32.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import Tensor, nn

from common import MAX_TOKENS, MODELS, WORK, pad, read_jsonl
from model import Guard, from_base

OPSET = 17
LIMIT = 25_000_000


class ByteTable(nn.Module):
    """An embedding table of signed bytes, scaled by row."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
        self.register_buffer("table", torch.round(weight / scale).to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        return self.table[ids].to(torch.float32) * self.scale[ids]


class Positions(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight[: 2 * MAX_TOKENS].clone())


def simplify(model: Guard) -> Guard:
    """Replaces the tables by what is shipped."""
    model.embed.words = ByteTable(model.embed.words.weight.detach())
    model.embed.positions = Positions(model.embed.positions.weight.detach())
    return model.eval()


def to_onnx(model: Guard, path: Path) -> None:
    ids = torch.randint(1000, 20000, (2, 12))
    torch.onnx.export(
        model,
        (ids, torch.ones_like(ids)),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["logits", "embedding"],
        dynamic_axes={
            "input_ids": {0: "batch", 1: "tokens"},
            "attention_mask": {0: "batch", 1: "tokens"},
            "logits": {0: "batch"},
            "embedding": {0: "batch"},
        },
        opset_version=OPSET,
        dynamo=False,
    )


def quantize(source: Path, target: Path, seven_bits: bool) -> None:
    graph = onnx.load(source).graph
    matrices = {i.name: i for i in graph.initializer}
    encoder = [
        n.name
        for n in graph.node
        if n.op_type == "MatMul" and n.input[1] in matrices and max(matrices[n.input[1]].dims) >= 384
        and min(matrices[n.input[1]].dims) >= 384
    ]  # fmt: skip
    quantize_dynamic(
        str(source),
        str(target),
        nodes_to_quantize=encoder,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=seven_bits,
    )


def compare(model: Guard, path: Path, rows: list[list[int]]) -> tuple[float, float]:
    """Largest and mean difference of the probabilities between torch and the exported graph."""
    session = onnxruntime.InferenceSession(str(path))
    differences = []
    for start in range(0, len(rows), 16):
        ids, mask = pad(rows[start : start + 16])
        logits = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        with torch.no_grad():
            expected = model(torch.from_numpy(ids), torch.from_numpy(mask))[0].numpy()
        differences.append(np.abs(1 / (1 + np.exp(-logits)) - 1 / (1 + np.exp(-expected))))
    everything = np.concatenate(differences)
    return float(everything.max()), float(everything.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=WORK / "full.pt")
    parser.add_argument("--eight-bits", action="store_true", help="use all eight bits of the weights")
    arguments = parser.parse_args()
    model = from_base()
    model.load_state_dict(torch.load(arguments.weights))
    model = simplify(model)
    rows = [r["ids"] for r, _ in zip(read_jsonl(WORK / "train.jsonl"), range(256), strict=False)]
    target = MODELS / "full.onnx"
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        to_onnx(model, plain)
        print("float32: largest and mean difference {:.2e} {:.2e}".format(*compare(model, plain, rows)))
        quantize(plain, target, seven_bits=not arguments.eight_bits)
    print("int8: largest and mean difference {:.2e} {:.2e}".format(*compare(model, target, rows)))
    operators = sorted({n.op_type for n in onnx.load(target).graph.node})
    size = target.stat().st_size
    print(f"{target}: {size} bytes, operators {', '.join(operators)}")
    if size > LIMIT:
        raise SystemExit(f"larger than {LIMIT} bytes")


if __name__ == "__main__":
    main()
