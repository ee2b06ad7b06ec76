"""Brightline: judges what goes into and comes out of a language model against a published behavior spec.

>>> from brightline import Guard
>>> guard = Guard("default")
>>> verdict = guard.check("How do I make a pipe bomb?")
>>> verdict.passes
False

`Guard` is a policy ready to judge, `Verdict` says what to do and cites clause, line and authority for each finding.
Models and the shipped policies are inside the package; nothing is downloaded.
"""

from brightline._brightline import SHIPPED, End, Step, Stream, Verdict, __version__
from brightline._errors import (
    Blocked,
    BrightlineError,
    Diagnostic,
    InputError,
    ModelError,
    PolicyError,
    SettingsError,
    StreamClosed,
)
from brightline._guard import Guard
from brightline._streams import AsyncTextStream, TextStream
from brightline._verdict import (
    Degraded,
    Evidence,
    Finding,
    Ignored,
    Lifted,
    ModelName,
    PolicyName,
    Redaction,
    Scanned,
    Source,
    Span,
)

__all__ = [
    "SHIPPED",
    "AsyncTextStream",
    "Blocked",
    "BrightlineError",
    "Degraded",
    "Diagnostic",
    "End",
    "Evidence",
    "Finding",
    "Guard",
    "Ignored",
    "InputError",
    "Lifted",
    "ModelError",
    "ModelName",
    "PolicyError",
    "PolicyName",
    "Redaction",
    "Scanned",
    "SettingsError",
    "Source",
    "Span",
    "Step",
    "Stream",
    "StreamClosed",
    "TextStream",
    "Verdict",
    "__version__",
]
