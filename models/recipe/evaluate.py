# ruff: noqa: E501
"""Measures the models on the test sets and writes `models/EVAL.md`.

`make eval` in the root of the repository runs these three, so that what is measured is the Rust engine:

    python evaluate.py --write rows.jsonl
    brightline score -p default rows.jsonl --scores -o verdicts.jsonl
    python evaluate.py --verdicts verdicts.jsonl

Without arguments the models run in Python, and nothing is said of the policy.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from aims import Measured, aims
from calibrate import cascade, dev_rows, sigmoid
from common import LABEL_INDEX, LABELS, MODELS, PREFIXES, PUBLIC_DATA, SEED, UNSAFE, WORK, read_jsonl, surface
from derived import FRAMES, OBFUSCATIONS, PLACES, variants
from score import cached

LOOKALIKES = ["or_bench", "xstest", "notinject", "cyberseceval_frr", "jailbreakbench_behaviors", "agentdojo_benign",
              "toxicchat_test"]  # fmt: skip
SHIPPED = {"request": 0.001, "response": 0.001, "tool_call": 0.001, "tool_result": 0.005}
"""The false-positive rates of the shipped operating points."""
WIDER = 0.01
BOOTSTRAPS = 200


def all_rows(most: int) -> dict[str, list[dict]]:
    """The rows of `dev`, those of `test` (at most so many of each set and class), and variants of some of them."""
    dev = dev_rows()
    taken: Counter[tuple[str, int]] = Counter()
    test = []
    for row in read_jsonl(PUBLIC_DATA / "test.jsonl.gz"):
        taken[row["set"], row["unsafe"]] += 1
        if not most or taken[row["set"], row["unsafe"]] <= most:
            test.append(row)
    documents = [r["text"] for r in dev if r["set"] in ("docs_markdown", "xquad", "topical_chat")]
    return {"dev": dev, "test": test, "derived": variants([r for r in test if r["set"] in (
        "xstest", "wildguard_test_subset", "or_bench", "toxicchat_test")], documents)}  # fmt: skip


def tool_call(text: str) -> dict:
    """A call as an agent makes it: `name({..})`, or else a command for a shell."""
    found = re.fullmatch(r"([\w.]+)\s*\(?\s*(\{.*\})\s*\)?", text, re.DOTALL)
    if found:
        try:
            json.loads(found[2])
            return {"name": found[1], "arguments": found[2]}
        except ValueError:
            pass
    return {"name": "shell", "arguments": json.dumps({"command": text}, ensure_ascii=False)}


def engine_row(row: dict) -> dict:
    """The form `brightline score` reads."""
    kind = row["kind"] if row["kind"] in (*PREFIXES, "text") else "text"
    out = {"id": row["id"], kind: tool_call(row["text"]) if kind == "tool_call" else row["text"]}
    if row["context"] and kind in ("response", "tool_call"):
        out["request"] = row["context"]
    return out


def python_scores(rows: dict[str, list[dict]]) -> dict[str, np.ndarray]:
    """Probabilities of the cascade, by group of rows."""
    calibration = json.loads((MODELS / "calibration.json").read_text())

    def scaled(tier: str, logits: np.ndarray) -> np.ndarray:
        a, b = (np.array([calibration[tier][label][name] for label in LABELS]) for name in ("a", "b"))
        return sigmoid(a * logits + b)

    out = {}
    for name, group in rows.items():
        scored = cached(name, group)
        full, screen = scaled("full", scored.full), scaled("screen", scored.screen)
        out[name] = cascade(scored, full, screen, calibration["cascade"])
    return out


STOPS = ("block", "escalate", "revise", "redact")


def engine_verdicts(rows: dict[str, list[dict]], path: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The engine's probabilities and actions, by group of rows."""
    by_id = {v["id"]: v for v in read_jsonl(path)}
    found = {name: [by_id[r["id"]] for r in group] for name, group in rows.items()}
    scores = {n: np.array([[v["scores"].get(x, 0.0) for x in LABELS] for v in vs]) for n, vs in found.items()}
    return scores, {n: np.array([v["action"] for v in vs]) for n, vs in found.items()}


class Points:
    """Thresholds of an operating point by surface."""

    def __init__(self) -> None:
        self.table = json.loads((MODELS / "calibration.json").read_text())["operating_points"]

    def at(self, label: str, where: list[str], rate: float | dict[str, float]) -> np.ndarray:
        """The threshold for each of the surfaces, at one rate or at the rate of each."""
        entries = self.table[label]
        wanted = rate if isinstance(rate, dict) else dict.fromkeys(PREFIXES, rate)
        return np.array([
            next(e["threshold"] for e in entries.get(w, entries["request"]) if e["fpr"] == wanted[w]) for w in where
        ])  # fmt: skip


def percent(x: float | None) -> str:
    return "" if x is None or np.isnan(x) else f"{100 * x:.1f} %"


def interval(values: np.ndarray) -> str:
    """A share with its 95 % bootstrap interval."""
    if not len(values):
        return ""
    rng = np.random.default_rng(SEED)
    means = rng.binomial(len(values), values.mean(), 2000) / len(values)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * values.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def bootstrap(metric, y: np.ndarray, p: np.ndarray) -> str:
    rng = np.random.default_rng(SEED)
    values = []
    for _ in range(BOOTSTRAPS):
        index = rng.integers(0, len(y), len(y))
        if 0 < y[index].sum() < len(y):
            values.append(metric(y[index], p[index]))
    low, high = np.percentile(values, [2.5, 97.5])
    return f"{metric(y, p):.3f} ({low:.2f} to {high:.2f})"


class Report:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def table(self, title: str, note: str, head: list[str], rows: list[list[str]]) -> None:
        self.lines += [f"## {title}", "", note, "", "| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]  # fmt: skip
        self.lines += ["| " + " | ".join(str(c) for c in row) + " |" for row in rows] + [""]


def by_set(rows: list[dict], key: str = "set") -> dict[str, np.ndarray]:
    groups = defaultdict(list)
    for i, r in enumerate(rows):
        groups[r[key]].append(i)
    return {k: np.array(v) for k, v in sorted(groups.items())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="only write the rows for the engine")
    parser.add_argument("--verdicts", type=Path, help="verdicts of the engine with their scores")
    parser.add_argument("--most", type=int, default=500, help="rows of each test set and class; 0 for all")
    parser.add_argument("--out", type=Path, default=MODELS / "EVAL.md")
    arguments = parser.parse_args()
    rows = all_rows(arguments.most)
    if arguments.write:
        lines = [json.dumps(engine_row(r), ensure_ascii=False) for group in rows.values() for r in group]
        arguments.write.write_text("\n".join(lines) + "\n")
        return
    p, actions = engine_verdicts(rows, arguments.verdicts) if arguments.verdicts else (python_scores(rows), {})
    measure(rows, p, actions, "the Rust engine" if arguments.verdicts else "Python (ONNX Runtime)", arguments.out)


def of_policy(rows: list[dict], actions: np.ndarray) -> list[list[str]]:
    """By set, what the policy stops and what it lets through with a flag."""
    y = np.array([r["unsafe"] for r in rows])
    stopped, noted = np.isin(actions, STOPS), actions != "allow"
    lines = []
    for name, index in [("all", np.arange(len(rows))), *by_set(rows).items()]:
        cells = [name]
        for unsafe in (0, 1):
            here = index[y[index] == unsafe]
            cells += [len(here), interval(stopped[here]), percent(noted[here].mean() if len(here) else None)]
        lines.append(cells)
    return lines


def measure(rows: dict[str, list[dict]], p: dict[str, np.ndarray], actions: dict[str, np.ndarray], engine: str,
            out: Path) -> None:  # fmt: skip
    points, report = Points(), Report()
    report.lines += ["# Evaluation", "", (
        f"Scored by {engine} through the cascade, on {datetime.date.today()}. `flagged` means that `unsafe` reaches the shipped "
        "operating point of its surface: a false-positive rate of 0.1 % of benign `dev` traffic for requests, responses and "
        "tool calls, 0.5 % for tool results (beside it, at 1 % everywhere). Intervals are 95 %, by bootstrap. The public half of "
        "each benchmark."), ""]  # fmt: skip

    def flags(name: str, rate: float | dict[str, float]) -> np.ndarray:
        where = [surface(r["kind"]) for r in rows[name]]
        return p[name][:, UNSAFE] >= points.at("unsafe", where, rate)

    test, dev = rows["test"], rows["dev"]
    score, y = p["test"][:, UNSAFE], np.array([r["unsafe"] for r in test])
    tight, wide = flags("test", SHIPPED), flags("test", WIDER)
    groups = by_set(test)

    peer_file = WORK / "peer.json"
    peer = json.loads(peer_file.read_text()) if peer_file.exists() else {}
    parts = {name: Measured(rows[name], p[name], flags(name, SHIPPED)) for name in rows}
    report.table("Aims", "At the shipped operating point. `jailguard` runs as `recipe/peer.py` says.",
                 ["on", "figure", "aim", "measured", "others"], aims(parts["dev"], parts["test"], parts["derived"], peer))  # fmt: skip

    lines = []
    for name in LOOKALIKES:
        safe = groups[name][y[groups[name]] == 0]
        bad = groups["agentdojo" if name == "agentdojo_benign" else name]
        bad = bad[y[bad] == 1]
        lines.append([name, len(safe), interval(tight[safe]), interval(wide[safe]), interval(tight[bad]),
                      interval(wide[bad])])  # fmt: skip
    report.table("False refusal on look-alikes", "Benign rows that resemble harm or attacks; recall on the same set's unsafe rows.",
                 ["set", "safe rows", "false refusal, shipped", "at 1 %", "recall, shipped", "at 1 %"], lines)  # fmt: skip

    for name in ("dev", "test") if actions else ():
        report.table(f"The policy `default` on `{name}`", "Stopped: redact, revise, escalate or block; noted: those and flag.",
                     ["set", "safe", "stopped", "noted", "unsafe", "stopped", "noted"], of_policy(rows[name], actions[name]))  # fmt: skip

    dev_tight, dev_wide = flags("dev", SHIPPED), flags("dev", WIDER)
    safe_dev = np.array([not r["unsafe"] for r in dev])
    lines = [["all", int(safe_dev.sum()), interval(dev_tight[safe_dev]), interval(dev_wide[safe_dev])]]
    worst = sorted(
        by_set(dev).items(), key=lambda kv: -dev_tight[kv[1]][safe_dev[kv[1]]].mean() if safe_dev[kv[1]].any() else 0
    )
    for name, index in worst[:15]:
        safe = index[safe_dev[index]]
        if len(safe) and dev_wide[safe].any():
            lines.append([name, len(safe), percent(dev_tight[safe].mean()), percent(dev_wide[safe].mean())])
    report.table("False refusal on ordinary traffic", "Safe rows of `dev`, the fifteen worst sources.",
                 ["source", "safe rows", "shipped", "at 1 %"], lines)  # fmt: skip

    lines = []
    for name, index in groups.items():
        yy, pp = y[index], score[index]
        both_classes = 0 < yy.sum() < len(yy)
        lines.append([
            name, int(yy.sum()), int((1 - yy).sum()),
            bootstrap(roc_auc_score, yy, pp) if both_classes else "",
            f"{average_precision_score(yy, pp):.3f}" if both_classes else "",
            f"{f1_score(yy, tight[index]):.2f} / {f1_score(yy, wide[index]):.2f}" if yy.sum() else "",
            f"{max(f1_score(yy, pp >= t) for t in np.quantile(pp, np.linspace(0.01, 0.99, 50))):.2f}" if both_classes else "",
            f"{percent(tight[index][yy == 1].mean())} / {percent(wide[index][yy == 1].mean())}" if yy.sum() else "",
            f"{percent(tight[index][yy == 0].mean())} / {percent(wide[index][yy == 0].mean())}" if (1 - yy).sum() else "",
        ])  # fmt: skip
    report.table("By test set", "F1, recall and false refusal at the shipped operating point / at 1 %.",
                 ["set", "unsafe", "safe", "AUROC", "AP", "F1", "best F1", "recall", "false refusal"], lines)  # fmt: skip

    lines = []
    for label, i in LABEL_INDEX.items():
        for name in ("test", "dev"):
            has = np.array([label in r["labels"] for r in rows[name]])
            if label == "unsafe":
                has = np.array([bool(r["unsafe"]) for r in rows[name]])
            safe = np.array([not r["unsafe"] and label not in r["labels"] for r in rows[name]])
            if has.sum() < 5:
                continue
            q = np.concatenate([p[name][has, i], p[name][safe, i]])
            yy = np.concatenate([np.ones(has.sum()), np.zeros(safe.sum())])
            where = [surface(r["kind"]) for r in rows[name]]
            hit = p[name][:, i] >= points.at(label, where, SHIPPED)
            hit_wide = p[name][:, i] >= points.at(label, where, WIDER)
            lines.append([label, name, int(has.sum()), f"{roc_auc_score(yy, q):.3f}", percent(hit[has].mean()),
                          percent(hit_wide[has].mean())])  # fmt: skip
    report.table("By label", "Each label's own score against safe rows.",
                 ["label", "rows of", "with label", "AUROC", "recall, shipped", "at 1 %"], lines)  # fmt: skip

    own = [i for i, r in enumerate(dev) if r["set"].startswith("own_")]
    lines = []
    for intent, index in by_set([dev[i] for i in own], "intent").items():
        index = np.array(own)[index]
        unsafe = np.array([dev[i]["unsafe"] for i in index])
        lines.append(
            [intent, len(index), int(unsafe.sum()), percent(dev_tight[index].mean()), percent(dev_wide[index].mean())]
        )
    own_y = np.array([dev[i]["unsafe"] for i in own])
    report.table("Intent: held-out topics of our own rows",
                 f"AUROC of `unsafe` {bootstrap(roc_auc_score, own_y, p['dev'][own][:, UNSAFE])}.",
                 ["intent", "rows", "unsafe", "flagged, shipped", "at 1 %"], lines)  # fmt: skip

    lines = []
    language = [
        r.get("lang")
        or ("non-Latin" if sum(ord(c) > 0x2FF for c in r["text"]) > len(r["text"]) / 4 else "Latin script")
        for r in test + dev
    ]
    everything = np.concatenate([score, p["dev"][:, UNSAFE]])
    all_y = np.array([r["unsafe"] for r in test + dev])
    all_wide = np.concatenate([wide, dev_wide])
    sizes = [
        "under 100"
        if len(r["text"]) < 100
        else "100 to 500"
        if len(r["text"]) < 500
        else "500 to 2,000"
        if len(r["text"]) < 2000
        else "over 2,000"
        for r in test + dev
    ]
    for title, keys in (("language", language), ("characters", sizes)):
        for key in sorted(set(keys)):
            index = np.array([k == key for k in keys])
            yy = all_y[index]
            if 0 < yy.sum() < len(yy):
                lines.append([title, key, int(yy.sum()), int((1 - yy).sum()), f"{roc_auc_score(yy, everything[index]):.3f}",
                              percent(all_wide[index][yy == 1].mean()), percent(all_wide[index][yy == 0].mean())])  # fmt: skip
    report.table("By language and length", "`dev` and `test` together; recall and false refusal at 1 %.",
                 ["", "group", "unsafe", "safe", "AUROC", "recall", "false refusal"], lines)  # fmt: skip

    derived, pd = rows["derived"], p["derived"][:, UNSAFE]
    yd, wide_d, tight_d = np.array([r["unsafe"] for r in derived]), flags("derived", WIDER), flags("derived", SHIPPED)
    variants_of = by_set(derived)
    plain = {derived[i]["id"].removeprefix("plain/"): i for i in variants_of["plain"]}
    base = roc_auc_score(yd[variants_of["plain"]], pd[variants_of["plain"]])
    lines = [
        [
            "plain",
            f"{base:.3f}",
            "",
            percent(wide_d[variants_of["plain"]][yd[variants_of["plain"]] == 1].mean()),
            percent(wide_d[variants_of["plain"]][yd[variants_of["plain"]] == 0].mean()),
            "",
        ]
    ]
    for name in [
        *(f"obfuscated_{n}" for n in OBFUSCATIONS),
        *(f"framed_{n}" for n in FRAMES),
        *(f"buried_{n}" for n in PLACES),
    ]:
        index = variants_of[name]
        twins = np.array([plain[derived[i]["of"]] for i in index])
        auroc, twin = roc_auc_score(yd[index], pd[index]), roc_auc_score(yd[twins], pd[twins])
        lines.append([name, f"{auroc:.3f}", f"{twin - auroc:+.3f}", percent(wide_d[index][yd[index] == 1].mean()),
                      percent(wide_d[index][yd[index] == 0].mean()), percent((tight_d[index] != tight_d[twins]).mean())])  # fmt: skip
    report.table("Obfuscated, framed, buried", "The same rows in disguise; against their plain twins. In Python nothing is decoded before it is scored; the engine undoes what its views know.",
                 ["variant", "AUROC", "AUROC lost", "recall at 1 %", "false refusal at 1 %", "crossed the shipped threshold"], lines)  # fmt: skip
    out.write_text("\n".join(report.lines))
    print("\n".join(report.lines[:40]))


if __name__ == "__main__":
    main()
