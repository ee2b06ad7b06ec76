"""An exchange of the responses API, with items and events of any SDK."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Any

from brightline._brightline import Stream, Verdict
from brightline._errors import Blocked
from brightline._guard import Guard
from brightline.integrations._chat import STOPS, Heard
from brightline.integrations._messages import from_items, let_through, new, plain, redact_item


class Responses:
    """One request and what is answered to it.

    Args:
        guard: what judges.
        options: what the API takes. `options` of the exchange are these, redacted where they have to be.
        heard: told of every verdict.
    """

    def __init__(self, guard: Guard, options: dict[str, Any], heard: Heard = lambda verdict: None) -> None:
        self.guard, self.options, self.heard = guard, dict(options), heard
        self.messages = from_items(options.get("input") or "")
        self.system = options.get("instructions") or None
        self.streamed: Stream | None = None
        self.last: Any = None
        self.held: list[Any] = []

    def request(self) -> bool:
        """Judges what is new in the request. Says whether something was redacted in `options`.

        Raises:
            Blocked: the request may not be sent.
        """
        redacted = False
        for at in new(self.messages):
            verdict = self._check(self.messages, at)
            if let_through(verdict):
                continue
            given, redacted = self.options["input"], True
            if isinstance(given, str):
                self.options["input"] = verdict.redacted or ""
            else:
                self.options["input"] = [*given[:at], redact_item(plain(given[at]), verdict), *given[at + 1 :]]
            self.messages = from_items(self.options["input"])
        return redacted

    def answer(self, answer: Any) -> Any:
        """An answer as it may be shown.

        Raises:
            Blocked: it may not be shown.
        """
        self._judge(answer)
        return answer

    def _judge(self, answer: Any) -> set[int]:
        """Judges the items of an answer and lays placeholders over them. Says which are redacted."""
        messages = [*self.messages, *from_items(answer.output)]
        redacted = set()
        for at, item in enumerate(answer.output):
            verdict = self._check(messages, len(self.messages) + at)
            if not let_through(verdict):
                redacted.add(at)
                answer.output[at] = _rebuilt_item(item, verdict)
        return redacted

    def event(self, event: Any) -> Generator[Any, None, None]:
        """An event with what may be shown of it. Those that repeat the text as a whole wait for the verdict."""
        kind = event.type
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            self.last = event
            yield from self._delta(self._push(event.delta, "text"))
        elif kind == "response.output_item.added" and event.item.type == "function_call":
            self._stream().tool_call(event.output_index, event.item.name)
            self.held.append(event)
        elif kind == "response.function_call_arguments.delta":
            self._push(event.delta, event.output_index)
        elif kind in ("response.completed", "response.incomplete"):
            yield from self._delta(self._finish())
            redacted = self._judge(event.response)
            for held in self.held:
                yield from _over(held, event.response.output, redacted)
            self.held = []
            yield event
        elif kind == "response.failed":
            event.response.output = []
            yield event
        elif kind in _OF_THE_CALL or (kind.endswith(".added") and _is_empty(event)):
            yield event
        else:
            self.held.append(event)

    def _stream(self) -> Stream:
        if self.streamed is None:
            self.streamed = self.guard.stream(self.messages, system=self.system)
        return self.streamed

    def _push(self, text: str, channel: Any) -> str:
        step = self._stream().push(text, channel)
        return self._finish() if step.stopped else step.text

    def _finish(self) -> str:
        """The last text of a stream that is let through."""
        end = self._stream().finish()
        self.heard(end.verdict)
        if end.verdict.action in STOPS:
            raise Blocked(end.verdict)
        return end.text

    def _delta(self, text: str) -> Generator[Any, None, None]:
        if text and self.last is not None:
            yield self.last.model_copy(update={"delta": text, "logprobs": []})

    def end(self) -> None:
        """A stream that broke off: what was held back is dropped, and the verdict on what arrived is heard."""
        if not self._stream().closed:
            self._finish()

    def close(self) -> None:
        """Drops what is held back."""
        if self.streamed is not None:
            self.streamed.close()

    def _check(self, messages: list[Any], target: int) -> Verdict:
        verdict = self.guard.check(messages, system=self.system, target=target)
        self.heard(verdict)
        return verdict


def parsed(before: Any, text: str) -> Any:
    """What an SDK has parsed of a text, from the judged text."""
    return json.loads(text) if isinstance(before, (dict, list)) else type(before).model_validate_json(text)


def _rebuilt_item(item: Any, verdict: Verdict) -> Any:
    """An item with the judged texts. What was parsed of the texts before is parsed anew."""
    before = plain(item)
    for part in before.get("content") or ():
        part.pop("parsed", None)
    if isinstance(item, dict):
        return redact_item(before, verdict)
    made = type(item).model_validate(redact_item(before, verdict))
    for part, known in zip(getattr(made, "content", None) or (), getattr(item, "content", None) or (), strict=True):
        if getattr(known, "parsed", None) is not None:
            part.parsed = parsed(known.parsed, part.text)
    if getattr(item, "parsed_arguments", None) is not None:
        made.parsed_arguments = parsed(item.parsed_arguments, made.arguments)
    return made


# Events about the call as a whole; they have no words of the model.
_OF_THE_CALL = ("response.created", "response.in_progress", "response.queued", "error")


def _is_empty(event: Any) -> bool:
    """Whether the item or the part that an event announces has no words yet."""
    begun = getattr(event, "item", None) or event.part
    kind = getattr(begun, "type", None)
    fields = ("text", "refusal") if kind not in ("message", "reasoning") else ("content", "summary")
    known = kind in ("message", "reasoning", "output_text", "refusal", "summary_text", "reasoning_text")
    return known and not any(getattr(begun, field, None) for field in fields)


def _over(event: Any, output: list[Any], redacted: set[int]) -> Iterator[Any]:
    """Lays the texts of the judged response over an event that repeats them. What else is told of a redacted item is
    left out."""
    at = getattr(event, "output_index", None)
    if at is None or at >= len(output):
        yield event
        return
    item, part, kind = output[at], getattr(event, "content_index", None), event.type
    if kind == "response.output_item.done":
        yield event.model_copy(update={"item": item})
    elif kind == "response.function_call_arguments.done":
        yield event.model_copy(update={"arguments": item.arguments})
    elif item.type == "message" and kind == "response.content_part.done":
        yield event.model_copy(update={"part": item.content[part]})
    elif item.type == "message" and kind == "response.output_text.done":
        yield event.model_copy(update={"text": item.content[part].text, "logprobs": []})
    elif at not in redacted or (item.type == "function_call" and kind == "response.output_item.added"):
        yield event
