"""The guarded `openai` client against the real package, with a fake model behind it."""

from __future__ import annotations

from typing import Any

import pytest

from brightline import Blocked, Guard

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
    client.chat.completions.create(model="fake", messages=mail)
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


def test_the_rest_of_the_client_is_left_alone(house: Guard) -> None:
    client = guarded(FakeModel().client(), house)
    assert str(client.base_url) == "http://fake/v1/"
    assert "guarded by" in repr(client)
    with pytest.raises(Blocked):
        client.with_options(timeout=1).responses.create(model="fake", input="the secret sauce recipe")
