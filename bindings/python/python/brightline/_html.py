"""A verdict as HTML, for notebooks."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brightline._brightline import Verdict
    from brightline._verdict import Finding

_COLORS = {
    "allow": "#2e7d32",
    "flag": "#b26a00",
    "redact": "#b26a00",
    "revise": "#b26a00",
    "escalate": "#c62828",
    "block": "#c62828",
}


def html(verdict: Verdict) -> str:
    """The action, each finding with its clause and authority, and the evidence marked where the text was kept."""
    color = _COLORS[verdict.action]
    took = f"{escape(verdict.surface)}, {verdict.elapsed_us} µs"
    head = f'<p><b style="color:{color}">{escape(verdict.action)}</b> {took}</p>'
    findings = "".join(_row(finding) for finding in verdict.findings)
    table = f"<table>{findings}</table>" if findings else ""
    return f"<div>{head}{table}{_marked(verdict)}</div>"


def _row(finding: Finding) -> str:
    detectors = ", ".join(
        evidence.detector if evidence.score is None else f"{evidence.detector} {evidence.score:.2f}"
        for evidence in finding.evidence
    )
    cells = (
        finding.action,
        f"{finding.title} ({finding.clause})",
        f"{finding.authority}, {finding.kind}",
        str(finding.source),
        detectors,
    )
    return "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in cells) + "</tr>"


def _marked(verdict: Verdict) -> str:
    out = []
    for message, field, part, text in verdict.texts:
        spans = sorted(
            (span.start, span.end)
            for finding in verdict.findings
            for evidence in finding.evidence
            for span in evidence.spans
            if (span.message, span.field, span.part) == (message, field, part)
        )
        pieces, at = [], 0
        for start, end in spans:
            if end > at:
                start = max(start, at)
                pieces += [escape(text[at:start]), f"<mark>{escape(text[start:end])}</mark>"]
                at = end
        pieces.append(escape(text[at:]))
        out.append(f'<pre style="white-space:pre-wrap">{"".join(pieces)}</pre>')
    return "".join(out)
