"""The `openai` client with a guard around it.

    client = guarded(openai.OpenAI(), Guard("default"))
    client.chat.completions.create(model="gpt-5", messages=[...])

`create`, `parse` and `stream` of `chat.completions` and of `responses` are judged on the way in and on the way out,
each choice by itself. What is blocked raises `brightline.Blocked`: the request before it is sent, the answer before it
is seen. What is redacted goes on with placeholders.

Of a request, the messages after the model's last answer are judged: the user's turn, the results of all tools. A
streamed answer is judged while it arrives. Text comes as soon as no decision on it can change, and the arguments of a
tool call once they are complete. Of a blocked stream nothing that was held back is yielded, and its connection is
closed.

What else of the client could bring a model's words past the guard raises `BrightlineError` where it is asked for, such
as `with_raw_response`, `completions` or `responses.retrieve`. Embeddings, files, models and the like are the client's
own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

import openai

from brightline._brightline import Stream, Verdict
from brightline._errors import Blocked, BrightlineError
from brightline._guard import Guard
from brightline.integrations._chat import STOPS, Chunks, Exchange
from brightline.integrations._messages import from_items, let_through, new, plain, redact_item

Client = TypeVar("Client", openai.OpenAI, openai.AsyncOpenAI)

# What of the client leads on to guarded methods, and what brings words of a model by another way.
_PARTS = ("chat", "chat.completions", "responses")
_JUDGED = tuple(f"{part}.{method}" for part in _PARTS[1:] for method in ("create", "parse", "stream"))
_UNJUDGED = ("beta", "completions", "conversations", "get", "live", "patch", "post", "put", "realtime", "request")
_RAW = ("with_raw_response", "with_streaming_response")


def guarded(client: Client, guard: Guard) -> Client:
    """The same client, with its chat completions and responses judged by the guard."""
    made: Any = _Guarded(client, guard, "")
    return made  # type: ignore[no-any-return]


class _Guarded:
    """A part of the client: attributes lead on, methods that ask a model are replaced or refused."""

    def __init__(self, part: Any, guard: Guard, path: str) -> None:
        self._part, self._guard, self._path = part, guard, path

    def __repr__(self) -> str:
        return f"<{self._part!r} guarded by {self._guard!r}>"

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}.{name}".lstrip(".")
        inside = bool(self._path) and not name.startswith("_") and path not in (*_PARTS, *_JUDGED, "responses.delete")
        if inside or name in _RAW or path in _UNJUDGED:
            raise BrightlineError(f"`{path}` is not judged: call it on the client that was guarded")
        part = getattr(self._part, name)
        if path in _PARTS:
            return _Guarded(part, self._guard, path)
        if path in _JUDGED:
            kind = _Responses if path.startswith("responses") else _Chat
            if name == "stream":
                # The helper of the package asks with `create` of what it is given.
                return lambda **options: type(self._part).stream(self, **options)
            is_async = type(self._part).__name__.startswith("Async")
            return _acreate(kind, self._guard, part) if is_async else _create(kind, self._guard, part)
        if path in ("with_options", "copy"):
            return lambda **options: _Guarded(part(**options), self._guard, "")
        return part


def _create(kind: type[_Chat] | type[_Responses], guard: Guard, create: Callable[..., Any]) -> Callable[..., Any]:
    def guarded_create(**options: Any) -> Any:
        call = kind(guard, options)
        call.request()
        answer = create(**call.options)
        return _Events(call, answer) if options.get("stream") is True else call.answer(answer)

    return guarded_create


def _acreate(kind: type[_Chat] | type[_Responses], guard: Guard, create: Callable[..., Any]) -> Callable[..., Any]:
    async def guarded_create(**options: Any) -> Any:
        call = kind(guard, options)
        await asyncio.to_thread(call.request)
        answer = await create(**call.options)
        if options.get("stream") is True:
            return _AsyncEvents(call, answer)
        return await asyncio.to_thread(call.answer, answer)

    return guarded_create


class _Events(Iterator[Any]):
    """What `create` gives for a stream. It ends the connection with the answer."""

    def __init__(self, call: _Chat | _Responses, answer: Any) -> None:
        self.response = answer.response
        self._close, self._events = answer.close, self._run(call, answer)

    def __next__(self) -> Any:
        return next(self._events)

    def __enter__(self) -> _Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drops what is held back, and closes the connection."""
        self._events.close()
        self._close()

    @staticmethod
    def _run(call: _Chat | _Responses, answer: Any) -> Generator[Any, None, None]:
        try:
            for event in answer:
                yield from call.event(event)
            call.end()
        finally:
            call.close()
            answer.close()


class _AsyncEvents(AsyncIterator[Any]):
    """As `_Events`, async."""

    def __init__(self, call: _Chat | _Responses, answer: Any) -> None:
        self.response = answer.response
        self._close, self._events = answer.close, self._run(call, answer)

    async def __anext__(self) -> Any:
        return await anext(self._events)

    async def __aenter__(self) -> _AsyncEvents:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Drops what is held back, and closes the connection."""
        await self._events.aclose()
        await self._close()

    @staticmethod
    async def _run(call: _Chat | _Responses, answer: Any) -> AsyncGenerator[Any, None]:
        try:
            async for event in answer:
                for out in await asyncio.to_thread(list, call.event(event)):
                    yield out
            await asyncio.to_thread(call.end)
        finally:
            call.close()
            await answer.close()


class _Chat:
    """A call of `chat.completions`."""

    def __init__(self, guard: Guard, options: dict[str, Any]) -> None:
        self.options = dict(options)
        self.exchange = Exchange(guard, list(options["messages"]))
        self.chunks = Chunks(self.exchange)

    def request(self) -> None:
        if self.exchange.request():
            self.options["messages"] = self.exchange.messages

    def answer(self, answer: Any) -> Any:
        for choice in answer.choices:
            before = plain(choice.message)
            before.pop("parsed", None)
            message = self.exchange.answer(before)
            if message is not before:
                choice.logprobs = None
                choice.message = _rebuilt(choice.message, message)
        return answer

    def event(self, chunk: Any) -> Generator[Any, None, None]:
        """A chunk with what may be shown of it."""
        if not chunk.choices:
            yield chunk
            return
        shown = self.chunks.take(plain(chunk))
        if shown["choices"] or chunk.usage:
            yield type(chunk).model_validate(shown)

    def end(self) -> None:
        self.chunks.end()

    def close(self) -> None:
        self.chunks.close()


def _rebuilt(message: Any, judged: dict[str, Any]) -> Any:
    """The message with the judged texts. What `parse` made of the texts before is made anew."""
    parsed = getattr(message, "parsed", None)
    made = type(message).model_validate(judged)
    if parsed is not None:
        made.parsed = _parsed(parsed, judged["content"])
    for call, before in zip(made.tool_calls or (), message.tool_calls or (), strict=True):
        arguments = getattr(getattr(before, "function", None), "parsed_arguments", None)
        if arguments is not None:
            call.function.parsed_arguments = _parsed(arguments, call.function.arguments)
    return made


def _parsed(before: Any, text: str) -> Any:
    """Arguments or an answer as `parse` has them, from the judged text."""
    return json.loads(text) if isinstance(before, (dict, list)) else type(before).model_validate_json(text)


def _rebuilt_item(item: Any, verdict: Verdict) -> Any:
    """As `_rebuilt`, for an item of a response."""
    before = plain(item)
    for part in before.get("content") or ():
        part.pop("parsed", None)
    made = type(item).model_validate(redact_item(before, verdict))
    for part, known in zip(getattr(made, "content", None) or (), getattr(item, "content", None) or (), strict=True):
        if getattr(known, "parsed", None) is not None:
            part.parsed = _parsed(known.parsed, part.text)
    if getattr(item, "parsed_arguments", None) is not None:
        made.parsed_arguments = _parsed(item.parsed_arguments, made.arguments)
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


class _Responses:
    """A call of `responses`."""

    def __init__(self, guard: Guard, options: dict[str, Any]) -> None:
        self.guard, self.options = guard, dict(options)
        self.messages = from_items(options.get("input") or "")
        self.system = options.get("instructions") or None
        self.streamed: Stream | None = None
        self.last: Any = None
        self.held: list[Any] = []

    def request(self) -> None:
        for at in new(self.messages):
            verdict = self.guard.check(self.messages, system=self.system, target=at)
            if let_through(verdict):
                continue
            given = self.options["input"]
            if isinstance(given, str):
                self.options["input"] = verdict.redacted
            else:
                self.options["input"] = [*given[:at], redact_item(plain(given[at]), verdict), *given[at + 1 :]]
            self.messages = from_items(self.options["input"])

    def answer(self, answer: Any) -> Any:
        self._judge(answer)
        return answer

    def _judge(self, answer: Any) -> set[int]:
        """Judges the items of an answer and lays placeholders over them. Says which are redacted."""
        messages = [*self.messages, *from_items(answer.output)]
        redacted = set()
        for at, item in enumerate(answer.output):
            verdict = self.guard.check(messages, system=self.system, target=len(self.messages) + at)
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
        if self.streamed is not None:
            self.streamed.close()
