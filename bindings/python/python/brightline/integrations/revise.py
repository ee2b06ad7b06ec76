"""Critique and revision: the verdict's critique goes back to the model until its answer passes.

answer = revise(guard, messages, model, rounds=2)
answer.text, answer.verdict.action, len(answer.tried)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from brightline._brightline import Verdict
from brightline._guard import Guard

_SEVERITY = ("allow", "flag", "redact", "revise", "escalate", "block")


@dataclass(frozen=True, slots=True)
class Answer:
    """The best answer of all rounds. `text` may be shown: redacted, or the safe message where nothing passed."""

    text: str
    verdict: Verdict
    tried: tuple[Verdict, ...]

    @property
    def passed(self) -> bool:
        """Whether the model's own words are shown, redacted or not."""
        return self.verdict.action in ("allow", "flag", "redact")


def revise(guard: Guard, messages: Sequence[Any], model: Callable[[list[Any]], str], *, rounds: int = 2) -> Answer:
    """Asks the model, and asks again with the critique, up to `rounds` times, while an answer is to be revised.

    Every answer is judged and the mildest verdict is kept, the earlier one of two. `model` takes messages and gives
    text; what it raises comes out of here, and nothing of what it answered before is shown.
    """
    state = _State(messages, rounds)
    while (asking := state.asking()) is not None:
        text = model(asking)
        state.heard(text, guard.check([*messages, {"role": "assistant", "content": text}]))
    return state.best()


async def arevise(
    guard: Guard, messages: Sequence[Any], model: Callable[[list[Any]], Awaitable[str]], *, rounds: int = 2
) -> Answer:
    """As `revise`, for a model that is awaited."""
    state = _State(messages, rounds)
    while (asking := state.asking()) is not None:
        text = await model(asking)
        state.heard(text, await guard.acheck([*messages, {"role": "assistant", "content": text}]))
    return state.best()


class _State:
    """What was asked and answered so far."""

    def __init__(self, messages: Sequence[Any], rounds: int) -> None:
        self.messages, self.rounds = list(messages), rounds
        self.tried: list[tuple[str, Verdict]] = []

    def asking(self) -> list[Any] | None:
        """The next messages for the model, or `None` where no round is left or none is needed."""
        if not self.tried:
            return self.messages
        text, verdict = self.tried[-1]
        if verdict.critique is None or len(self.tried) > self.rounds:
            return None
        return [*self.messages, {"role": "assistant", "content": text}, {"role": "user", "content": verdict.critique}]

    def heard(self, text: str, verdict: Verdict) -> None:
        self.tried.append((text, verdict))

    def best(self) -> Answer:
        text, verdict = min(self.tried, key=lambda tried: _SEVERITY.index(tried[1].action))
        if verdict.action == "redact":
            text = verdict.redacted or ""
        elif not verdict.passes:
            text = verdict.message or ""
        return Answer(text, verdict, tuple(verdict for _, verdict in self.tried))
