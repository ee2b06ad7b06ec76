"""Turns logits into probabilities and writes `models/calibration.json`.

Scaling is fitted on the commercial rows of `dev` and on the held-out topics of our own rows; the operating points
count the rows of all of `dev` that are ordinary benign traffic: see `UNSURE`.
"""

from __future__ import annotations

import json

import numpy as np
from sklearn.linear_model import LogisticRegression

from common import LABEL_INDEX, MODELS, PREFIXES, PUBLIC_DATA, UNSAFE, WORK, read_jsonl, surface
from prepare import NOISY, targets
from score import Scored, cached

UNSURE = NOISY | {
    "deepset_train", "goodwiins", "gptfuzz_responses", "gptfuzz_responses_train", "neuralchemy", "polyguard_malware",
    "polyguard_social", "refusals_heuristic", "saferlhf_mini", "saferlhf_pairs",
}  # fmt: skip
"""Sources whose safe rows are not counted as ordinary benign traffic: answers to red-teaming that somebody judged safe,
and sources whose labels were graded B- or worse when their rows were read."""

RATES = [0.05, 0.01, 0.005, 0.001]
FEW = 15
"""Fewer positive rows than this and a label borrows the slope of `unsafe`; only its level is fitted."""
BAND_RECALL, BAND_BENIGN = 0.005, 0.10
"""What the band may cost: recall at a shipped operating point, and benign messages for the full model to read."""
WEIGHT = 0.4
"""The screen's share where both tiers read: the recall at 0.1 % rises with it, that at 1 % falls beyond."""


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


def fit_level(z: np.ndarray, y: np.ndarray, slope: float) -> tuple[float, float]:
    """The intercept at which the mean probability is the share of positive rows, by bisection."""
    low, high, wanted = -40.0, 40.0, (y.sum() + 0.5) / (len(y) + 1)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(slope * z + middle).mean() < wanted else (low, middle)
    return slope, (low + high) / 2


def scaling(scored: Scored, logits: np.ndarray, y: np.ndarray, use: np.ndarray) -> tuple[dict, np.ndarray]:
    """Each label's scaling with its calibration error, and the scaled probabilities of all windows."""
    table, probabilities = {}, np.zeros_like(logits, dtype=np.float64)
    messages = scored.messages(logits)
    known = use & (y[:, UNSAFE] >= 0)
    slope, _ = fit(messages[known, UNSAFE], y[known, UNSAFE])
    for label, i in LABEL_INDEX.items():
        known = use & (y[:, i] >= 0)
        positives = int(y[known, i].sum())
        z, labeled = messages[known, i], y[known, i]
        a, b = fit(z, labeled) if positives >= FEW else fit_level(z, labeled, slope)
        probabilities[:, i] = sigmoid(a * logits[:, i] + b)
        error = expected_error(sigmoid(a * z + b), labeled)
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
        for place in PREFIXES:
            here = where == place
            negatives = p[here & benign & (y[:, i] == 0), i]
            positives = p[here & (y[:, i] == 1), i]
            if len(negatives) < 20:
                continue
            table[label][place] = []
            for rate in RATES:
                threshold = threshold_at(negatives, rate)
                enough = len(negatives) * rate >= 1
                if not (enough and len(positives)):
                    # What was hardly measured here is not trusted further than where it was.
                    requests = next((e for e in table[label].get("request", []) if e["fpr"] == rate), None)
                    threshold = max(threshold, requests["threshold"] if requests else 0.0)
                table[label][place].append({
                    "fpr": rate,
                    "threshold": round(threshold, 6),
                    "recall": round(float((positives >= threshold).mean()), 4) if len(positives) else None,
                    "positives": len(positives),
                    "benign": len(negatives),
                    "enough": enough,
                })  # fmt: skip
    return table


def screen_score(screen: np.ndarray) -> np.ndarray:
    """What the band is laid over: the largest probability of any label but `refusal`."""
    return screen[:, [i for label, i in LABEL_INDEX.items() if label != "refusal"]].max(1)


def log_odds(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


def cascade(scored: Scored, full: np.ndarray, screen: np.ndarray, band: dict) -> np.ndarray:
    """Probabilities as the engine gives them: of each window by the screen or, in the band, by both, the log odds of
    each with its weight. They err in different places: together they are surer than the full model alone."""
    score, weight = screen_score(screen), band["weight"]
    inside = (score >= band["low"]) & (score <= band["high"])
    both = sigmoid((1 - weight) * log_odds(full) + weight * log_odds(screen))
    return scored.messages(np.where(inside[:, None], both, screen))


def recall_at(p: np.ndarray, rate: float, harmful: np.ndarray, benign: np.ndarray, where: np.ndarray) -> float:
    """The share of the harmful rows found at a false-positive rate on every surface."""
    hit = np.zeros(len(p), dtype=bool)
    for place in PREFIXES:
        here = where == place
        hit |= here & (p >= threshold_at(p[here & benign], rate))
    return float(hit[harmful].mean())


def choose_band(scored: Scored, full: np.ndarray, screen: np.ndarray, harmful: np.ndarray, benign: np.ndarray,
                where: np.ndarray) -> dict:  # fmt: skip
    """The narrowest band that keeps the recall of the full model; no benign message is settled as unsafe."""
    top = scored.messages(screen_score(screen)[:, None])[:, 0]
    high = float(1 + top[benign].max()) / 2
    alone = scored.messages(full)[:, UNSAFE]
    for opened in np.arange(BAND_BENIGN, 1, 0.05):
        low = float(np.quantile(top[benign], 1 - opened))
        band = {"low": round(low, 6), "high": round(high, 6), "weight": WEIGHT}
        p = cascade(scored, full, screen, band)[:, UNSAFE]
        lost = [recall_at(alone, r, harmful, benign, where) - recall_at(p, r, harmful, benign, where)
                for r in RATES if r <= 0.01]  # fmt: skip
        if max(lost) <= BAND_RECALL:
            break
    return band


def report_band(scored: Scored, screen: np.ndarray, full_p: np.ndarray, final_p: np.ndarray, harmful: np.ndarray,
                benign: np.ndarray, where: np.ndarray, band: dict) -> dict:  # fmt: skip
    score = screen_score(screen)
    opened = scored.messages(((score >= band["low"]) & (score <= band["high"]))[:, None].astype(float))[:, 0] > 0
    report = {
        **band,
        "score": "largest probability of any label but refusal, in one window",
        "benign_escalated": round(float(opened[benign].mean()), 4),
        "unsafe_escalated": round(float(opened[harmful].mean()), 4),
        "at": [],
    }
    for rate in RATES:
        full_recall, recall = (recall_at(p[:, UNSAFE], rate, harmful, benign, where) for p in (full_p, final_p))
        report["at"].append({"fpr": rate, "recall_full": round(full_recall, 4), "recall_cascade": round(recall, 4)})
    return report


def main() -> None:
    rows = dev_rows()
    scored = cached("dev", rows)
    y = known_targets(rows)
    where = np.array([surface(r["kind"]) for r in rows])
    use = np.array([r.get("commercial", True) for r in rows])
    benign = np.array([not r["unsafe"] and r["set"] not in UNSURE for r in rows])
    harmful = y[:, UNSAFE] == 1
    full_scaling, full = scaling(scored, scored.full, y, use)
    screen_scaling, screen = scaling(scored, scored.screen, y, use)
    band = choose_band(scored, full, screen, harmful, benign, where)
    final = cascade(scored, full, screen, band)
    points = operating_points(final, y, where, benign)
    result = {
        "formula": "probability = 1 / (1 + exp(-(a * logit + b))), of a message the largest over its windows",
        "full": full_scaling,
        "screen": screen_scaling,
        "cascade": report_band(scored, screen, scored.messages(full), final, harmful, benign, where, band),
        "operating_points": points,
    }
    (MODELS / "calibration.json").write_text(json.dumps(result, indent=1) + "\n")
    errors = {
        label: round(expected_error(final[use & (y[:, i] >= 0), i], y[use & (y[:, i] >= 0), i]), 4)
        for label, i in LABEL_INDEX.items()
    }
    print(f"worst calibration errors of the cascade: {sorted(errors.items(), key=lambda item: -item[1])[:4]}")
    for place in PREFIXES:
        print(place, json.dumps(points["unsafe"].get(place)))
    print(json.dumps(result["cascade"]))


if __name__ == "__main__":
    main()
