"""The `openai` client with a guard around it.

    client = guarded(openai.OpenAI(), Guard("default"))
    client.chat.completions.create(model="gpt-5", messages=[...])

`chat.completions.create` and `responses.create` are judged on the way in and on the way out, streams included;
everything else of the client is left as it is. What is blocked raises `brightline.Blocked`: the request before it is
sent, the answer before it is seen. What is redacted goes on with placeholders.

A streamed answer is judged while it arrives. Text comes as soon as no decision on it can change, and the arguments of a
tool call once they are complete. Of a blocked stream nothing that was held back is yielded, and its connection is
closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, TypeVar

import openai

from brightline._brightline import End, Step, Stream
from brightline._errors import Blocked
from brightline._guard import Guard
from brightline.integrations._messages import from_items, let_through, plain, redact

Client = TypeVar("Client", openai.OpenAI, openai.AsyncOpenAI)

_CHAT = "chat.completions.create"
_RESPONSES = "responses.create"


def guarded(client: Client, guard: Guard) -> Client:
    """The same client, with `chat.completions.create` and `responses.create` judged by the guard."""
    made: Any = _Guarded(client, guard, "")
    return made  # type: ignore[no-any-return]


class _Guarded:
    """A part of the client: attributes lead on, the two methods are replaced."""

    def __init__(self, part: Any, guard: Guard, path: str) -> None:
        self._part, self._guard, self._path = part, guard, path

    def __repr__(self) -> str:
        return f"<{self._part!r} guarded by {self._guard!r}>"

    def __getattr__(self, name: str) -> Any:
        part = getattr(self._part, name)
        path = f"{self._path}.{name}".lstrip(".")
        if path in (_CHAT, _RESPONSES):
            kind = _Chat if path == _CHAT else _Responses
            is_async = type(self._part).__name__.startswith("Async")
            return _acreate(kind, self._guard, part) if is_async else _create(kind, self._guard, part)
        if path in ("chat", "chat.completions", "responses"):
            return _Guarded(part, self._guard, path)
        if path in ("with_options", "copy"):
            return lambda **options: _Guarded(part(**options), self._guard, "")
        return part


def _create(kind: type[_Chat] | type[_Responses], guard: Guard, create: Callable[..., Any]) -> Callable[..., Any]:
    def guarded_create(**options: Any) -> Any:
        call = kind(guard, options)
        call.request(guard.check(call.messages, system=call.system))
        answer = create(**call.options)
        if options.get("stream"):
            return _events(call, answer)
        for position, context in call.answers(answer):
            call.answer(answer, position, guard.check(context, system=call.system))
        return answer

    return guarded_create


def _acreate(kind: type[_Chat] | type[_Responses], guard: Guard, create: Callable[..., Any]) -> Callable[..., Any]:
    async def guarded_create(**options: Any) -> Any:
        call = kind(guard, options)
        call.request(await guard.acheck(call.messages, system=call.system))
        answer = await create(**call.options)
        if options.get("stream"):
            return _aevents(call, answer)
        for position, context in call.answers(answer):
            call.answer(answer, position, await guard.acheck(context, system=call.system))
        return answer

    return guarded_create


def _events(call: _Chat | _Responses, answer: Any) -> Generator[Any, None, None]:
    try:
        for event in answer:
            yield from call.event(event)
        yield from call.end()
    finally:
        call.close()
        answer.close()


async def _aevents(call: _Chat | _Responses, answer: Any) -> AsyncGenerator[Any, None]:
    try:
        async for event in answer:
            for out in await asyncio.to_thread(list, call.event(event)):
                yield out
        await asyncio.to_thread(list, call.end())
    finally:
        call.close()
        await answer.close()


class _Call:
    """One call: its request as messages, and the streams of its answer by choice."""

    messages: list[dict[str, Any]]
    system: str | None = None

    def __init__(self, guard: Guard, options: dict[str, Any]) -> None:
        self.guard = guard
        self.options = dict(options)
        self.streams: dict[int, Stream] = {}

    def stream(self, choice: int) -> Stream:
        if choice not in self.streams:
            self.streams[choice] = self.guard.stream(self.messages, system=self.system)
        return self.streams[choice]

    def close(self) -> None:
        for stream in self.streams.values():
            stream.close()

    def finish(self, choice: int) -> End:
        """The end of a stream that is let through."""
        end = self.streams.pop(choice).finish()
        if end.verdict.action in ("revise", "escalate", "block"):
            raise Blocked(end.verdict)
        return end

    def went_on(self, choice: int, step: Step) -> Step:
        """The step, unless it ended the stream."""
        if step.stopped:
            self.finish(choice)
        return step


class _Chat(_Call):
    """A call of `chat.completions`."""

    def __init__(self, guard: Guard, options: dict[str, Any]) -> None:
        super().__init__(guard, options)
        self.messages = [plain(message) for message in options["messages"]]
        self.calls: dict[tuple[int, int], Any] = {}

    def request(self, verdict: Any) -> None:
        if not let_through(verdict):
            self.messages[-1] = redact(self.messages[-1], verdict)
            self.options["messages"] = self.messages

    def answers(self, answer: Any) -> list[tuple[int, list[Any]]]:
        choices = enumerate(answer.choices)
        return [(position, [*self.messages, plain(choice.message)]) for position, choice in choices]

    def answer(self, answer: Any, position: int, verdict: Any) -> None:
        if not let_through(verdict):
            choice = answer.choices[position]
            message = redact(plain(choice.message), verdict)
            choice.message = type(choice.message).model_validate(message)

    def event(self, chunk: Any) -> Generator[Any, None, None]:
        """A chunk with what may be shown of it."""
        for choice in chunk.choices:
            stream, delta, at = self.stream(choice.index), choice.delta, choice.index
            released: list[tuple[Any, str]] = []
            for channel, field in (("reasoning", "reasoning_content"), ("text", "refusal"), ("text", "content")):
                text = getattr(delta, field, None)
                if text:
                    released += self.went_on(at, stream.push(text, channel)).released  # type: ignore[arg-type]
                if text is not None:
                    setattr(delta, field, "" if field == "content" else None)
            for call in delta.tool_calls or ():
                self._declare(stream, at, call)
                if call.function and call.function.arguments:
                    released += self.went_on(at, stream.push(call.function.arguments, call.index)).released
            delta.tool_calls = None
            if choice.finish_reason is not None:
                released += self.finish(at).released
                released += [(index, "") for choice_at, index in self.calls if choice_at == at]
            self._show(choice, released)
        yield chunk

    def _declare(self, stream: Stream, choice: int, call: Any) -> None:
        """Keeps the head of a tool call until its arguments are released."""
        stream.tool_call(call.index, (call.function and call.function.name) or "")
        known = self.calls.setdefault((choice, call.index), call.model_copy(deep=True))
        if known.function is not None:
            if known is not call and call.function and call.function.name and not known.function.name:
                known.function.name = call.function.name
            known.function.arguments = ""

    def _show(self, choice: Any, released: list[tuple[Any, str]]) -> None:
        delta = choice.delta
        for channel, text in released:
            if channel == "text":
                delta.content = (delta.content or "") + text
            elif channel == "reasoning":
                delta.reasoning_content = (getattr(delta, "reasoning_content", None) or "") + text
            else:
                head = self.calls.pop((choice.index, channel), None)
                if head is not None and head.function is not None:
                    head.function.arguments = text
                    delta.tool_calls = [*(delta.tool_calls or ()), head]

    def end(self) -> Generator[Any, None, None]:
        """A stream that broke off without a finish reason: what was held back is dropped."""
        for choice in list(self.streams):
            self.finish(choice)
        yield from ()


class _Responses(_Call):
    """A call of `responses`."""

    def __init__(self, guard: Guard, options: dict[str, Any]) -> None:
        super().__init__(guard, options)
        self.messages = from_items(options.get("input") or "")
        self.system = options.get("instructions") or None
        self.held: list[Any] = []
        self.calls: dict[int, Any] = {}

    def request(self, verdict: Any) -> None:
        if let_through(verdict):
            return
        given = self.options["input"]
        if isinstance(given, str):
            self.options["input"] = verdict.redacted
        elif plain(given[-1]).get("type", "message") == "message":
            self.options["input"] = [*given[:-1], redact(plain(given[-1]), verdict)]
        else:
            self.options["input"] = [*given[:-1], {**plain(given[-1]), "output": verdict.redacted}]
        self.messages = from_items(self.options["input"])

    def answers(self, answer: Any) -> list[tuple[int, list[Any]]]:
        messages = from_items(answer.output)
        return [(at, [*self.messages, *messages[: at + 1]]) for at in range(len(messages))]

    def answer(self, answer: Any, position: int, verdict: Any) -> None:
        if let_through(verdict):
            return
        item = answer.output[position]
        for redaction in verdict.redactions:
            if redaction.field == "tool_calls":
                item.arguments = redaction.text
            elif item.type == "message":
                part = item.content[redaction.part or 0]
                setattr(part, "text" if part.type == "output_text" else "refusal", redaction.text)
            else:
                item.summary, item.content = [], None

    def event(self, event: Any) -> Generator[Any, None, None]:
        """An event with what may be shown of it. Those that repeat the text as a whole wait for the verdict."""
        stream, kind = self.stream(0), event.type
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            self.last = event
            yield from self._delta(self.went_on(0, stream.push(event.delta)).text)
        elif kind == "response.output_item.added" and event.item.type == "function_call":
            stream.tool_call(event.output_index, event.item.name)
            self.held.append(event)
        elif kind == "response.function_call_arguments.delta":
            self.went_on(0, stream.push(event.delta, event.output_index))
        elif kind == "response.completed" or kind == "response.incomplete":
            yield from self._delta(self.finish(0).text)
            for position, context in self.answers(event.response):
                self.answer(event.response, position, self.guard.check(context, system=self.system))
            yield from map(self._redacted(event.response), self.held)
            self.held = []
            yield event
        elif kind.endswith((".added", ".created", ".in_progress", ".queued", ".failed")) or kind == "error":
            yield event
        else:
            self.held.append(event)

    last: Any = None

    def _delta(self, text: str) -> Generator[Any, None, None]:
        if text and self.last is not None:
            yield self.last.model_copy(update={"delta": text})

    @staticmethod
    def _redacted(response: Any) -> Callable[[Any], Any]:
        """Lays the texts of the judged response over the events that repeat them."""

        def over(event: Any) -> Any:
            at = getattr(event, "output_index", None)
            if at is None or at >= len(response.output):
                return event
            item, part = response.output[at], getattr(event, "content_index", None)
            if event.type == "response.output_item.done":
                return event.model_copy(update={"item": item})
            if event.type == "response.function_call_arguments.done":
                return event.model_copy(update={"arguments": item.arguments})
            if item.type == "message" and part is not None:
                if event.type == "response.content_part.done":
                    return event.model_copy(update={"part": item.content[part]})
                if event.type == "response.output_text.done":
                    return event.model_copy(update={"text": item.content[part].text})
            return event

        return over

    def end(self) -> Generator[Any, None, None]:
        """A stream that broke off: what was held back is dropped, and the verdict on what arrived is heard."""
        if 0 in self.streams:
            self.finish(0)
        yield from ()
