"""Guardrails for `openai-agents`: of an agent's input and output, and of the arguments and results of its tools.

    rails = Guardrails(Guard("default"))

    @function_tool(tool_input_guardrails=[rails.tool_input], tool_output_guardrails=[rails.tool_output])
    def track(parcel: str) -> str: ...

    Agent(name="shop", tools=[track], input_guardrails=[rails.input], output_guardrails=[rails.output])

The verdict is in `output_info`, also where nothing tripped: `error.guardrail_result.output.output_info`. The input is
judged before the model is called, not beside it, since judging takes less time than a model takes to start.

A guardrail cannot replace text: what the policy would redact trips as well, unless `trip_on_redact=False`.
"""

from __future__ import annotations

from typing import Any

from agents import (
    Agent,
    GuardrailFunctionOutput,
    InputGuardrail,
    OutputGuardrail,
    RunContextWrapper,
    ToolGuardrailFunctionOutput,
    ToolInputGuardrail,
    ToolInputGuardrailData,
    ToolOutputGuardrail,
    ToolOutputGuardrailData,
)

from brightline._brightline import Verdict
from brightline._guard import Guard
from brightline.integrations._messages import from_items, new, plain


class Guardrails:
    """Guardrails that share a guard. A tool that trips tells the model so, or raises with `raise_on_tools=True`."""

    input: InputGuardrail[Any]
    output: OutputGuardrail[Any]
    tool_input: ToolInputGuardrail[Any]
    tool_output: ToolOutputGuardrail[Any]

    def __init__(
        self, guard: Guard, *, trip_on_redact: bool = True, raise_on_tools: bool = False, name: str = "brightline"
    ) -> None:
        self._guard, self._trip_on_redact, self._raise = guard, trip_on_redact, raise_on_tools
        self.input = InputGuardrail(self._input, name=f"{name}_input", run_in_parallel=False)
        self.output = OutputGuardrail(self._output, name=f"{name}_output")
        self.tool_input = ToolInputGuardrail(self._tool_input, name=f"{name}_tool_input")
        self.tool_output = ToolOutputGuardrail(self._tool_output, name=f"{name}_tool_output")

    def _trips(self, verdict: Verdict) -> bool:
        return not verdict.passes and (verdict.action != "redact" or self._trip_on_redact)

    async def _input(
        self, context: RunContextWrapper[Any], agent: Agent[Any], input: str | list[Any]
    ) -> GuardrailFunctionOutput:
        system = agent.instructions if isinstance(agent.instructions, str) else None
        messages = from_items(input)
        first, *others = new(messages) or [0]
        verdict = await self._guard.acheck(messages, system=system, target=first)
        for at in others:
            if self._trips(verdict):
                break
            verdict = await self._guard.acheck(messages, system=system, target=at)
        return GuardrailFunctionOutput(output_info=verdict, tripwire_triggered=self._trips(verdict))

    async def _output(self, context: RunContextWrapper[Any], agent: Agent[Any], output: Any) -> GuardrailFunctionOutput:
        text = output if isinstance(output, str) else str(plain(output))
        request = from_items(getattr(context, "turn_input", None) or [])
        verdict = await self._guard.acheck([*request, {"role": "assistant", "content": text}])
        return GuardrailFunctionOutput(output_info=verdict, tripwire_triggered=self._trips(verdict))

    async def _tool_input(self, data: ToolInputGuardrailData) -> ToolGuardrailFunctionOutput:
        call = {"name": data.context.tool_name, "arguments": data.context.tool_arguments}
        request = from_items(getattr(data.context, "turn_input", None) or [])
        return self._of_tool(await self._guard.acheck([*request, {"role": "assistant", "tool_calls": [call]}]))

    async def _tool_output(self, data: ToolOutputGuardrailData) -> ToolGuardrailFunctionOutput:
        return self._of_tool(await self._guard.acheck({"tool_result": str(plain(data.output))}))

    def _of_tool(self, verdict: Verdict) -> ToolGuardrailFunctionOutput:
        if not self._trips(verdict):
            return ToolGuardrailFunctionOutput.allow(output_info=verdict)
        if self._raise:
            return ToolGuardrailFunctionOutput.raise_exception(output_info=verdict)
        message = verdict.message or verdict.redacted or f"this {verdict.surface.replace('_', ' ')} is not allowed"
        return ToolGuardrailFunctionOutput.reject_content(message, output_info=verdict)
