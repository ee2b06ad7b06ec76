"""The parts of a verdict, and how they are built from the wire form."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from brightline._brightline import Verdict

Action = Literal["allow", "flag", "redact", "revise", "escalate", "block"]
Surface = Literal["request", "response", "reasoning", "tool_call", "tool_result"]
Field = Literal["content", "reasoning", "tool_calls", "tool_name"]


@dataclass(frozen=True, slots=True)
class PolicyName:
    """Which policy was applied. The same hash gives the same verdicts."""

    name: str
    version: str
    hash: str


@dataclass(frozen=True, slots=True)
class ModelName:
    """Which models were loaded."""

    name: str
    version: str
    hash: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where a clause stands: the document and the first line."""

    document: str
    line: int
    edition: str | None = None

    def __str__(self) -> str:
        return f"{self.document} line {self.line}"


@dataclass(frozen=True, slots=True)
class Span:
    """A place in the conversation, in code points: `text[span.start:span.end]` is the evidence."""

    message: int
    start: int
    end: int
    field: Field = "content"
    part: int | None = None
    view: str | None = None
    provenance: Literal["tool", "untrusted", "quoted"] | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a finding rests on. `absent` says that the clause asks for something that is not there."""

    detector: str
    spans: tuple[Span, ...]
    score: float | None = None
    threshold: float | None = None
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One clause that the message breaks."""

    clause: str
    title: str
    kind: Literal["hard", "rule", "default_on", "default_off", "protection", "exception"]
    authority: Literal["root", "system", "developer", "user", "guideline"]
    source: Source
    surface: Surface
    action: Action
    rationale: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Lifted:
    """A finding that is not in force. `by` is system, operator, user, context, or the id of an exception."""

    clause: str
    by: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A setting of the request that asked for more than it may and was not followed."""

    by: str
    key: str
    clause: str
    reason: str


@dataclass(frozen=True, slots=True)
class Redaction:
    """A judged piece of text with placeholders."""

    text: str
    field: Field = "content"
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Scanned:
    """Bytes of judged text, and the tiers that looked at it: rules, screen, full."""

    bytes: int
    tiers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Degraded:
    """Clauses that could not be decided, and why."""

    reason: str
    clauses: tuple[str, ...]
    detector: str | None = None


@dataclass(frozen=True, slots=True)
class Details:
    """The fields of a verdict that are built when one of them is asked for."""

    policy: PolicyName
    model: ModelName | None
    findings: tuple[Finding, ...]
    lifted: tuple[Lifted, ...]
    ignored: tuple[Ignored, ...]
    redactions: tuple[Redaction, ...]
    scanned: Scanned
    degraded: tuple[Degraded, ...]


def details(wire: str, points: Sequence[tuple[int, int]]) -> Details:
    """The details of a verdict from its wire form, with the ends of its spans in code points."""
    verdict: dict[str, Any] = json.loads(wire)
    ends = iter(points)
    redactions = verdict.get("redactions")
    if redactions is None:
        redactions = [{"text": verdict["redacted"]}] if "redacted" in verdict else []
    return Details(
        policy=PolicyName(**verdict["policy"]),
        model=ModelName(**verdict["model"]) if "model" in verdict else None,
        findings=tuple(_finding(finding, ends) for finding in verdict["findings"]),
        lifted=tuple(Lifted(**lifted) for lifted in verdict.get("lifted", ())),
        ignored=tuple(Ignored(**ignored) for ignored in verdict.get("ignored", ())),
        redactions=tuple(Redaction(**redaction) for redaction in redactions),
        scanned=Scanned(verdict["scanned"]["bytes"], tuple(verdict["scanned"]["tiers"])),
        degraded=tuple(Degraded(**limit | {"clauses": tuple(limit["clauses"])}) for limit in verdict["degraded"]),
    )


def _finding(finding: dict[str, Any], ends: Iterator[tuple[int, int]]) -> Finding:
    evidence = tuple(_evidence(evidence, ends) for evidence in finding["evidence"])
    fields: dict[str, Any] = {**finding, "source": Source(**finding["source"]), "evidence": evidence}
    return Finding(**fields)


def _evidence(evidence: dict[str, Any], ends: Iterator[tuple[int, int]]) -> Evidence:
    def span(wire: dict[str, Any]) -> Span:
        start, end = next(ends)
        fields: dict[str, Any] = {**wire, "start": start, "end": end}
        return Span(**fields)

    fields: dict[str, Any] = {**evidence, "spans": tuple(map(span, evidence["spans"]))}
    return Evidence(**fields)


def describe(verdict: Verdict) -> str:
    """A verdict in one line."""
    found = [f"{finding.clause} ({finding.authority}, {finding.source})" for finding in verdict.findings[:2]]
    if len(verdict.findings) > 2:
        found.append(f"{len(verdict.findings) - 2} more")
    because = f": {', '.join(found)}" if found else ""
    limits = f", {len(verdict.degraded)} degraded" if verdict.degraded else ""
    return f"<Verdict {verdict.action} {verdict.surface}{because}{limits}>"
