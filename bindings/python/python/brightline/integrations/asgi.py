"""Middleware for ASGI servers: FastAPI, Starlette, Litestar, Quart or a plain application.

    app.add_middleware(GuardMiddleware, guard=Guard("default"), paths=["/v1/chat/completions"])

Every request to the paths is judged before the application sees it, and every answer before the client does.

- A request is JSON: `messages` as in the chat completions API, or one text under `prompt` or `input`. Judged are the
  messages after the model's last answer. What is redacted reaches the application with placeholders.
- An answer is a completion, other JSON, whose texts are judged together, an event stream of chunks, or text. Streams
  are judged while they arrive and held back no longer than a decision on them is open.
- What is not let through is answered with the clause's message, as a refusal with the finish reason `content_filter`
  (status 200), or with status 403 where the request has no `messages`, or with `on_block="error"`. A streamed text ends
  with the message.
- What cannot be read is not judged and does not pass: another content type, a compressed body, a stream of events that
  are no chunks, a body that is too large. Status and `code` are those of the gateway.

Headers and the field `brightline` of answers are those of the gateway, too. Lifespan, websockets and requests to other
paths or with other methods go through untouched. The middleware stands inside of what compresses, and runs on asyncio.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

from brightline._brightline import Verdict
from brightline._errors import Blocked, InputError
from brightline._guard import Guard
from brightline.integrations._answers import (
    UNREADABLE,
    Events,
    Failure,
    Text,
    chunks,
    completion,
    dumped,
    judged,
    told,
)
from brightline.integrations._chat import Exchange, Heard
from brightline.integrations._messages import clauses, strictest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks.

    Attributes:
        messages: the conversation, in a form that `Guard.check` takes.
        write: the body with other messages in place of these: what the application reads where something is redacted.
        context: what the guard takes beside messages: `system`, `settings`, `tags`, `signals`.
    """

    messages: list[Any]
    write: Callable[[list[Any]], Any]
    context: dict[str, Any] = field(default_factory=dict)


def read_chat(body: Any) -> Asked:
    """Reads `messages`, with Anthropic's `system` beside them, or one text under `prompt` or `input`.

    Raises:
        ValueError: the body has none of these.
    """
    given = [name for name in body if str(name).lower() in _READ] if isinstance(body, dict) else []
    # Of two of them the application may read the other one.
    if len(given) == 1 and given[0] in _READ:
        name, value = given[0], body[given[0]]
        if name == "messages" and isinstance(value, list) and value:
            context = {"system": body["system"]} if body.get("system") else {}
            return Asked(value, lambda shown: {**body, name: shown}, context)
        if name != "messages" and isinstance(value, str):
            return Asked([{"role": "user", "content": value}], lambda shown: {**body, name: shown[0]["content"]})
    raise ValueError("expected an object with `messages`, or with a text under `prompt` or `input`, one of these only")


_READ = ("messages", "prompt", "input")


class GuardMiddleware:
    """Judges the requests and the answers of an application.

    Args:
        app: the application.
        guard: what judges.
        paths: the paths that are judged, exactly as they are routed, or what tells them; all where left out.
        methods: the methods that are judged.
        on_block: `"message"` answers with the clause's message, `"error"` with status 403 and the ids of the clauses.
        on_unreadable: `"refuse"` what cannot be judged, or `"pass"` it with the header `x-brightline-action: unjudged`.
        read_request: reads other forms of a body, from its JSON. What it raises as `ValueError` is answered with 400.
        event_text: the field of each event that has the text, where events are no chunks of a completion.
        context: what is known of a request beside its body: `settings`, `tags`, `signals`, from its scope.
        heard: told of every verdict.
        max_request: the largest body of a request, in bytes.
        max_response: the largest answer, in bytes; all of a stream together.
    """

    def __init__(
        self,
        app: App,
        guard: Guard,
        *,
        paths: Collection[str] | Callable[[str], bool] | None = None,
        methods: Collection[str] = ("POST",),
        on_block: Literal["message", "error"] = "message",
        on_unreadable: Literal["refuse", "pass"] = "refuse",
        read_request: Callable[[Any], Asked] = read_chat,
        event_text: str | None = None,
        context: Callable[[Scope], dict[str, Any]] | None = None,
        heard: Heard | None = None,
        max_request: int = 32 * 2**20,
        max_response: int = 32 * 2**20,
    ) -> None:
        if on_block not in ("message", "error"):
            raise ValueError(f"`on_block` is `{on_block}`; known are message and error")
        if on_unreadable not in ("refuse", "pass"):
            raise ValueError(f"`on_unreadable` is `{on_unreadable}`; known are refuse and pass")
        if isinstance(paths, str):
            raise ValueError("`paths` is a list of paths")
        self.app, self.guard, self.methods = app, guard, methods
        self.judges = paths if callable(paths) else (lambda path: paths is None or path in paths)
        self.refuse, self.passes = on_block == "message", on_unreadable == "pass"
        self.read_request, self.event_text, self.context, self.heard = read_request, event_text, context, heard
        self.max_request, self.max_response = max_request, max_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection."""
        if scope["type"] != "http" or scope["method"] not in self.methods or not self.judges(scope["path"]):
            return await self.app(scope, receive, send)
        seen = _Seen(self)
        try:
            body = await self._body(scope, receive)
            if body is None:
                return
            passed = await asyncio.to_thread(seen.ask, scope, body)
        except Failure as failure:
            return await _reply(send, failure.status, failure.body())
        except Blocked as blocked:
            return await seen.refuse(send, blocked)
        answer = _Answer(self, seen, send)
        try:
            await self.app(_plain(scope, len(passed)), _replay(passed, receive), answer.send)
        except Exception:
            # An application whose answer was ended says so in its own way.
            if not answer.cut:
                raise
        finally:
            answer.close()
        if answer.error is not None:
            raise answer.error

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body of a request; `None` where the client has gone."""
        if _header(scope["headers"], b"content-encoding") not in ("", "identity"):
            raise Failure(415, "request_encoding", "the request is compressed, so it cannot be judged")
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > self.max_request:
                raise Failure(413, "request_too_large", f"the request is larger than {self.max_request} bytes")
            if not message.get("more_body", False):
                return bytes(body)


class _Seen:
    """What was asked, and the verdicts so far."""

    def __init__(self, middleware: GuardMiddleware) -> None:
        self.middleware = middleware
        self.request: list[Verdict] = []
        self.answer: list[Verdict] = []
        self.body: dict[str, Any] = {}
        self.exchange = Exchange(middleware.guard, [])
        self.unjudged = False

    def ask(self, scope: Scope, raw: bytes) -> bytes:
        """Judges a request. Gives the body for the application.

        Raises:
            Blocked: the application is not to see it.
            Failure: it cannot be read.
        """
        middleware = self.middleware
        try:
            body = json.loads(raw)
            asked = middleware.read_request(body)
        except (ValueError, RecursionError) as error:
            if middleware.passes:
                self.unjudged = True
                return raw
            what = "the request is no JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            raise Failure(400, "invalid_request", what) from None
        if isinstance(body, dict):
            self.body = body
        context = {**asked.context, **(middleware.context(scope) if middleware.context is not None else {})}
        self.exchange = Exchange(middleware.guard, asked.messages, self._request, **context)
        try:
            redacted = self.exchange.request()
        except InputError as error:
            raise Failure(400, "invalid_request", str(error)) from None
        self.exchange.heard = self._answer
        # Written anew, so that no other reading of it is possible.
        return dumped(asked.write(self.exchange.messages) if redacted else body)

    def _request(self, verdict: Verdict) -> None:
        self._heard(verdict, self.request)

    def _answer(self, verdict: Verdict) -> None:
        self._heard(verdict, self.answer)

    def _heard(self, verdict: Verdict, verdicts: list[Verdict]) -> None:
        verdicts.append(verdict)
        if self.middleware.heard is not None:
            self.middleware.heard(verdict)

    @property
    def choices(self) -> int:
        """How many choices were asked for."""
        asked = self.body.get("n")
        return asked if isinstance(asked, int) and asked > 0 else 1

    def headers(self) -> list[tuple[bytes, bytes]]:
        verdicts = [*self.request, *self.answer]
        action = strictest(verdicts)
        found = sorted({clause for verdict in verdicts for clause in clauses(verdict)})
        media = sorted({kind for verdict in verdicts for kind in verdict.not_judged})
        lists = {b"x-brightline-clauses": ",".join(found), b"x-brightline-not-judged": ",".join(media)}
        head = [(b"x-brightline-action", b"unjudged" if self.unjudged else action.encode())]
        return head + [(name, text.encode()) for name, text in lists.items() if text and text.isascii()]

    def extended(self, value: Any) -> Any:
        """An answer with the field `brightline`, where there is something to say."""
        if isinstance(value, dict) and any(verdict.findings for verdict in (*self.request, *self.answer)):
            return {**value, "brightline": {"request": told(self.request), "response": told(self.answer)}}
        return value

    async def refuse(self, send: Send, blocked: Blocked) -> None:
        """Answers in place of what is not let through, before anything was sent."""
        verdict = blocked.verdict
        if not self.middleware.refuse or "messages" not in self.body:
            error = {"message": str(blocked), "type": "invalid_request_error", "param": None, "code": "blocked"}
            return await _reply(send, 403, {"error": {**error, "clauses": clauses(verdict)}}, self.headers())
        if self.body.get("stream") is True:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
            await send({"type": "http.response.start", "status": 200, "headers": headers + self.headers()})
            return await send({"type": "http.response.body", "body": chunks(verdict, self.body.get("model"))})
        value = self.extended(completion(verdict, self.body.get("model")))
        await _reply(send, 200, value, self.headers())


class _Answer:
    """What the application sends, on its way to the client."""

    def __init__(self, middleware: GuardMiddleware, seen: _Seen, send: Send) -> None:
        self.cut = self._over = False
        self.error: Exception | None = None
        self._middleware, self._seen, self._send = middleware, seen, send
        self._start: Message = {"headers": []}
        self._size, self._begun, self._passed = 0, False, False
        self._whole: bytearray | None = None
        self._stream: Text | Events | None = None

    def close(self) -> None:
        self._over = True
        if self._stream is not None:
            self._stream.close()

    async def send(self, message: Message) -> None:
        """Takes a message of the application.

        Raises:
            OSError: the answer was ended, as by a client that has gone. The application has no more to do.
        """
        if self._passed:
            return await self._send(message)
        if message["type"] == "http.response.start":
            self._start = {**message, "headers": list(message.get("headers", ()))}
        elif message["type"] == "http.response.body":
            data, last = bytes(message.get("body", b"")), not message.get("more_body", False)
            try:
                if not self._over:
                    await self._take(data, last)
            except InputError:
                await self._failed(UNREADABLE)
            except Failure as failure:
                await self._failed(failure)
            except Blocked as blocked:
                await self._blocked(blocked)
            if self.cut and not last:
                raise OSError("the answer was ended")

    async def _take(self, data: bytes, last: bool) -> None:
        self._size += len(data)
        if self._size > self._middleware.max_response:
            raise Failure(502, "response_too_large", f"the answer is larger than {self._middleware.max_response} bytes")
        if self._whole is None and self._stream is None:
            if not data and not last:
                return
            if not await self._began(data, last):
                return
        if self._whole is not None:
            self._whole += data
            if last:
                self._over = True
                body = await asyncio.to_thread(self._json, bytes(self._whole))
                await self._begin(len(body))
                await self._send({"type": "http.response.body", "body": body})
        elif self._stream is not None:
            shown = await asyncio.to_thread(self._stream.feed, data, last)
            self._over, self.cut = last or self._stream.over, self._stream.cut
            if shown or self._over:
                await self._begin()
                await self._send({"type": "http.response.body", "body": shown, "more_body": not self._over})

    async def _began(self, data: bytes, last: bool) -> bool:
        """Decides by its head how the answer is judged; false where it is not."""
        headers, seen = self._start["headers"], self._seen
        kind, _, parameters = _header(headers, b"content-type").lower().partition(";")
        kind, charset = kind.strip(), parameters.partition("charset=")[2].strip(' "')
        plain = _header(headers, b"content-encoding") in ("", "identity") and charset in _CHARSETS
        if not seen.unjudged and plain:
            refuse = self._middleware.refuse
            if kind == "text/event-stream":
                field = self._middleware.event_text
                self._stream = Events(
                    seen.exchange, refuse=refuse, field=field, choices=seen.choices, answer=seen.answer
                )
            elif kind == "application/json" or kind.endswith("+json"):
                self._whole = bytearray()
            elif kind.startswith("text/"):
                self._stream = Text(seen.exchange, refuse=refuse)
        if self._stream is not None or self._whole is not None:
            return bool(data) or not last or await self._untouched(data, last)
        if not data and last:
            return await self._untouched(data, last)
        if not self._middleware.passes:
            raise UNREADABLE
        seen.unjudged = True
        return await self._untouched(data, last)

    async def _untouched(self, data: bytes, last: bool) -> bool:
        self._passed = True
        headers = [*self._start["headers"], *self._seen.headers()]
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        return False

    def _json(self, body: bytes) -> bytes:
        try:
            shown = judged(self._seen.exchange, json.loads(body), refuse=self._middleware.refuse)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            raise UNREADABLE from None
        return dumped(self._seen.extended(shown))

    async def _begin(self, size: int | None = None) -> None:
        """Sends the head, with what fits the body that follows."""
        if self._begun:
            return
        self._begun = True
        kept = [it for it in self._start["headers"] if it[0].lower() not in _OF_THE_BODY]
        length = [(b"content-length", str(size).encode())] if size is not None else []
        await self._send({**self._start, "headers": [*kept, *length, *self._seen.headers()], "trailers": False})

    async def _failed(self, failure: Failure, error: Exception | None = None) -> None:
        self._over = self.cut = True
        if not self._begun:
            return await _reply(self._send, failure.status, failure.body())
        told = self._stream.failed(failure) if self._stream is not None else None
        if told is None:
            # Only a connection that breaks off says it.
            self.error = error or failure
        else:
            await self._send({"type": "http.response.body", "body": told})

    async def _blocked(self, blocked: Blocked) -> None:
        if self._begun:
            return await self._failed(Failure(403, "blocked", str(blocked)), blocked)
        if self._start["status"] >= 400:
            return await self._failed(UNREADABLE)
        self._over = self.cut = True
        await self._seen.refuse(self._send, blocked)


_CHARSETS = ("", "utf-8", "utf8", "us-ascii")
# Headers that describe the body as the application sent it.
_OF_THE_BODY = (b"content-length", b"etag", b"content-md5", b"digest", b"content-digest", b"trailer", b"accept-ranges")


def _header(headers: Any, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for known, value in headers if known.lower() == name), "")


def _plain(scope: Scope, size: int) -> Scope:
    """The scope for the application: a body of another size, nothing compressed, no other way to send one."""
    own = (b"content-length", b"transfer-encoding", b"accept-encoding")
    headers = [it for it in scope["headers"] if it[0].lower() not in own]
    headers += [(b"content-length", str(size).encode()), (b"accept-encoding", b"identity")]
    known = {name: it for name, it in (scope.get("extensions") or {}).items() if not name.startswith("http.response.")}
    return {**scope, "headers": headers, "extensions": known}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, and then what the client does."""
    bodies = iter([body])

    async def received() -> Message:
        for whole in bodies:
            return {"type": "http.request", "body": whole, "more_body": False}
        return await receive()

    return received


async def _reply(send: Send, status: int, value: Any, more: list[tuple[bytes, bytes]] | None = None) -> None:
    body = dumped(value)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *(more or ())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
