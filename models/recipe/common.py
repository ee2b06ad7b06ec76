"""What every step of the recipe shares: labels, surfaces, paths, and how a message becomes tokens.

The Rust engine encodes a message in the same way; `encode` is the reference.
"""

from __future__ import annotations

import gzip
import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

RECIPE = Path(__file__).resolve().parent
MODELS = RECIPE.parent
OWN_DATA = RECIPE / "data"
PUBLIC_DATA = Path(os.environ.get("BRIGHTLINE_DATA", MODELS.parent.parent / "shared" / "data"))
WORK = Path(os.environ.get("BRIGHTLINE_WORK", RECIPE / "work"))

HARMS = [
    "violent_crime", "nonviolent_crime", "sexual_crime", "child_exploitation", "weapons_cbrn",
    "weapons_conventional", "cyber_abuse", "self_harm", "hate", "harassment", "sexual_content", "privacy",
    "misinformation", "specialized_advice", "critical_infrastructure", "power_seizure",
]  # fmt: skip
ATTACKS = ["prompt_injection", "jailbreak", "system_prompt_extraction", "tool_abuse"]
RESPONSES = ["refusal", "harmful_compliance"]
LABELS = [*HARMS, *ATTACKS, *RESPONSES, "unsafe"]
LABEL_INDEX = {label: index for index, label in enumerate(LABELS)}
UNSAFE = LABEL_INDEX["unsafe"]

PREFIXES = {
    "request": "request:",
    "response": "response:",
    "tool_call": "call:",
    "tool_result": "result:",
}
"""What is put before the text so that one model serves all surfaces. A passage with no role is a request."""

WITH_CONTEXT = {"response", "tool_call"}
"""Surfaces judged together with the request they answer or the task they serve."""

MAX_TOKENS = 128
OVERLAP = 32
MAX_CONTEXT = 32
SEED = 20261121

INVISIBLE = {0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0xE0000, 0xE0080)}


def surface(kind: str) -> str:
    """The surface a kind of row is judged on."""
    return kind if kind in PREFIXES else "request"


def normalize(text: str) -> str:
    """The part of the engine's normalized view that matters to the tokenizer: NFKC, no invisible characters."""
    return unicodedata.normalize("NFKC", "".join(c for c in text if ord(c) not in INVISIBLE))


def read_jsonl(path: Path) -> Iterator[dict]:
    """The rows of a file of JSON lines, plain or gzipped."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


class Encoder:
    """Turns messages into windows of token ids: `[CLS] prefix text [SEP]`, then `context [SEP]` where it counts."""

    def __init__(self, path: Path | None = None) -> None:
        self.tokenizer = Tokenizer.from_file(str(path or MODELS / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        # A message that spells out `[SEP]` must not be able to forge one.
        self.tokenizer.encode_special_tokens = True
        self.cls = self.tokenizer.token_to_id("[CLS]")
        self.sep = self.tokenizer.token_to_id("[SEP]")
        self.prefixes = {s: self.tokens([p])[0] for s, p in PREFIXES.items()}

    def tokens(self, texts: list[str]) -> list[list[int]]:
        encoded = self.tokenizer.encode_batch([normalize(t) for t in texts], add_special_tokens=False)
        return [e.ids for e in encoded]

    def assemble(self, kind: str, body: list[int], context: list[int]) -> list[int]:
        """One window: the body must already fit, see `room`."""
        where = surface(kind)
        tail = [*context[:MAX_CONTEXT], self.sep] if context and where in WITH_CONTEXT else []
        return [self.cls, *self.prefixes[where], *body, self.sep, *tail]

    def room(self, kind: str, context: list[int]) -> int:
        """How many tokens of the text fit into one window."""
        return MAX_TOKENS - len(self.assemble(kind, [], context))

    def windows(self, kind: str, body: list[int], context: list[int]) -> list[list[int]]:
        """Overlapping windows over the whole text; the last one ends where the text ends."""
        room = self.room(kind, context)
        if len(body) <= room:
            return [self.assemble(kind, body, context)]
        starts = [*range(0, len(body) - room, room - OVERLAP), len(body) - room]
        return [self.assemble(kind, body[s : s + room], context) for s in starts]

    def encode(self, kinds: list[str], texts: list[str], contexts: list[str | None]) -> list[list[list[int]]]:
        """The windows of each message."""
        bodies = self.tokens(texts)
        around = self.tokens([c or "" for c in contexts])
        return [self.windows(k, b, c) for k, b, c in zip(kinds, bodies, around, strict=True)]


def pad(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and attention mask of one batch."""
    width = max(len(r) for r in rows)
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
