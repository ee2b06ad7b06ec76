"""Answers of a server while they are sent: JSON as a whole, event streams and text as they arrive."""

from __future__ import annotations

import codecs
import json
import re
import time
from collections.abc import Iterator
from typing import Any

from brightline._brightline import Stream, Verdict
from brightline._errors import Blocked
from brightline.integrations._chat import STOPS, Chunks, Exchange
from brightline.integrations._messages import let_through

# What of a completion is known to hold no words of the model.
_TOP = ("id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier")
# The longest event, in bytes.
_EVENT = 8 * 2**20


class Failure(Exception):
    """Something cannot be judged and does not pass. `code` is what the gateway has for it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "api_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


UNREADABLE = Failure(502, "upstream_unreadable", "the answer cannot be read, so it cannot be judged")
BROKEN = Failure(502, "upstream_broken", "the answer broke off")


def told(verdicts: list[Verdict]) -> list[dict[str, Any]]:
    """Verdicts for the extension field: without any text of messages."""
    wires = (verdict.to_dict() for verdict in verdicts)
    return [{key: value for key, value in wire.items() if key not in ("redacted", "redactions")} for wire in wires]


def completion(verdict: Verdict, model: Any) -> dict[str, Any]:
    """The completion that stands in for an answer that is not let through."""
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    head = {"id": "brightline", "object": "chat.completion", "created": int(time.time()), "model": model or ""}
    return {**head, "choices": [_refusal(verdict, 0)], "usage": usage}


def chunks(verdict: Verdict, model: Any) -> bytes:
    """As `completion`, for a stream."""
    head = {"id": "brightline", "object": "chat.completion.chunk", "created": int(time.time()), "model": model or ""}
    delta = {"role": "assistant", "refusal": str(Blocked(verdict))}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": "content_filter"}
    return event({**head, "choices": [choice]}) + _DONE


def _refusal(verdict: Verdict, index: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": None, "refusal": str(Blocked(verdict))}
    return {"index": index, "message": message, "logprobs": None, "finish_reason": "content_filter"}


def judged(exchange: Exchange, value: Any, *, refuse: bool) -> Any:
    """A JSON answer as it may be shown: a completion choice by choice, anything else by all the texts in it.

    Raises:
        Blocked: it may not be shown. With `refuse` a choice of a completion has the clause's message instead.
        Failure: it has not the form that it seems to have.
    """
    if not isinstance(value, dict) or not any("message" in _dict(choice) for choice in value.get("choices") or ()):
        return texts_of(exchange, value)
    shown = []
    for at, choice in enumerate(value["choices"]):
        message = _dict(choice).get("message")
        if not isinstance(message, dict):
            raise UNREADABLE
        try:
            answer = exchange.answer(message)
        except Blocked as blocked:
            if not refuse:
                raise
            shown.append(_refusal(blocked.verdict, choice.get("index", at)))
            continue
        choice = exchange.known(choice, ("index", "message", "finish_reason", "logprobs"))
        shown.append(choice if answer is message else {**choice, "message": answer, "logprobs": None})
    return exchange.known({**value, "choices": shown}, _TOP)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def texts_of(exchange: Exchange, value: Any, role: str = "assistant") -> Any:
    """Any value, with its texts and numbers judged as the parts of one message.

    Raises:
        Blocked: it may not be shown, or placeholders have no place in it.
    """
    parts = [{"type": "text", "text": text} for text in _leaves(value)]
    if not parts:
        return value
    verdict = exchange.check([*exchange.messages, {"role": role, "content": parts}])
    if let_through(verdict):
        return value
    texts: dict[int, str] = {}
    for redaction in verdict.redactions:
        if redaction.part is None or redaction.field != "content":
            raise Blocked(verdict)
        texts[redaction.part] = redaction.text
    return _replaced(value, iter(range(len(parts))), texts, verdict)


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _replaced(value: Any, places: Iterator[int], texts: dict[int, str], verdict: Verdict) -> Any:
    if isinstance(value, dict):
        shown = {}
        for name, item in value.items():
            if next(places) in texts:
                raise Blocked(verdict)
            shown[name] = _replaced(item, places, texts, verdict)
        return shown
    if isinstance(value, list):
        return [_replaced(item, places, texts, verdict) for item in value]
    if value is None or isinstance(value, bool):
        return value
    return texts.get(next(places), value)


class Text:
    """A streamed text. `over` says that the answer has ended, `cut` that it was ended before its source was."""

    def __init__(self, exchange: Exchange, *, refuse: bool) -> None:
        self.over = self.cut = False
        self._exchange, self._refuse = exchange, refuse
        self._stream, self._decoder = exchange.stream(), codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes, last: bool) -> bytes:
        """What may be shown so far.

        Raises:
            Blocked: nothing more may be shown; with `refuse` the clause's message is the last that is.
            Failure: it is no UTF-8.
        """
        step = self._stream.push(_decoded(self._decoder, data, last))
        if not step.stopped and not last:
            return step.text.encode()
        self.over, end = True, self._stream.finish()
        self._exchange.heard(end.verdict)
        shown = step.text + end.text
        if end.verdict.action in STOPS:
            if not self._refuse:
                raise Blocked(end.verdict)
            shown += str(Blocked(end.verdict))
            self.cut = not last
        return shown.encode()

    def failed(self, failure: Failure) -> bytes | None:
        """How a failure is told once the answer has begun; `None` where only breaking off tells it."""
        return None

    def close(self) -> None:
        self._stream.close()


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, last: bool) -> str:
    try:
        return decoder.decode(data, last)
    except UnicodeDecodeError:
        raise UNREADABLE from None


_DONE = b"data: [DONE]\n\n"
_NAME = re.compile(r"[\w.\-]{1,64}")
_LINE = re.compile(r"\r\n|\n|\r(?!$)")


def dumped(value: Any) -> bytes:
    """A value as JSON."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        # Half a surrogate pair has no bytes of its own.
        return json.dumps(value).encode()


def event(value: Any, name: str = "") -> bytes:
    """A value as an event."""
    head = f"event: {name}\n" if name else ""
    return head.encode() + b"data: " + dumped(value) + b"\n\n"


def events_of(raw: bytes) -> Iterator[dict[str, Any]]:
    """The values of a whole event stream.

    Raises:
        Failure: it is none, or its values are no objects.
    """
    for block in re.split(r"(?:\r\n|\n|\r){2}", _decoded(codecs.getincrementaldecoder("utf-8")(), raw, True)):
        lines = (line.partition(":") for line in _LINE.split(block))
        data = "\n".join(value.removeprefix(" ") for field, _, value in lines if field == "data")
        if data and data.strip() != "[DONE]":
            yield _object(data)


def _object(data: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise UNREADABLE from None
    if not isinstance(value, dict):
        raise UNREADABLE
    return value


class Events:
    """A stream of events: chunks of a completion, or values with one field of text. `over` and `cut` are as in `Text`.

    Args:
        exchange: the exchange that is answered.
        refuse: whether a choice that is not let through ends with the clause's message.
        field: the field of each value that has the text; `None` for chunks of a completion.
        choices: how many choices were asked for.
        answer: where the verdicts on the answer are gathered, for the extension field.
    """

    def __init__(
        self, exchange: Exchange, *, refuse: bool, field: str | None, choices: int, answer: list[Verdict]
    ) -> None:
        self.over = self.cut = False
        self._exchange, self._refuse, self._field, self._answer = exchange, refuse, field, answer
        self._chunks = Chunks(exchange, refuse="refusal" if refuse else None, choices=choices)
        self._stream: Stream | None = exchange.stream() if field is not None else None
        self._last: tuple[dict[str, Any], str] = ({}, "")
        self._decoder, self._rest = codecs.getincrementaldecoder("utf-8")(), ""
        self._data: list[str] = []
        self._name = ""

    def feed(self, data: bytes, last: bool) -> bytes:
        """The events that may be shown so far.

        Raises:
            Blocked: nothing more may be shown.
            Failure: what arrived is no event stream of the form that is judged, or it broke off.
        """
        out = []
        *lines, self._rest = _LINE.split(self._rest + _decoded(self._decoder, data, last))
        if len(self._rest) + sum(map(len, self._data)) > _EVENT:
            raise UNREADABLE
        if last:
            # The last event may lack the empty line after it.
            lines += [self._rest, ""]
        for line in lines:
            out.append(self._line(line.removesuffix("\r")))
            if self.over:
                return b"".join(out)
        if last:
            out.append(self._end())
        return b"".join(out)

    def _line(self, line: str) -> bytes:
        if not line:
            data, name, self._data, self._name = "\n".join(self._data), self._name, [], ""
            return self._event(data, name) if data else b""
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value if _NAME.fullmatch(value) else ""
        # A comment keeps the connection open. What it says is not judged.
        return b":\n\n" if not field else b""

    def _event(self, data: str, name: str) -> bytes:
        if data.strip() == "[DONE]":
            return self._done() + _DONE
        value = _object(data)
        if value.get("error"):
            raise BROKEN
        if self._stream is not None:
            return self._value(self._stream, value, name)
        choices = value.get("choices")
        if not isinstance(choices, list) or any(
            "text" in choice or "message" in choice for choice in map(_dict, choices)
        ):
            raise UNREADABLE
        shown = self._chunks.take(value)
        self._last = (value, name)
        out = self._chunk(shown, name) if shown["choices"] or not value["choices"] else b""
        if self._chunks.done:
            self.over = self.cut = True
            out += _DONE
        return out

    def _chunk(self, shown: dict[str, Any], name: str) -> bytes:
        shown = self._exchange.known(shown, _TOP)
        if any(choice["finish_reason"] for choice in shown["choices"]) and any(it.findings for it in self._answer):
            shown["brightline"] = {"response": told(self._answer)}
        return event(shown, name)

    def _value(self, stream: Stream, value: dict[str, Any], name: str) -> bytes:
        field = self._field or ""
        text = value.get(field)
        value = self._exchange.known(value, (field,))
        if text is None:
            return event(value, name)
        if not isinstance(text, str):
            raise UNREADABLE
        self._last = (value, name)
        step = stream.push(text)
        if step.stopped:
            self.cut = True
            return (event({**value, field: step.text}, name) if step.text else b"") + self._done()
        return event({**value, field: step.text}, name) if step.text else b""

    def _done(self) -> bytes:
        """The source is done: what was held back, where it may be shown."""
        self.over = True
        value, name = self._last
        if self._stream is None:
            rest = self._chunks.rest()
            return self._chunk({**value, "choices": rest}, name) if rest else b""
        end = self._stream.finish()
        self._exchange.heard(end.verdict)
        text = end.text
        if end.verdict.action in STOPS:
            if not self._refuse:
                raise Blocked(end.verdict)
            text += str(Blocked(end.verdict))
        return event({**value, self._field or "": text}, name) if text else b""

    def _end(self) -> bytes:
        if self._stream is not None:
            return self._done()
        self.over, complete = True, self._chunks.complete
        self._chunks.end()
        if not complete:
            raise BROKEN
        return b""

    def failed(self, failure: Failure) -> bytes | None:
        """As an event. There is no `[DONE]` after it."""
        return event(failure.body())

    def close(self) -> None:
        self._chunks.close()
        if self._stream is not None:
            self._stream.close()
