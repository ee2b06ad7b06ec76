"""What can go wrong, as one tree of exceptions."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from brightline._brightline import Verdict


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of a policy document: a stable code, a place, and a way out.

    `docs/diagnostics.md` explains each code. `start` and `end` are bytes of the document in UTF-8.
    """

    code: str
    severity: Literal["error", "warning", "note"]
    document: str
    line: int
    start: int
    end: int
    message: str
    help: str | None = None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}: {self.code}: {self.message}"


class BrightlineError(Exception):
    """The base of every error of this package."""


class PolicyError(BrightlineError, ValueError):
    """A policy cannot be found, read or compiled. `diagnostics` holds what the compiler said."""

    diagnostics: tuple[Diagnostic, ...]

    def __init__(self, message: str, diagnostics: str = "[]") -> None:
        super().__init__(message)
        self.diagnostics = tuple(Diagnostic(**diagnostic) for diagnostic in json.loads(diagnostics))


class SettingsError(BrightlineError, ValueError):
    """Settings of a deployment cannot be read, or ask for more than they may."""


class ModelError(BrightlineError):
    """Models are missing, damaged, or cannot be run."""


class InputError(BrightlineError, ValueError):
    """A record cannot be judged. `path` names the field, `index` the record of a batch."""

    path: str
    index: int | None

    def __init__(self, message: str, path: str = "", index: int | None = None) -> None:
        place = f"record {index}: " if index is not None else ""
        super().__init__(f"{place}`{path}`: {message}" if path else f"{place}{message}")
        self.path = path
        self.index = index


class StreamClosed(BrightlineError):
    """A stream was used after it was finished or closed."""


class Blocked(BrightlineError):
    """A message was not let through. `verdict` says why, `str(error)` is safe to show."""

    verdict: Verdict

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.message or f"the {verdict.surface.replace('_', ' ')} was not let through")
        self.verdict = verdict
