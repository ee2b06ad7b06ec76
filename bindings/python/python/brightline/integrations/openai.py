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
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeVar

import openai

from brightline._errors import BrightlineError
from brightline._guard import Guard
from brightline.integrations._chat import Chunks, Exchange
from brightline.integrations._messages import plain
from brightline.integrations._responses import Responses, parsed

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
            kind = Responses if path.startswith("responses") else _Chat
            if name == "stream":
                # The helper of the package asks with `create` of what it is given.
                return lambda **options: type(self._part).stream(self, **options)
            is_async = type(self._part).__name__.startswith("Async")
            return _acreate(kind, self._guard, part) if is_async else _create(kind, self._guard, part)
        if path in ("with_options", "copy"):
            return lambda **options: _Guarded(part(**options), self._guard, "")
        return part


def _create(kind: type[_Chat] | type[Responses], guard: Guard, create: Callable[..., Any]) -> Callable[..., Any]:
    def guarded_create(**options: Any) -> Any:
        call = kind(guard, options)
        call.request()
        answer = create(**call.options)
        return _Events(call, answer) if options.get("stream") is True else call.answer(answer)

    return guarded_create


def _acreate(kind: type[_Chat] | type[Responses], guard: Guard, create: Callable[..., Any]) -> Callable[..., Any]:
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

    def __init__(self, call: _Chat | Responses, answer: Any) -> None:
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
    def _run(call: _Chat | Responses, answer: Any) -> Generator[Any, None, None]:
        try:
            for event in answer:
                yield from call.event(event)
            call.end()
        finally:
            call.close()
            answer.close()


class _AsyncEvents(AsyncIterator[Any]):
    """As `_Events`, async."""

    def __init__(self, call: _Chat | Responses, answer: Any) -> None:
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
    async def _run(call: _Chat | Responses, answer: Any) -> AsyncGenerator[Any, None]:
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
        # Messages may be an iterator, which can be read once.
        self.options = {**options, "messages": list(options["messages"])}
        self.exchange = Exchange(guard, self.options["messages"])
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
    made = type(message).model_validate(judged)
    if getattr(message, "parsed", None) is not None:
        made.parsed = parsed(message.parsed, judged["content"])
    for call, before in zip(made.tool_calls or (), message.tool_calls or (), strict=True):
        arguments = getattr(getattr(before, "function", None), "parsed_arguments", None)
        if arguments is not None:
            call.function.parsed_arguments = parsed(arguments, call.function.arguments)
    return made
