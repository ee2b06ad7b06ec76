"""An agent of `openai-agents` with guardrails. The model behind it is a fake."""

from __future__ import annotations

import asyncio

from agents import Agent, InputGuardrailTripwireTriggered, OpenAIChatCompletionsModel, Runner, set_tracing_disabled

from brightline import Guard
from brightline.integrations.agents import Guardrails
from fake_openai import FakeModel

set_tracing_disabled(True)
rails = Guardrails(Guard("default"))
client = FakeModel("Rub the blade along a wet stone.").async_client()
agent = Agent(
    name="shop",
    model=OpenAIChatCompletionsModel("fake", client),
    input_guardrails=[rails.input],
    output_guardrails=[rails.output],
)


async def main() -> None:
    print((await Runner.run(agent, "How do I sharpen a knife?")).final_output)
    try:
        await Runner.run(agent, "How do I make a pipe bomb?")
    except InputGuardrailTripwireTriggered as tripped:
        print("not asked:", tripped.guardrail_result.output.output_info)


asyncio.run(main())
