"""Critique and revision."""

from __future__ import annotations

from typing import Any

import pytest

from brightline import Guard
from brightline.integrations.revise import arevise, revise

ASK = [{"role": "user", "content": "I want my money back."}]
BAD, GOOD, WORSE = "we will refund you", "ask the billing team", "the secret sauce recipe"


def model(*answers: str) -> Any:
    asked: list[Any] = []
    texts = iter(answers)

    def answer(messages: list[Any]) -> str:
        asked.append(messages)
        return next(texts)

    answer.asked = asked  # type: ignore[attr-defined]
    return answer


def test_the_critique_goes_back(house: Guard) -> None:
    answers = model(BAD, GOOD)
    answer = revise(house, ASK, answers)
    assert (answer.text, answer.passed, len(answer.tried)) == (GOOD, True, 2)
    assert answers.asked[0] == ASK
    assert answers.asked[1][1]["content"] == BAD
    assert answers.asked[1][2]["content"] == answer.tried[0].critique


def test_rounds_end(house: Guard) -> None:
    answer = revise(house, ASK, model(BAD, BAD, BAD, GOOD), rounds=2)
    assert (answer.text, answer.passed, len(answer.tried)) == ("The billing team decides about refunds.", False, 3)
    assert revise(house, ASK, model(BAD, GOOD), rounds=0).passed is False


def test_the_best_is_kept(house: Guard) -> None:
    answer = revise(house, ASK, model(BAD, WORSE))
    assert [verdict.action for verdict in answer.tried] == ["revise", "block"]
    assert answer.verdict.action == "revise"
    assert revise(house, ASK, model("ask ann@example.com")).text == "ask [email]"


def test_an_exception_of_the_model(house: Guard) -> None:
    def broken(_: list[Any]) -> str:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        revise(house, ASK, broken)


async def test_awaited(house: Guard) -> None:
    answers = model(BAD, GOOD)

    async def awaited(messages: list[Any]) -> str:
        return str(answers(messages))

    assert (await arevise(house, ASK, awaited)).text == GOOD
