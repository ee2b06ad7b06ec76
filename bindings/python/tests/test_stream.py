"""Streams: the same for every way of cutting, and nothing that is held back gets out."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from brightline import Blocked, Guard, InputError, StreamClosed
from conftest import ROOT
from test_corpus import GROUPS, score

ANSWERS = [
    "Grüße 😀, ask Ann at ann@example.com or bob@example.com ✓.",
    "Of course: ünd now the secret sauce recipe, which is long.",
    "I promise we will refund you tomorrow, dear ☃.",
    "Nothing here.",
    "",
]


def cut(text: str, at: random.Random) -> list[str]:
    chunks = []
    while text:
        size = at.randint(1, 9)
        chunks.append(text[:size])
        text = text[size:]
    return chunks


def through(guard: Guard, context: object, chunks: list[str]) -> tuple[str, dict[str, object]]:
    stream = guard.stream(context)
    shown = "".join(stream.push(chunk).text for chunk in ["", *chunks])
    end = stream.finish()
    verdict = end.verdict.to_dict()
    return shown + end.text, {key: value for key, value in verdict.items() if key != "elapsed_us"}


@pytest.mark.parametrize("answer", ANSWERS)
def test_cut_anywhere(house: Guard, answer: str) -> None:
    at = random.Random(7)
    whole = through(house, "Who can help?", [answer])
    for _ in range(40):
        assert through(house, "Who can help?", cut(answer, at)) == whole
    judged = house.check({"request": "Who can help?", "response": answer})
    assert judged.action == whole[1]["action"]
    if judged.passes:
        assert whole[0] == answer
    if judged.action == "redact":
        assert whole[0] == judged.redacted


def test_the_answers_of_the_corpus() -> None:
    at, guards, streamed = random.Random(11), {}, 0
    for path in sorted((ROOT / "tests/cases").glob("*.jsonl")):
        for case in map(json.loads, path.read_text(encoding="utf-8").splitlines()):
            if not isinstance(case.get("response"), str) or not isinstance(case.get("request"), str):
                continue
            if "deployment" in case or any(key in case for key in ("tool_call", "tool_result", "text")):
                continue
            name = case.get("policy", "default")
            guard = guards.setdefault(name, Guard(name, models=False))
            context = {key: case[key] for key in ("request", "settings", "tags", "signals") if key in case}
            try:
                judged = guard.check({**context, "response": case["response"]})
            except InputError:
                continue
            shown, verdict = through(guard, context, cut(case["response"], at))
            assert (shown, verdict) == through(guard, context, [case["response"]])
            if judged.passes:
                assert shown == case["response"]
            streamed += 1
    assert streamed > 30


def test_streams_and_the_command_agree(cli: str) -> None:
    """A stream, cut at random, against the command's verdict on the whole text."""
    at, compared = random.Random(17), {"allow": 0, "redact": 0, "block": 0}
    for (name, deployment), lines in GROUPS.items():
        answers = [case for case in map(json.loads, lines) if is_exchange(case)]
        if deployment != "null" or not answers:
            continue
        guard = Guard(name, models=False)
        written = score(cli, name, [json.dumps(case) for case in answers], "--no-models")
        assert written is not None
        for case, line in zip(answers, map(json.loads, written), strict=True):
            if "error" in line or not case["response"]:
                continue
            context = {key: case[key] for key in ("request", "settings", "tags", "signals") if key in case}
            shown, verdict = through(guard, context, cut(case["response"], at))
            assert verdict["action"] == line["action"], case
            if verdict["action"] in ("escalate", "block"):
                # The rest was never read.
                assert {it["clause"] for it in verdict["findings"]} <= {it["clause"] for it in line["findings"]}
                assert case["response"].startswith(shown)
                assert shown != case["response"]
            else:
                assert comparable(verdict) == comparable(line), case
                assert verdict["action"] == "revise" or shown == line.get("redacted", case["response"])
            compared[verdict["action"]] = compared.get(verdict["action"], 0) + 1
    assert all(compared.values()), compared


def is_exchange(case: dict[str, object]) -> bool:
    texts = isinstance(case.get("request"), str) and isinstance(case.get("response"), str)
    return texts and not {"tool_call", "tool_result", "text"} & case.keys()


def comparable(verdict: dict[str, object]) -> dict[str, object]:
    """Without what differs from run to run, and what a stream has released instead."""
    return {key: it for key, it in verdict.items() if key not in ("id", "elapsed_us", "redacted", "redactions")}


def test_spans_of_a_stream_are_code_points(house: Guard) -> None:
    answer = ANSWERS[1]
    stream = house.stream([{"role": "user", "content": "hä?"}])
    for chunk in cut(answer, random.Random(3)):
        stream.push(chunk)
    (span,) = stream.finish().verdict.findings[0].evidence[0].spans
    assert (span.message, answer[span.start : span.end]) == (1, "secret sauce recipe")


def test_channels(house: Guard) -> None:
    stream = house.stream("hi")
    stream.tool_call(0, "write")
    assert stream.push('{"text": ', 0).released == ()
    released = [*stream.push("I think.", "reasoning").released, *stream.push('"hällo"}', 0).released]
    released += stream.finish().released
    assert "".join(text for channel, text in released if channel == "reasoning") == "I think."
    assert [text for channel, text in released if channel == 0] == ['{"text": "hällo"}']
    with pytest.raises(ValueError, match="`channel` is `image`"):
        house.stream().push("x", "image")  # type: ignore[arg-type]


def test_a_closed_stream(house: Guard) -> None:
    stream = house.stream("hi")
    stream.push("ask ann@exam")
    assert stream.held
    stream.finish()
    assert stream.closed
    for use in (lambda: stream.push("x"), stream.finish, lambda: stream.tool_call(0, "x")):
        with pytest.raises(StreamClosed, match="the stream has ended"):
            use()
    with house.stream() as other:
        other.push("x")
    assert other.closed
    assert repr(other) == "<Stream closed>"
    with pytest.raises(TypeError):
        house.stream().push(b"bytes")  # type: ignore[arg-type]


def test_text_is_let_through_piece_by_piece(house: Guard) -> None:
    texts = house.stream_text("hi", iter(["Ask Ann, at ann@exam", "ple.com", " or here."]))
    assert next(texts).startswith("Ask")
    assert "".join(texts).endswith("[email] or here.")
    assert texts.verdict is not None
    assert texts.verdict.action == "redact"


@pytest.mark.parametrize("answer", ANSWERS[1:3])
def test_a_blocked_answer(house: Guard, answer: str) -> None:
    closed = []

    def chunks() -> Iterator[str]:
        try:
            yield from cut(answer, random.Random(5))
            yield " and more"
        finally:
            closed.append(True)

    shown: list[str] = []
    with pytest.raises(Blocked) as caught:
        shown.extend(house.stream_text("hi", chunks()))
    assert not caught.value.verdict.passes
    assert closed == [True]
    assert "secret" not in "".join(shown)
    assert "refund" not in "".join(shown)
    texts = list(house.stream_text("hi", chunks(), on_block="message"))
    assert texts[-1] == caught.value.verdict.message == str(caught.value)


def test_an_exception_of_the_source(house: Guard) -> None:
    def chunks() -> Iterator[str]:
        yield "Fine. Then ask ann@exam"
        raise ConnectionError("gone")

    shown: list[str] = []
    with pytest.raises(ConnectionError, match="gone"):
        shown.extend(house.stream_text("hi", chunks()))
    assert "ann" not in "".join(shown)


async def test_async_iteration(house: Guard) -> None:
    async def chunks() -> AsyncIterator[str]:
        for chunk in ["Ask ann@exam", "ple.com", " or here."]:
            await asyncio.sleep(0)
            yield chunk

    texts = house.stream_text("hi", chunks())
    assert "".join([text async for text in texts]) == "Ask [email] or here."
    assert texts.verdict is not None


async def test_a_cancelled_task_shows_nothing_more(house: Guard) -> None:
    shown, closed = [], []

    async def chunks() -> AsyncIterator[str]:
        try:
            yield "Fine. Then ask ann@exam"
            await asyncio.sleep(60)
        finally:
            closed.append(True)

    texts = house.stream_text("hi", chunks())

    async def read() -> None:
        async for text in texts:
            shown.append(text)

    task = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed == [True]
    assert texts.verdict is None
    assert "ann" not in "".join(shown)
    await texts.aclose()
