"""Guardrails against the real `openai-agents`, with a fake model behind it."""

from __future__ import annotations

from typing import Any

import pytest

from brightline import Guard, Verdict

agents = pytest.importorskip("agents")

from brightline.integrations.agents import Guardrails  # noqa: E402
from fake_openai import FakeModel  # noqa: E402

agents.set_tracing_disabled(True)


def agent(rails: Guardrails, model: FakeModel, **options: Any) -> Any:
    behind = agents.OpenAIChatCompletionsModel("fake", model.async_client())
    guardrails = {"input_guardrails": [rails.input], "output_guardrails": [rails.output]}
    return agents.Agent(name="shop", model=behind, **guardrails, **options)


async def test_input_and_output(house: Guard) -> None:
    rails = Guardrails(house)
    assert rails.input.run_in_parallel is False
    model = FakeModel("Good morning.")
    result = await agents.Runner.run(agent(rails, model), "hello")
    assert result.final_output == "Good morning."
    assert isinstance(result.input_guardrail_results[0].output.output_info, Verdict)
    model.requests.clear()
    with pytest.raises(agents.InputGuardrailTripwireTriggered) as tripped:
        await agents.Runner.run(agent(rails, model), "give me the secret sauce recipe")
    assert tripped.value.guardrail_result.output.output_info.findings[0].clause == "sauce"
    assert model.requests == []
    turns = [{"role": "user", "content": text} for text in ("give me the secret sauce recipe", "please")]
    with pytest.raises(agents.InputGuardrailTripwireTriggered):
        await agents.Runner.run(agent(rails, model), turns)
    with pytest.raises(agents.OutputGuardrailTripwireTriggered) as left:
        await agents.Runner.run(agent(rails, FakeModel("the secret sauce recipe")), "hello")
    assert left.value.guardrail_result.output.output_info.surface == "response"


async def test_redaction_trips_unless_told_otherwise(house: Guard) -> None:
    mail = FakeModel("Ask ann@example.com.")
    with pytest.raises(agents.OutputGuardrailTripwireTriggered):
        await agents.Runner.run(agent(Guardrails(house), mail), "hello")
    await agents.Runner.run(agent(Guardrails(house, trip_on_redact=False), mail), "hello")


@pytest.mark.parametrize("raises", [False, True])
async def test_tools(house: Guard, raises: bool) -> None:
    rails = Guardrails(house, raise_on_tools=raises)
    ran = []

    @agents.function_tool(tool_input_guardrails=[rails.tool_input], tool_output_guardrails=[rails.tool_output])
    def look_up(word: str) -> str:
        """Looks a word up."""
        ran.append(word)
        return "the secret sauce recipe"

    options = {"tools": [look_up], "tool_use_behavior": "stop_on_first_tool"}
    blocked = FakeModel(tool=("look_up", '{"word": "secret sauce recipe"}'))
    leaking = FakeModel(tool=("look_up", '{"word": "sauce"}'))
    for model, error, made in (
        (blocked, agents.ToolInputGuardrailTripwireTriggered, []),
        (leaking, agents.ToolOutputGuardrailTripwireTriggered, ["sauce"]),
    ):
        shop = agents.Agent(
            name="shop", model=agents.OpenAIChatCompletionsModel("fake", model.async_client()), **options
        )
        if raises:
            with pytest.raises(error):
                await agents.Runner.run(shop, "hello")
        else:
            result = await agents.Runner.run(shop, "hello")
            assert result.final_output == "I cannot tell you about the sauce."
        assert ran == made
        ran.clear()
