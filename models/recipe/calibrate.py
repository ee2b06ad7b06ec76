"""Turns logits into probabilities and writes `models/calibration.json`.

Scaling is fitted on the commercial rows of `dev` and on the held-out topics of our own rows; the operating points
count the benign rows of all of `dev`, but for the sources whose labels are too noisy to be called benign.
"""

from __future__ import annotations

import json

import numpy as np
from sklearn.linear_model import LogisticRegression

from common import LABEL_INDEX, LABELS, MODELS, PREFIXES, PUBLIC_DATA, UNSAFE, WORK, read_jsonl, surface
from prepare import NOISY, targets
from score import cached

RATES = [0.05, 0.01, 0.005, 0.001]
FEW = 15
"""Fewer positive rows than this and a label borrows the scaling of `unsafe`."""
BAND_RECALL, BAND_BENIGN, SURE_BENIGN = 0.005, 0.10, 0.0002


def dev_rows() -> list[dict]:
    public = list(read_jsonl(PUBLIC_DATA / "dev.jsonl.gz"))
    return public + list(read_jsonl(WORK / "own_dev.jsonl"))


def known_targets(rows: list[dict]) -> np.ndarray:
    return np.array([targets(r, r["set"].startswith("own_")) for r in rows])


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(z, -40, 40)))


def expected_error(p: np.ndarray, y: np.ndarray, bins: int = 15) -> float:
    """Expected calibration error over equal-width bins."""
    index = np.minimum((p * bins).astype(int), bins - 1)
    return float(sum(abs(p[index == b].sum() - y[index == b].sum()) for b in range(bins)) / len(p))


def fit(z: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Platt scaling: probability = sigmoid(a * logit + b)."""
    model = LogisticRegression(C=100.0).fit(z[:, None], y)
    return float(max(model.coef_[0, 0], 0.05)), float(model.intercept_[0])


def scaling(logits: np.ndarray, y: np.ndarray, use: np.ndarray) -> tuple[dict, np.ndarray]:
    """Each label's scaling with its calibration error, and the scaled probabilities of all rows."""
    table, probabilities = {}, np.zeros_like(logits, dtype=np.float64)
    known = use & (y[:, UNSAFE] >= 0)
    common = fit(logits[known, UNSAFE], y[known, UNSAFE])
    for label, i in LABEL_INDEX.items():
        known = use & (y[:, i] >= 0)
        positives = int(y[known, i].sum())
        a, b = fit(logits[known, i], y[known, i]) if positives >= FEW else common
        probabilities[:, i] = sigmoid(a * logits[:, i] + b)
        error = expected_error(probabilities[known, i], y[known, i])
        table[label] = {"a": round(a, 5), "b": round(b, 5), "ece": round(error, 4), "positives": positives}
    return table, probabilities


def threshold_at(benign: np.ndarray, rate: float) -> float:
    """The lowest threshold that at most this share of the benign scores reaches, halfway to the next score."""
    ordered = np.sort(benign)[::-1]
    allowed = int(rate * len(ordered))
    odds = np.log(ordered / (1 - ordered))
    above = odds[allowed - 1] if allowed else odds[0] + 0.5
    return float(sigmoid((above + odds[min(allowed, len(odds) - 1)]) / 2 if allowed else above))


def operating_points(p: np.ndarray, y: np.ndarray, where: np.ndarray, benign: np.ndarray) -> dict:
    """Label, then surface, then one entry a false-positive rate."""
    table: dict[str, dict[str, list[dict]]] = {}
    for label, i in LABEL_INDEX.items():
        table[label] = {}
        for place in [*PREFIXES, "any"]:
            here = np.ones(len(y), dtype=bool) if place == "any" else where == place
            negatives = p[here & benign & (y[:, i] == 0), i]
            positives = p[here & (y[:, i] == 1), i]
            if len(negatives) < 20:
                continue
            table[label][place] = []
            for rate in RATES:
                threshold = threshold_at(negatives, rate)
                table[label][place].append({
                    "fpr": rate,
                    "threshold": round(threshold, 6),
                    "recall": round(float((positives >= threshold).mean()), 4) if len(positives) else None,
                    "positives": len(positives),
                    "benign": len(negatives),
                    "enough": len(negatives) * rate >= 1,
                })  # fmt: skip
    return table


def settle(full: np.ndarray, screen: np.ndarray, y: np.ndarray, where: np.ndarray, benign: np.ndarray,
           points: dict) -> dict:  # fmt: skip
    """The band of the screen's score inside which the full model decides.

    The score is the largest probability of any label but `refusal`. Below the band a message counts as benign.
    """
    labels = [i for label, i in LABEL_INDEX.items() if label != "refusal"]
    score = screen[:, labels].max(1)
    thresholds = {place: {e["fpr"]: e["threshold"] for e in points["unsafe"][place]} for place in PREFIXES}
    harmful = y[:, UNSAFE] == 1
    report = {}
    caught = {rate: np.array([full[i, UNSAFE] >= thresholds[w][rate] for i, w in enumerate(where)]) for rate in RATES}
    flagged = np.sort(score[harmful & caught[0.01]])
    low = float(flagged[int(BAND_RECALL * harmful.sum())]) if len(flagged) else 0.0
    high = threshold_at(score[benign], SURE_BENIGN)
    settled_safe, settled_unsafe = score < low, score >= high
    report["low"], report["high"] = round(low, 6), round(high, 6)
    report["score"] = "largest probability of any label but refusal"
    report["benign_escalated"] = round(float((~settled_safe & ~settled_unsafe)[benign].mean()), 4)
    report["benign_escalated_wanted"] = BAND_BENIGN
    report["unsafe_escalated"] = round(float((~settled_safe & ~settled_unsafe)[harmful].mean()), 4)
    report["at"] = []
    for rate in RATES:
        decided = np.where(settled_unsafe, True, np.where(settled_safe, False, caught[rate]))
        report["at"].append({
            "fpr": rate,
            "recall_full": round(float(caught[rate][harmful].mean()), 4),
            "recall_cascade": round(float(decided[harmful].mean()), 4),
            "fpr_cascade": round(float(decided[benign].mean()), 5),
        })  # fmt: skip
    return report


def main() -> None:
    rows = dev_rows()
    full_logits, screen_logits = cached("dev", rows)
    y = known_targets(rows)
    where = np.array([surface(r["kind"]) for r in rows])
    use = np.array([r.get("commercial", True) for r in rows])
    benign = np.array([not r["unsafe"] and r["set"] not in NOISY for r in rows])
    full_scaling, full = scaling(full_logits, y, use)
    screen_scaling, screen = scaling(screen_logits, y, use)
    points = operating_points(full, y, where, benign)
    result = {
        "version": 1,
        "formula": "probability = sigmoid(a * logit + b), logit = largest over the windows",
        "labels": LABELS,
        "scaling": {"full": full_scaling, "screen": screen_scaling},
        "operating_points": points,
        "screen_operating_points": operating_points(screen, y, where, benign),
        "cascade": settle(full, screen, y, where, benign, points),
    }
    (MODELS / "calibration.json").write_text(json.dumps(result, indent=1) + "\n")
    worst = max(full_scaling.items(), key=lambda item: item[1]["ece"])
    print(f"worst calibration error: {worst[0]} {worst[1]['ece']}")
    for place in PREFIXES:
        print(place, points["unsafe"][place])
    print(json.dumps(result["cascade"], indent=1))


if __name__ == "__main__":
    main()
