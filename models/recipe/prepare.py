"""Builds the training rows: public rows sampled evenly by source, our own rows, and what is made from both.

Writes `work/train.jsonl` (token ids, targets), `work/own_dev.jsonl` (held-out topics of our own rows) and, for the
screen, `work/pool.jsonl` (many more public rows whose targets come mostly from the full model).
Rows that `mine.py` found are added where its list exists.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections import defaultdict

from common import (
    ATTACKS,
    HARMS,
    LABEL_INDEX,
    LABELS,
    OWN_DATA,
    PUBLIC_DATA,
    SEED,
    WORK,
    Encoder,
    read_jsonl,
    surface,
    write_jsonl,
)
from insertions import NOTICES, insert, instruction

CAP_SAFE, CAP_UNSAFE = 550, 800
CAPS = {
    "davidson": 250, "vicomtech_stormfront": 250, "diasafety": 300, "edos": 500, "bias_madlibs": 400, "kdconv": 300,
    "coconot": 1600, "wildguard_train_subset": 1700, "mlc_v05": 1100, "blackfriday_prompts": 900,
    "security_docs_hard_negatives": 900, "refusal_direction_responses": 1200, "bipia_train": 1500, "tldr": 900,
    "intercode": 900, "injecagent_clean": 300, "xquad": 900, "convabuse": 600, "hatemoji_build": 700,
}  # fmt: skip
"""Where a source deserves more or fewer rows of each class than the rest: fewer where its labels are noisy."""

NOISY = {
    "davidson",
    "vicomtech_stormfront",
    "diasafety",
    "edos",
    "toxigen_human",
    "surge_toxicity",
    "convabuse",
}
SILENT_ON_REFUSAL = {"caia_safe_dialogs", "coconot_responses", "gptfuzz_responses", "openai_rbr"}
COMPLYING = {"gptfuzz_responses", "gptfuzz_responses_train", "openai_rbr"}
OWN_COPIES = {"own_agents": 6}
USUAL_COPIES = 3
"""How often a row of ours is shown: more often where there are few of its kind."""
FRAMES = [
    "Hello! {}", "Hi, could you please help me with this? {}", "{} Thank you so much!", "please: {}",
    "I hope you are well. {} Best regards", "For educational purposes only: {}", "Just out of curiosity, {}",
    "{} (I know you have rules, this is fine.)", "Quick question. {}", "Disclaimer: this is hypothetical. {}",
    "I am asking as a professional. {}", "hey so {}", "Dear assistant, {} Kind regards.", "{} Be brief.",
    "{} Answer in detail, step by step.", "My friend wants to know: {}",
]  # fmt: skip
LEET = str.maketrans("aeiost", "431057")


def targets(row: dict, own: bool) -> list[float]:
    """One number a label: 1, 0, or -1 where the source does not tell."""
    given = [label for label in row["labels"] if label in LABEL_INDEX]
    y = [0.0] * len(LABELS)
    for label in given:
        y[LABEL_INDEX[label]] = 1.0
    y[LABEL_INDEX["unsafe"]] = float(row["unsafe"])
    if own:
        return y
    if row["unsafe"] and (not given or "unspecified" in row["labels"]):
        for label in HARMS + ATTACKS:
            if label not in given:
                y[LABEL_INDEX[label]] = -1.0
    if row["unsafe"] and given == ["specialized_advice"]:
        y[LABEL_INDEX["unsafe"]] = -1.0
    if row["kind"] == "response":
        if row["unsafe"]:
            y[LABEL_INDEX["harmful_compliance"]] = 1.0 if row["set"] in COMPLYING else -1.0
        if row["set"] in SILENT_ON_REFUSAL and "refusal" not in given:
            y[LABEL_INDEX["refusal"]] = -1.0
    return y


def held_out(row: dict) -> bool:
    """A twentieth of our own rows, whole topics at a time."""
    digest = hashlib.sha256(f"{row['topic']}".encode()).digest()
    return digest[0] < 256 / 20


def own_rows() -> list[dict]:
    """All our rows, checked: known labels, no text twice on the same surface and context."""
    rows, seen = [], set()
    for path in sorted(OWN_DATA.glob("*.jsonl")):
        for number, row in enumerate(read_jsonl(path), 1):
            where = f"{path.name}:{number}"
            unknown = [label for label in row["labels"] if label not in LABEL_INDEX]
            if unknown or row["unsafe"] not in (0, 1) or not row.get("pair") or not row["text"].strip():
                raise SystemExit(f"{where}: bad row, unknown labels {unknown}")
            key = (row["kind"], row["context"], row["text"])
            if key in seen:
                raise SystemExit(f"{where}: the same row twice")
            seen.add(key)
            rows.append({**row, "set": f"own_{path.stem}", "id": where})
    return rows


def sample(rng: random.Random, rows: list[dict], share: float) -> list[dict]:
    """At most so many rows of each source and class."""
    groups: dict[tuple[str, int], list[dict]] = defaultdict(list)
    for row in rows:
        groups[row["set"], row["unsafe"]].append(row)
    kept = []
    for (source, unsafe), group in sorted(groups.items()):
        rng.shuffle(group)
        kept += group[: int(share * CAPS.get(source, CAP_UNSAFE if unsafe else CAP_SAFE))]
    return kept


def locate_insertions(rows: list[dict]) -> list[dict]:
    """Cuts each poisoned document of BIPIA to the passage round the inserted instruction, found from its clean twin."""
    clean: dict[str | None, list[str]] = defaultdict(list)
    for row in rows:
        if not row["unsafe"]:
            clean[row["context"]].append(row["text"])
    located = []
    for row in rows:
        if not row["unsafe"]:
            located.append(row)
            continue
        text = row["text"]
        for base in clean[row["context"]]:
            head = next((i for i, (a, b) in enumerate(zip(text, base, strict=False)) if a != b), len(base))
            tail = next((i for i, (a, b) in enumerate(zip(text[::-1], base[::-1], strict=False)) if a != b), len(base))
            if head + tail >= len(base) - 8 and len(text) > len(base):
                start, end = max(0, head - 180), min(len(text), len(text) - tail + 180)
                located.append({**row, "text": text[start:end]})
                break
    return located


def insertion_pairs(rng: random.Random, documents: list[dict], requests: list[str], count: int) -> list[dict]:
    """Tool results with an instruction inserted, each beside its clean twin, which may hold a harmless notice."""
    made = []
    for _ in range(count):
        document = rng.choice(documents)["text"]
        size = rng.randrange(80, 420)
        start = rng.randrange(max(1, len(document) - size))
        passage = document[start : start + size]
        base = {"kind": "tool_result", "context": None, "set": "made_insertions"}
        poisoned = insert(rng, passage, instruction(rng, requests))
        clean = insert(rng, passage, rng.choice(NOTICES)) if rng.random() < 0.4 else passage
        made.append({**base, "text": poisoned, "unsafe": 1, "labels": ["prompt_injection"]})
        made.append({**base, "text": clean, "unsafe": 0, "labels": []})
    return made


def buried(rng: random.Random, attacks: list[dict], documents: list[dict], count: int) -> list[dict]:
    """Short attacks and harmful requests inside an ordinary passage, and as many passages with a harmless request."""
    short = [row for row in attacks if len(row["text"]) < 260 and row["kind"] == "request"]
    made = []
    for _ in range(count):
        row = rng.choice(short)
        document = rng.choice(documents)["text"]
        size = rng.randrange(80, 380)
        start = rng.randrange(max(1, len(document) - size))
        made.append({**row, "text": insert(rng, document[start : start + size], row["text"])})
    return made


def refused(rng: random.Random, own: list[dict], count: int) -> list[dict]:
    """Harmful requests, each answered by a refusal written for another one, and harmless ones over-refused."""
    refusals = [r["text"] for r in own if r["labels"] == ["refusal"] and len(r["text"]) < 220]
    requests = [r["text"] for r in own if r["kind"] == "request"]
    base = {"kind": "response", "unsafe": 0, "labels": ["refusal"], "set": "made_refusals"}
    return [{**base, "context": rng.choice(requests), "text": rng.choice(refusals)} for _ in range(count)]


def disguise(rng: random.Random, text: str) -> str:
    """A light obfuscation of the sort that remains after the engine has normalized a text."""
    trick = rng.randrange(4)
    if trick == 0:
        return text.lower().translate(LEET)
    if trick == 1:
        return " ".join("".join(f"{c} " for c in w) if rng.random() < 0.4 else w for w in text.split())
    if trick == 2:
        return "".join(c for c in text if rng.random() > 0.06)
    return " ".join(w[:1] + "." + w[1:] if len(w) > 4 and rng.random() < 0.5 else w for w in text.split())


def augment(rng: random.Random, row: dict) -> dict:
    """A variant of a row of ours that keeps its label: framed, or lightly disguised."""
    if row["kind"] != "request" or len(row["text"]) > 350:
        return row
    draw = rng.random()
    if draw < 0.30:
        return {**row, "text": rng.choice(FRAMES).format(row["text"])}
    if draw < 0.36:
        return {**row, "text": disguise(rng, row["text"])}
    return row


def encode(rng: random.Random, encoder: Encoder, rows: list[dict]) -> list[dict]:
    """Token ids and targets: one window a row, the first or, of long text, sometimes another one."""
    windows = encoder.encode([r["kind"] for r in rows], [r["text"] for r in rows], [r["context"] for r in rows])
    encoded = []
    for row, choice in zip(rows, windows, strict=True):
        ids = choice[0] if rng.random() < 0.5 else rng.choice(choice)
        own = row["set"].startswith(("own_", "made_"))
        encoded.append({"ids": ids, "y": targets(row, own), "guess": int(not own), "set": row["set"],
                        "kind": surface(row["kind"])})  # fmt: skip
    return encoded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pool", type=int, default=120_000, help="most rows of the pool for the screen")
    parser.add_argument("--share", type=float, default=1.0, help="scales the caps of the public sources")
    parser.add_argument("--seed", type=int, default=SEED)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    encoder = Encoder()

    own = own_rows()
    write_jsonl(WORK / "own_dev.jsonl", [r for r in own if held_out(r)])
    own = [r for r in own if not held_out(r)]

    public, seen = [], {r["text"] for r in own}
    for row in read_jsonl(PUBLIC_DATA / "train.jsonl.gz"):
        if row["commercial"] and row["text"] not in seen:
            seen.add(row["text"])
            public.append({**row, "text": row["text"][:12_000]})
    bipia = locate_insertions([r for r in public if r["set"] == "bipia_train"])
    public = [r for r in public if r["set"] != "bipia_train"] + bipia
    by_id = {r["id"]: r for r in public}

    chosen = sample(rng, public, arguments.share)
    documents = [r for r in public if r["kind"] in ("tool_result", "text") and not r["unsafe"]
                 and len(r["text"]) > 120 and r["set"] not in NOISY]  # fmt: skip
    results = [r for r in documents if r["kind"] == "tool_result"]
    harmless = [r["text"] for r in own if r["kind"] == "request" and not r["unsafe"] and len(r["text"]) < 160]
    harmful = [r for r in own if r["unsafe"]]

    made = insertion_pairs(rng, results, harmless, 3000)
    made += buried(rng, harmful, documents, 1500)
    made += buried(rng, [r for r in own if r["kind"] == "request" and not r["unsafe"]], documents, 1500)
    made += refused(rng, own, 700)
    copies = [
        row if n == 0 else augment(rng, row) for row in own for n in range(OWN_COPIES.get(row["set"], USUAL_COPIES))
    ]

    mined_file = WORK / "mined.json"
    mined = [by_id[i] for i in json.loads(mined_file.read_text()) if i in by_id] if mined_file.exists() else []

    rows = chosen + copies + made + mined * 2
    rng.shuffle(rows)
    encoded = encode(rng, encoder, rows)
    write_jsonl(WORK / "train.jsonl", encoded)
    tokens = sum(len(r["ids"]) for r in encoded)
    print(f"train: {len(encoded)} rows, {tokens} tokens; public {len(chosen)}, own {len(own)}, made {len(made)}, "
          f"mined {len(mined)}")  # fmt: skip

    rest = [r for r in public if r["set"] not in NOISY]
    rng.shuffle(rest)
    pool = encode(rng, encoder, rest[: arguments.pool])
    for row, source in zip(pool, rest, strict=False):
        row["id"], row["safe"] = source["id"], int(not source["unsafe"])
    write_jsonl(WORK / "pool.jsonl", pool)
    print(f"pool: {len(pool)} rows")


if __name__ == "__main__":
    main()
