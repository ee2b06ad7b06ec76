"""The guarded `openai` client against the real package, with a fake model behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from brightline import Blocked, BrightlineError, Guard

openai = pytest.importorskip("openai")

from brightline.integrations.openai import guarded  # noqa: E402
from fake_openai import FakeModel  # noqa: E402

ASK: Any = [{"role": "user", "content": "Who can help?"}]
REDACTED = "Ask Ann, at [email] or here."
ANSWER = "Ask Ann, at ann@example.com or here."
SAUCE = "Of course, and now the secret sauce recipe for you."


async def shown(house: Guard, model: FakeModel, way: str) -> str:
    """What a caller sees of an answer."""
    if "async" in way:
        client = guarded(model.async_client(), house)
        if way == "async chat":
            chat = await client.chat.completions.create(model="fake", messages=ASK)
            return chat.choices[0].message.content or ""
        if way == "async chat stream":
            chunks = await client.chat.completions.create(model="fake", messages=ASK, stream=True)
            return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
        if way == "async responses":
            return (await client.responses.create(model="fake", input=ASK)).output_text
        events = await client.responses.create(model="fake", input=ASK, stream=True)
        return seen([event async for event in events])
    sync = guarded(model.client(), house)
    if way == "chat":
        return sync.chat.completions.create(model="fake", messages=ASK).choices[0].message.content or ""
    if way == "chat stream":
        stream = sync.chat.completions.create(model="fake", messages=ASK, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    if way == "responses":
        return sync.responses.create(model="fake", input=ASK).output_text
    return seen(list(sync.responses.create(model="fake", input=ASK, stream=True)))


def seen(events: list[Any]) -> str:
    """The text of the deltas, which every other event must agree with."""
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    for event in events:
        if event.type == "response.output_text.done":
            assert event.text == text
        if event.type == "response.content_part.done":
            assert event.part.text == text
        if event.type == "response.output_item.done":
            assert event.item.content[0].text == text
        if event.type == "response.completed":
            assert event.response.output_text == text
    return text


WAYS = [
    "chat",
    "chat stream",
    "responses",
    "responses stream",
    "async chat",
    "async chat stream",
    "async responses",
    "async responses stream",
]


@pytest.mark.parametrize("way", WAYS)
async def test_answers(house: Guard, way: str) -> None:
    assert await shown(house, FakeModel("Good morning, all."), way) == "Good morning, all."
    assert await shown(house, FakeModel(ANSWER), way) == REDACTED
    with pytest.raises(Blocked, match="I cannot tell you about the sauce"):
        await shown(house, FakeModel(SAUCE), way)


def test_nothing_blocked_is_yielded(house: Guard) -> None:
    client = guarded(FakeModel(SAUCE, piece=3).client(), house)
    text = []
    with pytest.raises(Blocked):
        for chunk in client.chat.completions.create(model="fake", messages=ASK, stream=True):
            text.append(chunk.choices[0].delta.content or "")
    assert "secret" not in "".join(text)
    events = []
    with pytest.raises(Blocked):
        events.extend(client.responses.create(model="fake", input=ASK, stream=True))
    assert "secret" not in "".join(map(repr, events))


def test_requests(house: Guard) -> None:
    model = FakeModel("Good morning.")
    client = guarded(model.client(), house)
    sauce: Any = [{"role": "user", "content": "give me the secret sauce recipe"}]
    with pytest.raises(Blocked):
        client.chat.completions.create(model="fake", messages=sauce)
    with pytest.raises(Blocked):
        client.responses.create(model="fake", input=sauce)
    with pytest.raises(Blocked):
        client.responses.create(model="fake", input=sauce[0]["content"], stream=True)
    result: Any = [{"type": "function_call_output", "call_id": "c", "output": "the secret sauce recipe"}]
    with pytest.raises(Blocked):
        client.responses.create(model="fake", input=[*ASK, *result])
    assert model.requests == []
    mail: Any = [{"role": "user", "content": "I am ann@example.com"}]
    client.chat.completions.create(model="fake", messages=iter(mail))
    client.responses.create(model="fake", input=mail)
    client.responses.create(model="fake", input=mail[0]["content"])
    assert model.requests[0]["messages"][0]["content"] == "I am [email]"
    assert model.requests[1]["input"][0]["content"] == "I am [email]"
    assert model.requests[2]["input"] == "I am [email]"
    assert mail[0]["content"] == "I am ann@example.com"


def test_tool_calls(house: Guard) -> None:
    for arguments, blocked in (('{"to": "Zoë"}', False), ('{"to": "the secret sauce recipe"}', True)):
        client = guarded(FakeModel(tool=("write", arguments)).client(), house)

        def chat(client: Any = client) -> str:
            call = client.chat.completions.create(model="fake", messages=ASK).choices[0].message.tool_calls[0]
            return str(call.function.arguments)

        def chat_stream(client: Any = client) -> str:
            chunks = list(client.chat.completions.create(model="fake", messages=ASK, stream=True))
            calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
            assert [(call.id, call.function.name) for call in calls] == [("c1", "write")]
            return str(calls[0].function.arguments)

        def responses(client: Any = client) -> str:
            return str(client.responses.create(model="fake", input=ASK).output[0].arguments)

        def responses_stream(client: Any = client) -> str:
            events = list(client.responses.create(model="fake", input=ASK, stream=True))
            return next(str(event.arguments) for event in events if event.type.endswith("arguments.done"))

        for way in (chat, chat_stream, responses, responses_stream):
            if blocked:
                with pytest.raises(Blocked):
                    way()
            else:
                assert way() == arguments


def test_every_choice_is_judged(house: Guard) -> None:
    client = guarded(FakeModel("Good morning.", others=[ANSWER, "Good evening."]).client(), house)
    chat = client.chat.completions.create(model="fake", messages=ASK, n=3)
    assert [choice.message.content for choice in chat.choices] == ["Good morning.", REDACTED, "Good evening."]
    texts = {0: "", 1: "", 2: ""}
    for chunk in client.chat.completions.create(model="fake", messages=ASK, n=3, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert list(texts.values()) == ["Good morning.", REDACTED, "Good evening."]


@pytest.mark.parametrize("stream", [False, True])
def test_one_blocked_choice_blocks_all(house: Guard, stream: bool) -> None:
    client = guarded(FakeModel("Good morning.", others=["Fine.", SAUCE]).client(), house)
    shown: list[Any] = []
    with pytest.raises(Blocked):
        shown.extend(client.chat.completions.create(model="fake", messages=ASK, n=3, stream=stream))
    assert "secret" not in "".join(map(repr, shown))


def test_all_new_messages_are_judged(house: Guard) -> None:
    model = FakeModel("Good morning.")
    client = guarded(model.client(), house)
    calls = [{"id": at, "type": "function", "function": {"name": "look_up", "arguments": "{}"}} for at in "ab"]
    asked: Any = [*ASK, {"role": "assistant", "tool_calls": calls}]
    for first, second in (("the secret sauce recipe", "fine"), ("fine", "the secret sauce recipe")):
        results = [
            {"role": "tool", "tool_call_id": at, "content": text}
            for at, text in zip("ab", (first, second), strict=True)
        ]
        with pytest.raises(Blocked):
            client.chat.completions.create(model="fake", messages=[*asked, *results])
        outputs: Any = [{"type": "function_call_output", "call_id": "c", "output": text} for text in (first, second)]
        with pytest.raises(Blocked):
            client.responses.create(model="fake", input=[*ASK, *outputs])
    assert model.requests == []
    mail: Any = [{"role": "user", "content": [{"type": "text", "text": "I am ann@example.com"}]}, *ASK]
    client.chat.completions.create(model="fake", messages=mail)
    assert model.requests[0]["messages"][0]["content"][0]["text"] == "I am [email]"
    items: Any = [{"role": "user", "content": [{"type": "input_text", "text": "I am ann@example.com"}]}, *ASK]
    client.responses.create(model="fake", input=items)
    assert model.requests[1]["input"][0]["content"][0]["text"] == "I am [email]"


class Contact(BaseModel):
    name: str
    mail: str


def test_parsed_answers(house: Guard) -> None:
    found = FakeModel('{"name": "Ann", "mail": "ann@example.com"}')
    client = guarded(found.client(), house)
    parsed = Contact(name="Ann", mail="[email]")
    chat = client.chat.completions.parse(model="fake", messages=ASK, response_format=Contact)
    assert chat.choices[0].message.parsed == parsed
    assert "ann@example.com" not in repr(chat)
    response = client.responses.parse(model="fake", input=ASK, text_format=Contact)
    assert response.output_parsed == parsed
    assert "ann@example.com" not in repr(response)
    leaking = guarded(FakeModel('{"name": "the secret sauce recipe", "mail": ""}').client(), house)
    with pytest.raises(Blocked):
        leaking.chat.completions.parse(model="fake", messages=ASK, response_format=Contact)
    with pytest.raises(Blocked):
        leaking.responses.parse(model="fake", input=ASK, text_format=Contact)


async def test_streams_of_the_helpers(house: Guard) -> None:
    client = guarded(FakeModel(ANSWER).client(), house)
    with client.chat.completions.stream(model="fake", messages=ASK) as chat:
        assert "".join(event.delta for event in chat if event.type == "content.delta") == REDACTED
        assert chat.get_final_completion().choices[0].message.content == REDACTED
    with client.responses.stream(model="fake", input=ASK) as response:
        assert "".join(event.delta for event in response if event.type == "response.output_text.delta") == REDACTED
        assert response.get_final_response().output_text == REDACTED
    leaking = guarded(FakeModel(SAUCE).async_client(), house)
    shown: list[Any] = []
    with pytest.raises(Blocked):
        async with leaking.chat.completions.stream(model="fake", messages=ASK) as chat:
            async for event in chat:
                shown.append(event)
    with pytest.raises(Blocked):
        async with leaking.responses.stream(model="fake", input=ASK) as response:
            async for event in response:
                shown.append(event)
    assert "secret" not in "".join(map(repr, shown))


def test_a_stream_is_a_context(house: Guard) -> None:
    client = guarded(FakeModel(ANSWER).client(), house)
    with client.chat.completions.create(model="fake", messages=ASK, stream=True) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
    assert list(stream) == []
    assert stream.response.is_closed


async def test_a_cancelled_stream_shows_nothing_more(house: Guard) -> None:
    shown: list[str] = []
    client = guarded(FakeModel("Fine. Ask ann@example.com", piece=30).async_client(), house)
    stream = await client.chat.completions.create(model="fake", messages=ASK, stream=True)

    async def read() -> None:
        async for chunk in stream:
            shown.append(chunk.choices[0].delta.content or "")
            await asyncio.sleep(60)

    task = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await stream.close()
    assert stream.response.is_closed
    assert [chunk async for chunk in stream] == []
    assert "ann" not in "".join(shown)


def test_an_answer_that_breaks_off_shows_nothing_more(house: Guard) -> None:
    def body() -> Iterator[bytes]:
        choice = {"index": 0, "delta": {"content": "Fine. Ask ann@exam"}, "finish_reason": None}
        chunk = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "fake", "choices": [choice]}
        yield f"data: {json.dumps(chunk)}\n\n".encode()
        raise httpx2.ReadError("gone")

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body(), headers={"content-type": "text/event-stream"})

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = guarded(openai.OpenAI(api_key="none", base_url="http://fake/v1", http_client=http), house)
    shown: list[Any] = []
    with pytest.raises(openai.APIConnectionError):
        shown.extend(client.chat.completions.create(model="fake", messages=ASK, stream=True))
    assert "ann" not in "".join(map(repr, shown))


@pytest.mark.parametrize(
    "path",
    [
        "with_raw_response",
        "with_streaming_response",
        "completions",
        "beta",
        "realtime",
        "conversations",
        "post",
        "chat.with_raw_response",
        "chat.completions.with_raw_response",
        "chat.completions.with_streaming_response",
        "chat.completions.retrieve",
        "chat.completions.list",
        "responses.with_raw_response",
        "responses.retrieve",
        "responses.compact",
        "responses.connect",
    ],
)
def test_what_is_not_judged_says_so(house: Guard, path: str) -> None:
    client: Any = guarded(FakeModel().client(), house)
    *parts, last = path.split(".")
    for part in parts:
        client = getattr(client, part)
    with pytest.raises(BrightlineError, match=f"`{path}` is not judged"):
        getattr(client, last)


def test_the_rest_of_the_client_is_left_alone(house: Guard) -> None:
    client = guarded(FakeModel().client(), house)
    assert str(client.base_url) == "http://fake/v1/"
    assert "guarded by" in repr(client)
    with pytest.raises(Blocked):
        client.with_options(timeout=1).responses.create(model="fake", input="the secret sauce recipe")
