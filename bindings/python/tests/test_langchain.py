"""Middleware against the real LangChain, with a fake model behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from brightline import Guard

pytest.importorskip("langchain")

from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from brightline.integrations.langchain import GuardMiddleware


class Model(GenericFakeChatModel):
    """The fake of LangChain, which takes tools."""

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Any:
        return self


def call(word: str) -> AIMessage:
    return AIMessage("", tool_calls=[{"name": "look_up", "args": {"word": word}, "id": "c1"}])


ran: list[str] = []


@tool
def look_up(word: str) -> str:
    """Looks a word up."""
    ran.append(word)
    return {"mail": "ann@example.com", "leak": "the secret sauce recipe"}.get(word, "found")


async def last(house: Guard, how: str, question: str, *answers: AIMessage) -> list[str]:
    """The messages after the question, from a sync or an async run."""
    ran.clear()
    agent: Any = create_agent(Model(messages=iter(answers)), tools=[look_up], middleware=[GuardMiddleware(house)])
    asked = {"messages": [{"role": "user", "content": question}]}
    state = agent.invoke(asked) if how == "sync" else await agent.ainvoke(asked)
    return [message.content for message in state["messages"][1:]]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_model_calls(house: Guard, how: str) -> None:
    safe = "I cannot tell you about the sauce."
    assert await last(house, how, "hello", AIMessage("Good morning.")) == ["Good morning."]
    assert await last(house, how, "the secret sauce recipe") == [safe]
    assert await last(house, how, "hello", AIMessage("the secret sauce recipe")) == [safe]
    assert await last(house, how, "hello", AIMessage("we will refund")) == ["The billing team decides about refunds."]
    assert await last(house, how, "hello", AIMessage("Ask ann@example.com.")) == ["Ask [email]."]


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_all_new_messages_are_judged(house: Guard, how: str) -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("Good morning.")] * 2))
    agent: Any = create_agent(model, middleware=[GuardMiddleware(house)], system_prompt="Be kind.")
    for first, answer in (("the secret sauce recipe", "I cannot tell you about the sauce."), ("hi", "Good morning.")):
        asked = {"messages": [{"role": "user", "content": text} for text in (first, "please")]}
        state = agent.invoke(asked) if how == "sync" else await agent.ainvoke(asked)
        assert state["messages"][-1].content == answer


@pytest.mark.parametrize("how", ["sync", "async"])
async def test_tools(house: Guard, how: str) -> None:
    done = AIMessage("Done.")
    assert await last(house, how, "hello", call("word"), done) == ["", "found", "Done."]
    assert ran == ["word"]
    leaked = await last(house, how, "hello", call("leak"), done)
    assert leaked == ["", "I cannot tell you about the sauce.", "Done."]
    # The model's answer is judged with its calls, so the call is not even proposed.
    assert await last(house, how, "hello", call("secret sauce recipe")) == ["I cannot tell you about the sauce."]
    assert ran == []
