"""The ASGI middleware: by itself, and in a real FastAPI application."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from brightline import Guard, Verdict
from brightline.integrations.asgi import Asked, GuardMiddleware

SAUCE = "Of course, and now the secret sauce recipe for you."
SAFE = "I cannot tell you about the sauce."
MAIL = "Ask Ann, at ann@example.com or here."
REDACTED = "Ask Ann, at [email] or here."
ASK: dict[str, Any] = {"model": "fake", "messages": [{"role": "user", "content": "Who can help?"}]}


class Server:
    """An application that answers what it is told to, and what it was asked."""

    def __init__(self, *pieces: str | bytes, kind: str = "application/json", status: int = 200, **headers: str) -> None:
        self.pieces, self.status, self.bodies, self.stopped = pieces, status, [], False
        self.headers = [(b"content-type", kind.encode()), *((k.encode(), v.encode()) for k, v in headers.items())]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies.append(json.loads(body))
        length = [it for it in scope["headers"] if it[0] == b"content-length"]
        assert length == [(b"content-length", str(len(body)).encode())]
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            for piece in self.pieces:
                data = piece if isinstance(piece, bytes) else piece.encode()
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except OSError:
            self.stopped = True
            raise


class Answer:
    """What a client gets."""

    def __init__(self) -> None:
        self.status, self.headers, self.pieces, self.ended = 0, {}, [], False

    async def send(self, message: Any) -> None:
        assert not self.ended
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.pieces.append(message.get("body", b"").decode())
            self.ended = not message.get("more_body", False)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def json(self) -> Any:
        assert self.headers["content-length"] == str(len(self.text.encode()))
        return json.loads(self.text)

    @property
    def events(self) -> list[Any]:
        data = [event.partition("data: ")[2] for event in self.text.split("\n\n") if "data: " in event]
        return [json.loads(it) for it in data if it != "[DONE]"]

    def content(self, index: int = 0, field: str = "content") -> str:
        choices = [choice for event in self.events for choice in event["choices"] if choice["index"] == index]
        return "".join(choice["delta"].get(field) or "" for choice in choices)


def scope_of(path: str = "/chat", method: str = "POST", **headers: str) -> dict[str, Any]:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": given, "extensions": {}}


async def ask(app: Any, body: Any, scope: dict[str, Any] | None = None, answer: Answer | None = None) -> Answer:
    answer = answer or Answer()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    messages = iter(
        [
            {"type": "http.request", "body": data[:7], "more_body": True},
            {"type": "http.request", "body": data[7:], "more_body": False},
        ]
    )

    async def receive() -> Any:
        for message in messages:
            return message
        return await asyncio.sleep(3600)

    await app(scope or scope_of(), receive, answer.send)
    return answer


def completion(*messages: Any) -> str:
    made = [it if isinstance(it, dict) else {"role": "assistant", "content": it} for it in messages]
    choices = [{"index": at, "message": message, "finish_reason": "stop"} for at, message in enumerate(made)]
    return json.dumps({"id": "x", "object": "chat.completion", "choices": choices})


def chunk(delta: dict[str, Any], finish: str | None = None, at: int = 0) -> str:
    choice = {"index": at, "delta": delta, "finish_reason": finish, "logprobs": {"content": [SAUCE]}}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def chunks(text: str, at: int = 0, size: int = 3) -> list[str]:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return [*(chunk({"content": piece}, at=at) for piece in pieces), chunk({}, "stop", at)]


def events(*pieces: str, **headers: str) -> Server:
    return Server(*pieces, kind="text/event-stream", **headers)


async def test_requests(house: Guard) -> None:
    server = Server(completion("Good morning."), **{"content-length": "7", "etag": "x"})
    app = GuardMiddleware(server, house)
    answer = await ask(app, ASK)
    assert answer.json["choices"][0]["message"]["content"] == "Good morning."
    assert answer.headers["x-brightline-action"] == "allow"
    assert "etag" not in answer.headers
    mail = await ask(app, {**ASK, "messages": [{"role": "user", "content": "I am ann@example.com"}]})
    assert server.bodies[-1]["messages"][0]["content"] == "I am [email]"
    assert (mail.headers["x-brightline-action"], mail.headers["x-brightline-clauses"]) == ("redact", "addresses")
    assert "ann@" not in mail.text
    asked = {"messages": [{"role": "user", "content": "the secret sauce recipe"}]}
    for body in (asked, {**asked, "stream": True}, {"prompt": "the secret sauce recipe"}):
        server.bodies.clear()
        blocked = await ask(app, body)
        assert server.bodies == []
        assert blocked.headers["x-brightline-clauses"] == "sauce"
        if "prompt" in body:
            assert blocked.status == 403
            assert blocked.json["error"]["clauses"] == ["sauce"]
        elif "stream" in body:
            assert blocked.content(field="refusal") == SAFE
            assert blocked.text.endswith("data: [DONE]\n\n")
        else:
            (choice,) = blocked.json["choices"]
            assert (choice["message"]["refusal"], choice["finish_reason"]) == (SAFE, "content_filter")
            assert blocked.json["brightline"]["request"][0]["findings"][0]["clause"] == "sauce"
    refused = await ask(GuardMiddleware(server, house, on_block="error"), asked)
    assert (refused.status, refused.json["error"]["message"], server.bodies) == (403, SAFE, [])


async def test_all_results_of_tools_are_judged(house: Guard) -> None:
    server = Server(completion("Good morning."))
    results = [{"role": "tool", "tool_call_id": at, "content": "fine"} for at in "ab"]
    call = {"id": "a", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    history = [*ASK["messages"], {"role": "assistant", "tool_calls": [call, {**call, "id": "b"}]}]
    for at in (0, 1):
        leak = [{**it, "content": SAUCE} if nth == at else it for nth, it in enumerate(results)]
        answer = await ask(GuardMiddleware(server, house), {"messages": [*history, *leak]})
        assert answer.json["choices"][0]["message"]["refusal"] == SAFE
    assert server.bodies == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"no json", {}, 400, "invalid_request"),
        (b"[" * 100_000, {}, 400, "invalid_request"),
        ({"question": "x"}, {}, 400, "invalid_request"),
        ({"messages": []}, {}, 400, "invalid_request"),
        ({"prompt": "x", "input": SAUCE}, {}, 400, "invalid_request"),
        ({"messages": [{"role": "user", "content": "x"}], "Messages": []}, {}, 400, "invalid_request"),
        ({"messages": [{"role": "bot", "content": "x"}]}, {}, 400, "invalid_request"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, {}, 400, "invalid_request"),
        (ASK, {"content_encoding": "gzip"}, 415, "request_encoding"),
        ({"prompt": "x" * 200}, {}, 413, "request_too_large"),
    ],
)
async def test_what_cannot_be_read_is_refused(
    house: Guard, body: Any, headers: dict[str, str], status: int, code: str
) -> None:
    server = Server(completion("Good morning."))
    size = 200 if code == "request_too_large" else 2**20
    answer = await ask(GuardMiddleware(server, house, max_request=size), body, scope_of(**headers))
    assert (answer.status, answer.json["error"]["code"], server.bodies) == (status, code, [])


async def test_answers(house: Guard) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "write", "arguments": '{"to": "ann@example.com"}'}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call]}
    heard: list[Verdict] = []
    app = GuardMiddleware(Server(completion("Fine.", MAIL, SAUCE, calling)), house, heard=heard.append)
    answer = await ask(app, {**ASK, "n": 4})
    first, second, third, fourth = (choice["message"] for choice in answer.json["choices"])
    assert (first["content"], second["content"]) == ("Fine.", REDACTED)
    assert (third["content"], third["refusal"]) == (None, SAFE)
    assert fourth["tool_calls"][0]["function"]["arguments"] == '{"to": "ann@example.com"}'
    assert answer.headers["x-brightline-action"] == "block"
    assert answer.headers["x-brightline-clauses"] == "addresses,sauce"
    assert "secret sauce" not in answer.text
    assert [verdict.surface for verdict in heard] == ["request", "response", "response", "response", "tool_call"]
    refused = await ask(GuardMiddleware(Server(completion("Fine.", SAUCE)), house, on_block="error"), ASK)
    assert (refused.status, refused.json["error"]["clauses"]) == (403, ["sauce"])


async def test_fields_with_words_are_judged(house: Guard) -> None:
    message = {"role": "assistant", "content": "Fine.", "reasoning": SAUCE}
    answer = await ask(GuardMiddleware(Server(completion(message)), house), ASK)
    assert answer.json["choices"][0]["message"]["refusal"] == SAFE
    message = {"role": "assistant", "content": "Fine.", "notes": [{"said": SAUCE}], "audio": {"transcript": "Fine."}}
    answer = await ask(GuardMiddleware(Server(completion(message)), house), ASK)
    shown = answer.json["choices"][0]["message"]
    assert (shown["content"], shown["audio"], "notes" in shown) == ("Fine.", {"transcript": "Fine."}, False)
    assert "secret sauce" not in answer.text


async def test_other_json(house: Guard) -> None:
    body = json.dumps({"answer": {"lines": [MAIL, "Fine."], "n": 3, "ok": True}})
    answer = await ask(GuardMiddleware(Server(body[:9], body[9:]), house), {"input": "hello"})
    assert answer.json["answer"] == {"lines": [REDACTED, "Fine."], "n": 3, "ok": True}
    for leak in ({"answer": SAUCE}, {SAUCE: 1}, [["the secret", 0], "x", {"a": "the secret sauce recipe"}]):
        answer = await ask(GuardMiddleware(Server(json.dumps(leak)), house), {"input": "hello"})
        assert (answer.status, answer.json["error"]["code"]) == (403, "blocked")
        assert "secret sauce" not in answer.text


@pytest.mark.parametrize(
    ("server", "code"),
    [
        (Server("no json"), "upstream_unreadable"),
        (Server(b'"\xff"'), "upstream_unreadable"),
        (Server(json.dumps({"choices": [{"message": "x"}]})), "upstream_unreadable"),
        (Server(json.dumps({"choices": [{"message": {"role": "bot", "content": "x"}}]})), "upstream_unreadable"),
        (Server(SAUCE, kind="application/octet-stream"), "upstream_unreadable"),
        (Server(SAUCE, kind="text/plain; charset=utf-16"), "upstream_unreadable"),
        (Server(b"\xff", kind="text/plain"), "upstream_unreadable"),
        (Server(gzip.compress(b"{}"), **{"content-encoding": "gzip"}), "upstream_unreadable"),
        (Server(json.dumps({"error": SAUCE}), status=500), "upstream_unreadable"),
        (Server(json.dumps({"answer": "x" * 300})), "response_too_large"),
        (events("data: no json\n\n"), "upstream_unreadable"),
        (events('data: {"text": "x"}\n\n'), "upstream_unreadable"),
        (events('data: {"choices": [{"index": 0, "text": "x"}]}\n\n'), "upstream_unreadable"),
        (events('data: {"choices": [{"index": 0, "message": {"content": "x"}}]}\n\n'), "upstream_unreadable"),
        (events(chunk({"content": "ann@exam"})), "upstream_broken"),
        (events('data: {"error": {"message": "x"}}\n\n'), "upstream_broken"),
    ],
)
async def test_answers_that_cannot_be_read_are_refused(house: Guard, server: Server, code: str) -> None:
    answer = await ask(GuardMiddleware(server, house, max_response=300), ASK)
    assert (answer.status, answer.json["error"]["code"]) == (502, code)
    assert "sauce" not in answer.text


async def test_what_cannot_be_read_passes_where_it_is_told_to(house: Guard) -> None:
    server = Server("a picture", kind="image/png")
    answer = await ask(GuardMiddleware(server, house, on_unreadable="pass"), ASK)
    assert (answer.text, answer.headers["x-brightline-action"]) == ("a picture", "unjudged")
    answer = await ask(GuardMiddleware(server, house, on_unreadable="pass"), {"question": "x"})
    assert (server.bodies[-1], answer.headers["x-brightline-action"]) == ({"question": "x"}, "unjudged")


def interleaved(*texts: str) -> list[str]:
    streams = [chunks(text, at) for at, text in enumerate(texts)]
    return [piece for nth in range(max(map(len, streams))) for stream in streams for piece in stream[nth : nth + 1]]


@pytest.mark.parametrize("end", ["data: [DONE]\n\n", "data: [DONE]", ""])
async def test_event_streams(house: Guard, end: str) -> None:
    server = events(": hello\r\n\r\n", *interleaved("Good morning, all.", MAIL), end)
    answer = await ask(GuardMiddleware(server, house), {**ASK, "stream": True, "n": 2})
    assert (answer.content(0), answer.content(1)) == ("Good morning, all.", REDACTED)
    assert [c["finish_reason"] for e in answer.events for c in e["choices"] if c["finish_reason"]] == ["stop", "stop"]
    assert answer.text.count("[DONE]") == (1 if end else 0)
    assert "sauce" not in answer.text, "the tokens beside `logprobs` repeat what is held back"
    assert not server.stopped


async def test_events_cut_anywhere(house: Guard) -> None:
    text = "".join([*chunks(MAIL), "data: [DONE]\n\n"]).replace("\n", "\r\n").encode()
    for size in (1, 2, 3, 11):
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        answer = await ask(GuardMiddleware(Server(*pieces, kind="text/event-stream"), house), ASK)
        assert answer.content() == REDACTED
        assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_refused_stream(house: Guard) -> None:
    server = events(*chunks(SAUCE), *chunks("And more.", at=0), "data: [DONE]\n\n")
    answer = await ask(GuardMiddleware(server, house), {**ASK, "stream": True})
    assert answer.content(field="refusal") == SAFE
    assert answer.events[-1]["choices"][0]["finish_reason"] == "content_filter"
    assert answer.events[-1]["brightline"]["response"][0]["findings"][0]["clause"] == "sauce"
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "secret sauce" not in answer.text
    assert server.stopped
    both = events(*interleaved(SAUCE, "Good morning, all."), "data: [DONE]\n\n")
    answer = await ask(GuardMiddleware(both, house), {**ASK, "stream": True, "n": 2})
    assert (answer.content(0, "refusal"), answer.content(1)) == (SAFE, "Good morning, all.")
    failed = await ask(GuardMiddleware(events(*chunks("Fine, Ann. " + SAUCE)), house, on_block="error"), ASK)
    assert failed.events[-1]["error"]["code"] == "blocked"
    assert "secret sauce" not in failed.text
    assert "[DONE]" not in failed.text


async def test_tool_calls_of_a_stream(house: Guard) -> None:
    for arguments, passes in (('{"to": "Zoë"}', True), ('{"to": "the secret sauce recipe"}', False)):
        head = {"index": 0, "id": "c", "type": "function", "function": {"name": "write", "arguments": ""}}
        parts = [{"index": 0, "function": {"arguments": arguments[at : at + 4]}} for at in range(0, len(arguments), 4)]
        server = events(*(chunk({"tool_calls": [it]}) for it in (head, *parts)), chunk({}, "tool_calls"))
        answer = await ask(GuardMiddleware(server, house), ASK)
        calls = [it for e in answer.events for c in e["choices"] for it in c["delta"].get("tool_calls", ())]
        assert calls == ([{**head, "function": {"name": "write", "arguments": arguments}}] if passes else [])


async def test_text(house: Guard) -> None:
    pieces = [MAIL[:14], MAIL[14:20], MAIL[20:]]
    answer = await ask(GuardMiddleware(Server(*pieces, kind="text/plain"), house), {"prompt": "hi"})
    assert (answer.text, answer.ended) == (REDACTED, True)
    blocked = Server("Fine, Ann. ", SAUCE, " And more.", kind="text/plain")
    answer = await ask(GuardMiddleware(blocked, house), {"prompt": "hi"})
    assert answer.text.startswith("Fine, Ann. ")
    assert answer.text.endswith(SAFE)
    assert "secret sauce" not in answer.text
    assert blocked.stopped
    with pytest.raises(Exception, match=SAFE):
        await ask(GuardMiddleware(blocked, house, on_block="error"), {"prompt": "hi"}, answer=(cut := Answer()))
    assert not cut.ended, "only a connection that breaks off tells it"
    assert "secret sauce" not in cut.text


async def test_events_of_another_form(house: Guard) -> None:
    def told(text: str) -> list[str]:
        begun = 'event: start\ndata: {"id": "x", "note": "begin"}\n\n'
        return [
            begun,
            *(f"event: say\ndata: {json.dumps({'text': text[at : at + 4]})}\n\n" for at in range(0, len(text), 4)),
        ]

    answer = await ask(GuardMiddleware(events(*told(MAIL)), house, event_text="text"), {"prompt": "hi"})
    assert "".join(event.get("text", "") for event in answer.events) == REDACTED
    assert answer.text.startswith('event: start\ndata: {"id": "x", "note": "begin"}\n\nevent: say\n')
    answer = await ask(GuardMiddleware(events(*told(SAUCE)), house, event_text="text"), {"prompt": "hi"})
    assert "".join(event.get("text", "") for event in answer.events).endswith(SAFE)
    assert "secret sauce" not in answer.text
    aside = events(f'data: {{"text": "Fine.", "aside": "{SAUCE}"}}\n\n')
    answer = await ask(GuardMiddleware(aside, house, event_text="text"), {"prompt": "hi"})
    assert "secret sauce" not in answer.text


async def test_requests_of_another_form(house: Guard) -> None:
    def read(body: Any) -> Asked:
        return Asked([{"role": "user", "content": body["q"]}], lambda shown: {**body, "q": shown[0]["content"]})

    server = Server(json.dumps({"answer": "Fine."}))
    app = GuardMiddleware(server, house, read_request=read, context=lambda scope: {"tags": ["shop"]})
    await ask(app, {"q": "I am ann@example.com", "lang": "en"})
    assert server.bodies == [{"q": "I am [email]", "lang": "en"}]
    assert (await ask(app, {"q": "the secret sauce recipe"})).status == 403


class Steps:
    """An application whose answer goes on when it is told to."""

    def __init__(self, kind: str, *pieces: str) -> None:
        self.kind, self.pieces, self.go = kind, pieces, asyncio.Semaphore(0)
        self.error: BaseException | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", self.kind.encode())]})
        for piece in self.pieces:
            await self.go.acquire()
            if self.error is not None:
                raise self.error
            await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})
        await self.go.acquire()
        await send({"type": "http.response.body"})


WAYS = {
    "events": ("text/event-stream", [chunk({"content": "Fine, Ann. "}), chunk({"content": "Ask ann@exam"})]),
    "text": ("text/plain", ["Fine, Ann. ", "Ask ann@exam"]),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_is_shown_while_it_arrives(house: Guard, way: str) -> None:
    kind, pieces = WAYS[way]
    rest = {"events": [chunk({"content": "ple.com. "}), chunk({}, "stop")], "text": ["ple.com. "]}[way]
    server, answer = Steps(kind, *pieces, *rest), Answer()
    task = asyncio.create_task(ask(GuardMiddleware(server, house), ASK, answer=answer))
    server.go.release()
    await until(lambda: "Fine," in answer.text)
    assert not task.done()
    server.go.release()
    for _ in range(10):
        await asyncio.sleep(0.01)
    assert "ann@" not in answer.text
    for _ in range(3):
        server.go.release()
    await task
    assert (answer.content() if way == "events" else answer.text) == "Fine, Ann. Ask [email]. "


async def until(done: Any) -> None:
    while not done():
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", ["exception", "cancellation", "gone"])
async def test_nothing_held_back_is_released_at_the_end(house: Guard, way: str, how: str) -> None:
    kind, pieces = WAYS[way]
    server, answer = Steps(kind, *pieces, "more"), Answer()
    task = asyncio.create_task(ask(GuardMiddleware(server, house), ASK, answer=answer))
    server.go.release()
    server.go.release()
    await until(lambda: "Fine," in answer.text)
    await asyncio.sleep(0.05)
    if how == "cancellation":
        task.cancel()
    else:
        server.error = RuntimeError("broken") if how == "exception" else OSError("gone")
        server.go.release()
    with pytest.raises((RuntimeError, OSError, asyncio.CancelledError)):
        await task
    assert "ann" not in answer.text
    assert not answer.ended


async def test_the_rest_goes_through_untouched(house: Guard) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"scope": scope, "receive": receive})

    async def sent(scope: dict[str, Any]) -> Any:
        got: list[Any] = []

        async def send(message: Any) -> None:
            got.append(message)

        async def receive() -> None: ...

        await GuardMiddleware(app, house, paths=["/chat"])(scope, receive, send)
        assert got[0]["receive"] is receive
        return got[0]["scope"]

    for scope in (
        {"type": "lifespan"},
        {"type": "websocket", "path": "/chat"},
        scope_of("/other"),
        scope_of(method="GET"),
    ):
        assert await sent(scope) is scope


async def test_no_way_round(house: Guard) -> None:
    server = Server(completion("Fine."))
    scope = scope_of(accept_encoding="gzip") | {"extensions": {"http.response.pathsend": {}, "tls": {}}}
    await ask(GuardMiddleware(server, house), ASK, scope)
    assert server.scope["extensions"] == {"tls": {}}
    assert (b"accept-encoding", b"identity") in server.scope["headers"]
    assert (b"accept-encoding", b"gzip") not in server.scope["headers"]


async def test_what_runs_after_the_answer_may_fail(house: Guard) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Server(completion("Fine."))(scope, receive, send)
        raise RuntimeError("a task after the answer")

    answer = Answer()
    with pytest.raises(RuntimeError):
        await ask(GuardMiddleware(app, house), ASK, answer=answer)
    assert answer.ended


def test_options_are_checked(house: Guard) -> None:
    for options in ({"on_block": "log"}, {"on_unreadable": "skip"}, {"paths": "/chat"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            GuardMiddleware(Server(), house, **options)  # type: ignore[arg-type]


async def test_fastapi(house: Guard) -> None:
    fastapi = pytest.importorskip("fastapi")
    httpx2 = pytest.importorskip("httpx2")
    from fastapi.responses import StreamingResponse

    ended: list[str] = []

    async def chat(body: dict[str, Any]) -> Any:
        async def lines(pieces: Iterable[str]) -> AsyncIterator[str]:
            for piece in pieces:
                await asyncio.sleep(0)
                yield piece
            ended.append(text)

        text = body["messages"][-1]["content"]
        if body.get("stream"):
            return StreamingResponse(lines([*chunks(text), "data: [DONE]\n\n"]), media_type="text/event-stream")
        return json.loads(completion(text))

    app = fastapi.FastAPI()
    app.add_api_route("/chat", chat, methods=["POST"])
    # What is said passes on its way in, and is the answer.
    app.add_middleware(GuardMiddleware, guard=house, paths=["/chat"])
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://here") as client:
        for stream in (False, True):
            promise = {"messages": [{"role": "user", "content": "Ann: we will refund you, dear."}], "stream": stream}
            answer = await client.post("/chat", json=promise)
            assert answer.status_code == 200
            assert "The billing team decides about refunds." in answer.text
            assert "we will" not in answer.text
            hello = {"messages": [{"role": "user", "content": "Good morning."}], "stream": stream}
            answer = await client.post("/chat", json=hello)
            assert answer.headers["x-brightline-action"] == "allow"
            assert "morning." in answer.text
    assert ended == ["Good morning."], "the answer that is refused goes on no longer"
