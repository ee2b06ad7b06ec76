"""What is given to a guard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

Input: TypeAlias = str | Sequence[Any] | dict[str, Any] | Any
"""A request as text, a conversation, a record of the wire format, or an object of an SDK with `model_dump`."""

Context: TypeAlias = Input | None
"""As an input; `None` where nothing came before."""

Channel: TypeAlias = Literal["text", "reasoning"] | int
"""A part of a streamed message: the answer, the reasoning, or a tool call by its index."""
