"""The guardrail in the real LiteLLM: its dispatch, its configuration, the whole proxy. The model is a fake."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from brightline import BrightlineError, Guard
from conftest import HOUSE

# Prices are not fetched.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
litellm = pytest.importorskip("litellm")

import httpx  # noqa: E402
from fastapi import HTTPException  # noqa: E402
from litellm.caching import DualCache  # noqa: E402
from litellm.integrations.custom_logger import CustomLogger  # noqa: E402
from litellm.proxy import proxy_server  # noqa: E402
from litellm.proxy._types import UserAPIKeyAuth  # noqa: E402
from litellm.proxy.utils import ProxyLogging  # noqa: E402
from litellm.types.utils import Delta, ModelResponse, ModelResponseStream, StreamingChoices  # noqa: E402

from brightline.integrations.litellm import BrightlineGuardrail  # noqa: E402

SAUCE = "Of course, and now the secret sauce recipe for you."
SAFE = "I cannot tell you about the sauce."
MAIL = "Ask Ann, at ann@example.com or here."
REDACTED = "Ask Ann, at [email] or here."
KEY = UserAPIKeyAuth(request_route="/v1/chat/completions")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> ProxyLogging:
    """LiteLLM's dispatch, without guardrails yet."""
    monkeypatch.setattr(litellm, "callbacks", [])
    return ProxyLogging(user_api_key_cache=DualCache())


def enabled(house: Guard, *modes: str, **options: Any) -> BrightlineGuardrail:
    guardrail = BrightlineGuardrail(guard=house, event_hook=list(modes), **{"default_on": True, **options})
    litellm.callbacks.append(guardrail)
    return guardrail


def asked(*contents: str, **more: Any) -> dict[str, Any]:
    return {"model": "fake", "messages": [{"role": "user", "content": it} for it in contents], "metadata": {}, **more}


def records(data: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """What LiteLLM logs of the runs, which hold no text of messages."""
    runs = data["metadata"].get("standard_logging_guardrail_information", [])
    assert "sauce recipe" not in repr(runs)
    assert "ann@" not in repr(runs)
    return [(it["guardrail_mode"], it["guardrail_status"], it["guardrail_response"]["clauses"]) for it in runs]


async def before(proxy: ProxyLogging, data: dict[str, Any], call_type: str = "acompletion") -> dict[str, Any]:
    result: dict[str, Any] = await proxy.pre_call_hook(user_api_key_dict=KEY, data=data, call_type=call_type)
    return result


async def test_requests(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "pre_call")
    data = await before(proxy, asked("I am ann@example.com", "Who can help?"))
    assert [message["content"] for message in data["messages"]] == ["I am [email]", "Who can help?"]
    assert records(data) == [("pre_call", "guardrail_intervened", ["addresses"])]
    assert records(await before(proxy, asked("hello"))) == [("pre_call", "success", [])]
    blocked = asked("the secret sauce recipe")
    with pytest.raises(HTTPException) as caught:
        await before(proxy, blocked)
    assert caught.value.status_code == 400
    assert (caught.value.detail["error"], caught.value.detail["clauses"]) == (SAFE, ["sauce"])
    assert caught.value.detail["guardrail_name"] == "brightline"
    assert records(blocked) == [("pre_call", "guardrail_intervened", ["sauce"])]


async def test_all_results_of_tools_are_judged(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "pre_call")
    call = {"type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "tool_calls": [call | {"id": at} for at in "ab"]},
    ]
    for leaks in ("a", "b"):
        results = [{"role": "tool", "tool_call_id": at, "content": SAUCE if at == leaks else "fine"} for at in "ab"]
        with pytest.raises(HTTPException):
            await before(proxy, asked() | {"messages": [*history, *results]})
    old = [*history, {"role": "tool", "tool_call_id": "a", "content": SAUCE}, {"role": "assistant", "content": "No."}]
    await before(proxy, asked() | {"messages": [*old, {"role": "user", "content": "hi"}]})


@pytest.mark.parametrize(
    ("call_type", "data", "redacted"),
    [
        ("anthropic_messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": MAIL}]}]}, True),
        (
            "anthropic_messages",
            {
                "messages": [
                    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": SAUCE}]}
                ]
            },
            False,
        ),
        ("aresponses", {"input": MAIL}, True),
        ("aresponses", {"input": [{"type": "function_call_output", "call_id": "c", "output": SAUCE}]}, False),
        ("text_completion", {"prompt": MAIL}, True),
        ("text_completion", {"prompt": ["hello", SAUCE]}, False),
        ("aembedding", {"input": ["hello", MAIL]}, True),
        ("arerank", {"query": "x", "documents": [SAUCE]}, False),
        ("aimage_generation", {"prompt": SAUCE}, False),
    ],
)
async def test_every_form_of_a_call(
    house: Guard, proxy: ProxyLogging, call_type: str, data: dict[str, Any], redacted: bool
) -> None:
    enabled(house, "pre_call")
    data = {"model": "fake", "metadata": {}, **data}
    if redacted:
        assert "ann@" not in repr(await before(proxy, data, call_type))
        assert "[email]" in repr(data)
    else:
        with pytest.raises(HTTPException, match="sauce"):
            await before(proxy, data, call_type)


async def test_what_cannot_be_read(house: Guard, proxy: ProxyLogging) -> None:
    guardrail = enabled(house, "pre_call", "post_call")
    calls = (("aembedding", {"input": [1, 2]}), ("allm_passthrough_route", {"contents": []}))
    for call_type, body in calls:
        data = {"model": "fake", "metadata": {}, **body}
        with pytest.raises(HTTPException, match="nothing in this call"):
            await before(proxy, data, call_type)
        assert records(data) == [("pre_call", "guardrail_failed_to_respond", [])]
    with pytest.raises(HTTPException, match="unknown role"):
        await before(proxy, asked() | {"messages": [{"role": "bot", "content": "x"}]})
    with pytest.raises(HTTPException, match="cannot be read"):
        await proxy.post_call_success_hook(data=asked("hi"), response=object(), user_api_key_dict=KEY)
    with pytest.raises(HTTPException, match="cannot be read"):
        await streamed(proxy, asked("hi"), [object()])
    guardrail.passes = True
    for call_type, body in calls:
        data = {"model": "fake", "metadata": {}, **body}
        assert records(await before(proxy, data, call_type)) == [("pre_call", "not_run", [])]
    assert len(await streamed(proxy, asked("hi"), [object(), object()])) == 2
    assert records(await before(proxy, {"metadata": {}, "file": "x"}, "acreate_file")) == [("pre_call", "not_run", [])]


async def test_during_the_call_it_may_only_reject(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "during_call")
    for text in ("the secret sauce recipe", "I am ann@example.com"):
        data = asked(text)
        assert await before(proxy, data) is data, "another mode"
        with pytest.raises(HTTPException):
            await proxy.during_call_hook(data=data, user_api_key_dict=KEY, call_type="acompletion")
        assert data["messages"][0]["content"] == text
        assert records(data)[0][:2] == ("during_call", "guardrail_intervened")
    await proxy.during_call_hook(data=asked("hello"), user_api_key_dict=KEY, call_type="acompletion")


@pytest.mark.parametrize("option", ["run_in_parallel", "scan_raw_request"])
async def test_where_changes_are_dropped_they_are_rejected(house: Guard, proxy: ProxyLogging, option: str) -> None:
    enabled(house, "pre_call", **{option: True})
    await before(proxy, asked("hello"))
    with pytest.raises(HTTPException):
        await before(proxy, asked("I am ann@example.com"))


def response(*messages: Any) -> ModelResponse:
    made = [it if isinstance(it, dict) else {"role": "assistant", "content": it} for it in messages]
    return ModelResponse(choices=[{"index": at, "message": it, "finish_reason": "stop"} for at, it in enumerate(made)])


async def test_answers(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "post_call")

    async def after(answer: Any, data: dict[str, Any]) -> Any:
        return await proxy.post_call_success_hook(data=data, response=answer, user_api_key_dict=KEY)

    data = asked("hi", n=2)
    answer = await after(response("Fine.", MAIL), data)
    assert [choice.message.content for choice in answer.choices] == ["Fine.", REDACTED]
    assert records(data) == [("post_call", "guardrail_intervened", ["addresses"])]
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "write", "arguments": '{"to": "the secret sauce recipe"}'},
    }
    thought = {"role": "assistant", "content": "Fine.", "reasoning_content": SAUCE}
    for leak in (SAUCE, {"role": "assistant", "content": None, "tool_calls": [call]}, thought):
        data = asked("hi", n=2)
        with pytest.raises(HTTPException, match="sauce"):
            await after(response("Fine.", leak), data)
        assert records(data) == [("post_call", "guardrail_intervened", ["sauce"])]
    text = litellm.TextCompletionResponse(choices=[{"index": 0, "text": MAIL, "finish_reason": "stop"}])
    assert (await after(text, {"prompt": "hi", "metadata": {}})).choices[0].text == REDACTED
    block = {"type": "text", "text": MAIL}
    message = await after({"type": "message", "role": "assistant", "content": [block]}, asked("hi"))
    assert message["content"] == [{"type": "text", "text": REDACTED}]
    cited = {"type": "text", "text": "Fine.", "citations": [{"cited_text": SAUCE}]}
    with pytest.raises(HTTPException):
        await after({"type": "message", "role": "assistant", "content": [cited]}, asked("hi"))


def chunk(text: str | None, at: int = 0, finish: str | None = None, **delta: Any) -> ModelResponseStream:
    choice = StreamingChoices(index=at, delta=Delta(content=text, **delta), finish_reason=finish)
    return ModelResponseStream(choices=[choice])


def chunks(text: str, at: int = 0, size: int = 3) -> list[Any]:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    return [*(chunk(piece, at) for piece in pieces), chunk(None, at, "stop")]


def shown(out: list[Any], at: int = 0) -> str:
    return "".join(it.delta.content or "" for chunk in out for it in chunk.choices if it.index == at)


async def streamed(proxy: ProxyLogging, data: dict[str, Any], source: Any, out: list[Any] | None = None) -> list[Any]:
    """What comes through; it is in `out` as it comes."""
    out = [] if out is None else out

    async def chunks() -> AsyncIterator[Any]:
        for it in source:
            yield it

    response = source if hasattr(source, "__aiter__") else chunks()
    hook = proxy.async_post_call_streaming_iterator_hook(response=response, user_api_key_dict=KEY, request_data=data)
    async for it in hook:
        out.append(it)
    return out


async def test_streams(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "post_call")
    data = asked("hi", n=2)
    first, second = chunks("Good morning, all."), chunks(MAIL, 1)
    both = [it for nth in range(20) for it in (*first[nth : nth + 1], *second[nth : nth + 1])]
    out = await streamed(proxy, data, both)
    assert (shown(out), shown(out, 1)) == ("Good morning, all.", REDACTED)
    assert len(out) > 4
    assert [it.finish_reason for chunk in out for it in chunk.choices if it.finish_reason] == ["stop", "stop"]
    assert records(data) == [("post_call", "guardrail_intervened", ["addresses"])]
    out = []
    with pytest.raises(HTTPException, match="sauce"):
        await streamed(proxy, asked("hi", n=2), [*chunks("Fine, Ann. ", 1), *chunks(SAUCE)], out)
    assert shown(out, 1) == "Fine, Ann. "
    assert "secret" not in repr(out)


async def test_tool_calls_of_a_stream(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "post_call")
    for arguments, passes in (('{"to": "Zoë"}', True), ('{"to": "the secret sauce recipe"}', False)):
        head = {"index": 0, "id": "c", "type": "function", "function": {"name": "write", "arguments": ""}}
        pieces = [{"index": 0, "function": {"arguments": arguments[at : at + 4]}} for at in range(0, len(arguments), 4)]
        source = [*(chunk(None, tool_calls=[it]) for it in (head, *pieces)), chunk(None, 0, "tool_calls")]
        out: list[Any] = []
        if passes:
            await streamed(proxy, asked("hi"), source, out)
        else:
            with pytest.raises(HTTPException):
                await streamed(proxy, asked("hi"), source, out)
        calls = [call for it in out for choice in it.choices for call in choice.delta.tool_calls or ()]
        assert [(it.id, it.function.name, it.function.arguments) for it in calls] == [
            ("c", "write", arguments)
        ] * passes


async def test_a_stream_is_shown_while_it_arrives(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "post_call")
    go, out = asyncio.Semaphore(0), []

    async def source() -> AsyncIterator[Any]:
        for text in ("Fine, Ann. ", "Ask ann@exam", "ple.com. "):
            await go.acquire()
            yield chunk(text)
        yield chunk(None, 0, "stop")

    task = asyncio.create_task(streamed(proxy, asked("hi"), source(), out))
    go.release()
    while "Fine," not in shown(out):
        await asyncio.sleep(0.001)
    go.release()
    await asyncio.sleep(0.1)
    assert "ann@" not in shown(out)
    assert not task.done()
    go.release()
    await task
    assert shown(out) == "Fine, Ann. Ask [email]. "


@pytest.mark.parametrize("how", ["exception", "cancellation"])
async def test_nothing_held_back_is_released_at_the_end(house: Guard, proxy: ProxyLogging, how: str) -> None:
    enabled(house, "post_call")
    out: list[Any] = []
    closed = []

    async def source() -> AsyncIterator[Any]:
        try:
            yield chunk("Fine, Ann. Ask ann@exam")
            if how == "exception":
                raise ConnectionError("gone")
            await asyncio.sleep(3600)
        finally:
            closed.append(True)

    data = asked("hi")
    task = asyncio.create_task(streamed(proxy, data, source(), out))
    await asyncio.sleep(0.2)
    if how == "cancellation":
        task.cancel()
    with pytest.raises((ConnectionError, asyncio.CancelledError)):
        await task
    assert "ann" not in repr(out)
    assert closed == [True]
    assert len(records(data)) == 1


def sse(*events: dict[str, Any]) -> list[bytes]:
    raw = b"".join(f"event: {it['type']}\ndata: {json.dumps(it)}\n\n".encode() for it in events)
    return [raw[at : at + 40] for at in range(0, len(raw), 40)]


def message_events(text: str, tool: str = "{}") -> list[bytes]:
    at: dict[str, Any] = {"type": "content_block_delta", "index": 0}
    return sse(
        {"type": "message_start", "message": {"id": "m", "role": "assistant", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({**at, "delta": {"type": "text_delta", "text": text[start : start + 3]}} for start in range(0, len(text), 3)),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "name": "write", "input": {}},
        },
        {**at, "index": 1, "delta": {"type": "input_json_delta", "partial_json": tool}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_stop"},
    )


async def test_streams_of_messages(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "post_call")
    out = await streamed(proxy, asked("hi"), message_events(MAIL))
    told = [json.loads(it.partition(b"data: ")[2]) for it in out]
    assert [it["type"] for it in told][:4] == [
        "message_start",
        *(f"content_block_{it}" for it in ("start", "delta", "stop")),
    ]
    assert next(it["delta"]["text"] for it in told if it["type"] == "content_block_delta") == REDACTED
    assert told[-1] == {"type": "message_stop"}
    for leak in (message_events(SAUCE), message_events("Fine.", '{"to": "the secret sauce recipe"}')):
        out = []
        with pytest.raises(HTTPException, match="sauce"):
            await streamed(proxy, asked("hi"), leak, out)
        assert out == []
    with pytest.raises(HTTPException, match="cannot be read"):
        await streamed(proxy, asked("hi"), [b'data: {"candidates": []}\n\n'])


async def test_streams_of_responses(house: Guard, proxy: ProxyLogging) -> None:
    from litellm.types.llms.openai import OutputTextDeltaEvent, ResponseCompletedEvent, ResponsesAPIResponse

    enabled(house, "post_call")

    def events(text: str) -> list[Any]:
        place: dict[str, Any] = {"item_id": "m", "output_index": 0, "content_index": 0}
        pieces = [text[at : at + 3] for at in range(0, len(text), 3)]
        deltas = [OutputTextDeltaEvent(type="response.output_text.delta", delta=piece, **place) for piece in pieces]
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
        whole = ResponsesAPIResponse(id="r", created_at=0, output=[item], status="completed", model="fake")
        return [*deltas, ResponseCompletedEvent(type="response.completed", response=whole)]

    data = {"model": "fake", "input": "hi", "metadata": {}}
    out = await streamed(proxy, data, events(MAIL))
    assert "".join(getattr(it, "delta", "") for it in out) == REDACTED
    assert len(out) > 2
    assert "ann@" not in repr(out)
    out = []
    with pytest.raises(HTTPException, match="sauce"):
        await streamed(proxy, data, events(SAUCE), out)
    assert "secret" not in repr(out)


async def test_only_logging(house: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[Any] = []
    done = asyncio.Event()

    class Sink(CustomLogger):  # type: ignore[misc]
        async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
            logged.append(kwargs["standard_logging_object"]["guardrail_information"])
            done.set()

    guardrail = BrightlineGuardrail(guard=house, event_hook="logging_only", default_on=True)
    monkeypatch.setattr(litellm, "callbacks", [guardrail, Sink()])
    for stream in (False, True):
        done.clear()
        said: Any = [{"role": "user", "content": "the secret sauce recipe"}]
        answer = await litellm.acompletion(model="gpt-4o", messages=said, mock_response=MAIL, stream=stream)
        text = (
            "".join([it.choices[0].delta.content or "" async for it in answer])
            if stream
            else answer.choices[0].message.content
        )
        assert text == MAIL
        await asyncio.wait_for(done.wait(), 30)
        runs = [
            (it["guardrail_mode"], it["guardrail_status"], it["guardrail_response"]["clauses"]) for it in logged[-1]
        ]
        both = [("logging_only", "guardrail_intervened", [clause]) for clause in ("sauce", "addresses")]
        assert runs == both


async def test_in_a_program(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "pre_call", "post_call")

    async def answer(text: str, **options: Any) -> Any:
        said: Any = [{"role": "user", "content": text}]
        return await litellm.acompletion(model="gpt-4o", messages=said, mock_response=MAIL, **options)

    for options in ({}, {"guardrails": ["brightline"]}):
        assert (await answer("hello", **options)).choices[0].message.content == REDACTED
        with pytest.raises(HTTPException, match="sauce"):
            await answer("the secret sauce recipe", **options)
        with pytest.raises(HTTPException, match="only be judged in the proxy"):
            await answer("hello", stream=True, **options)


async def test_only_where_it_is_asked_for(house: Guard, proxy: ProxyLogging) -> None:
    enabled(house, "pre_call", default_on=False)
    await before(proxy, asked("the secret sauce recipe"))
    with pytest.raises(HTTPException):
        await before(proxy, asked("the secret sauce recipe", metadata={"guardrails": ["brightline"]}))


async def test_tools_of_mcp(tmp_path: Path, proxy: ProxyLogging) -> None:
    mcp_types = pytest.importorskip("mcp.types")
    from litellm.litellm_core_utils.litellm_logging import Logging

    wide = tmp_path / "wide.md"
    tools = HOUSE.lstrip().replace('["response", "request"]', '["tool_call", "tool_result"]')
    wide.write_text(tools.replace("hits:   response: write", "hits:   tool_result: write"))
    guardrail = enabled(Guard(wide, models=False), "pre_mcp_call", "during_mcp_call", "post_mcp_call")

    def call(**arguments: Any) -> dict[str, Any]:
        kwargs = {"name": "write", "arguments": arguments}
        return proxy.convert_mcp_to_llm_format(proxy.create_mcp_request_object_from_kwargs(kwargs), kwargs)

    data = await before(proxy, call(to="ann@example.com"), "call_mcp_tool")
    assert proxy.convert_mcp_hook_response_to_kwargs(data, {})["arguments"] == {"to": "[email]"}
    for hook in (
        lambda data: before(proxy, data, "call_mcp_tool"),
        lambda data: proxy.during_call_hook(data=data, user_api_key_dict=KEY, call_type="call_mcp_tool"),
    ):
        with pytest.raises(HTTPException, match="sauce"):
            await hook(call(to="the secret sauce recipe"))

    monkey = [litellm.success_callback, litellm.success_callback[:]]
    litellm.success_callback.append(guardrail)
    try:
        for text, expected in (("Fine.", "Fine."), (MAIL, REDACTED), ("the secret sauce recipe", SAFE)):
            logging = Logging("fake", [], False, "call_mcp_tool", None, "id", "id")
            result = mcp_types.CallToolResult(content=[mcp_types.TextContent(type="text", text=text)])
            result = await logging.async_post_mcp_tool_call_hook({}, result, None, None)
            assert [part.text for part in result.content] == [expected]
    finally:
        monkey[0][:] = monkey[1]


async def test_texts_by_themselves(house: Guard) -> None:
    guardrail = BrightlineGuardrail(guard=house)
    given: Any = {"texts": ["Fine.", MAIL]}
    for kind in ("request", "response"):
        out = await guardrail.apply_guardrail(inputs=given, request_data={}, input_type=kind)  # type: ignore[arg-type]
        assert out["texts"] == ["Fine.", REDACTED]
        with pytest.raises(HTTPException, match="sauce"):
            await guardrail.apply_guardrail(inputs={"texts": ["hi", SAUCE]}, request_data={}, input_type=kind)  # type: ignore[arg-type]
    call = {"id": "c", "type": "function", "function": {"name": "write", "arguments": f'{{"to": "{SAUCE}"}}'}}
    with pytest.raises(HTTPException, match="sauce"):
        await guardrail.apply_guardrail(inputs={"tool_calls": [call]}, request_data={}, input_type="response")


CONFIG = """
model_list:
  - model_name: fake
    litellm_params: {{model: openai/fake, api_key: none, mock_response: "{answer}"}}
guardrails:
  - guardrail_name: brightline
    litellm_params:
      guardrail: brightline.integrations.litellm.BrightlineGuardrail
      mode: [pre_call, post_call]
      default_on: true
      models: false
      {more}
"""


async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, more: str) -> httpx.AsyncClient:
    monkeypatch.setattr(litellm, "callbacks", [])
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(answer=answer, more=more), encoding="utf-8")
    await proxy_server.initialize(config=str(path))
    return httpx.AsyncClient(transport=httpx.ASGITransport(proxy_server.app), base_url="http://here")


async def test_the_whole_proxy(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await served(tmp_path, monkeypatch, MAIL, f"policy: {policy}") as client:
        hello = asked("hello")
        del hello["metadata"]
        answer = await client.post("/v1/chat/completions", json=hello)
        assert answer.json()["choices"][0]["message"]["content"] == REDACTED
        assert answer.headers["x-litellm-applied-guardrails"] == "brightline"
        for path, body in (
            ("/v1/chat/completions", {**hello, "stream": True}),
            ("/v1/completions", {"model": "fake", "prompt": "hello"}),
            ("/v1/completions", {"model": "fake", "prompt": "hello", "stream": True}),
            ("/v1/messages", {**hello, "max_tokens": 9}),
            ("/v1/responses", {"model": "fake", "input": "hello"}),
        ):
            answer = await client.post(path, json=body)
            assert answer.status_code == 200, answer.text
            assert "ann@" not in answer.text
            assert "email" in answer.text
        bad = [{"role": "user", "content": "the secret sauce recipe"}]
        for path, body in (
            ("/v1/chat/completions", {"messages": bad}),
            ("/v1/chat/completions", {"messages": bad, "stream": True}),
            ("/v1/completions", {"prompt": bad[0]["content"]}),
            ("/v1/messages", {"messages": bad, "max_tokens": 9}),
            ("/v1/messages", {"messages": bad, "max_tokens": 9, "stream": True}),
            ("/v1/responses", {"input": bad[0]["content"]}),
            ("/v1/embeddings", {"input": bad[0]["content"]}),
        ):
            answer = await client.post(path, json={"model": "fake", **body})
            assert answer.status_code == 400, answer.text
            assert SAFE in answer.text


async def test_the_whole_proxy_with_messages(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with await served(tmp_path, monkeypatch, SAUCE, f"policy: {policy}\n      on_block: message") as client:
        for text in ("hello", "the secret sauce recipe"):
            for stream in (False, True):
                body = {"model": "fake", "messages": [{"role": "user", "content": text}], "stream": stream}
                answer = await client.post("/v1/chat/completions", json=body)
                assert answer.status_code == 200, answer.text
                assert "secret" not in answer.text
                if stream:
                    lines = [it.removeprefix("data: ") for it in answer.text.split("\n") if it.startswith("data: {")]
                    told = [choice for line in lines for choice in json.loads(line)["choices"]]
                    assert "".join(it["delta"].get("content") or "" for it in told).endswith(SAFE)
                else:
                    (choice,) = answer.json()["choices"]
                    assert (choice["message"]["content"], choice["finish_reason"]) == (SAFE, "content_filter")


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ("policy: nothing.md", "nothing.md"),
        ("on_block: log", "on_block"),
        ("on_unreadable: skip", "on_unreadable"),
        ("polcy: house.md", "polcy"),
    ],
)
async def test_a_wrong_configuration_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: str, error: str
) -> None:
    with pytest.raises(BrightlineError, match=error):
        await served(tmp_path, monkeypatch, MAIL, more)


def test_an_unknown_mode_does_not_start(house: Guard) -> None:
    with pytest.raises(BrightlineError, match="realtime_input_transcription"):
        BrightlineGuardrail(guard=house, event_hook="realtime_input_transcription")
