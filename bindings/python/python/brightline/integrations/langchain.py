"""Middleware for agents of LangChain 1.

    agent = create_agent(model, tools=[...], middleware=[GuardMiddleware(Guard("default"))])

It judges what goes to the model, what the model answers, calls of tools and their results, in sync and in async runs.

- A blocked message of the user or of the model becomes the clause's safe message, and the run ends with it.
- A blocked tool call is not made, and a blocked result not shown to the model: it reads the safe message instead.
- What is redacted goes on with placeholders.

Tokens that a model streams are not held back by middleware: stream the steps of the agent (`stream_mode="updates"`), or
put `Guard.stream_text` around the tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, ToolMessage, convert_to_openai_messages
from langgraph.types import Command

from brightline._brightline import Verdict
from brightline._errors import Blocked
from brightline._guard import Guard
from brightline.integrations._messages import let_through, new

_STOPS = ("revise", "escalate", "block")


class GuardMiddleware(AgentMiddleware[Any, Any]):
    """Judges an agent's model calls, tool calls and tool results."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self.guard = guard

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Judges the messages that are new, calls the model, judges its answer."""
        try:
            request, context = self._asked(request)
        except Blocked as blocked:
            return _refusal(blocked.verdict)
        response = handler(request)
        return _answer(response, self.guard.check([*context, _wire(_last(response))]))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """As `wrap_model_call`."""
        try:
            request, context = await asyncio.to_thread(self._asked, request)
        except Blocked as blocked:
            return _refusal(blocked.verdict)
        response = await handler(request)
        return _answer(response, await self.guard.acheck([*context, _wire(_last(response))]))

    def _asked(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], list[dict[str, Any]]]:
        """A request as the model may see it, and its messages."""
        before = 1 if request.system_message else 0
        messages, context = list(request.messages), _messages(request)
        for at in new(context):
            verdict = self.guard.check(context, target=at)
            if not let_through(verdict) and at >= before:
                messages[at - before] = messages[at - before].model_copy(update={"content": verdict.redacted})
                context[at] = _wire(messages[at - before])
        return request.override(messages=messages), context

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Judges the call, makes it, judges its result."""
        asked = self.guard.check(_call(request))
        if not asked.passes:
            return _instead(request, asked)
        result = handler(request)
        if not isinstance(result, ToolMessage):
            return result
        return _result(request, result, self.guard.check(_wire_result(result)))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """As `wrap_tool_call`."""
        asked = await self.guard.acheck(_call(request))
        if not asked.passes:
            return _instead(request, asked)
        result = await handler(request)
        if not isinstance(result, ToolMessage):
            return result
        return _result(request, result, await self.guard.acheck(_wire_result(result)))


def _wire(message: AnyMessage | AIMessage) -> dict[str, Any]:
    converted = convert_to_openai_messages(message)
    assert isinstance(converted, dict)
    return converted


def _messages(request: ModelRequest[Any]) -> list[dict[str, Any]]:
    system = [request.system_message] if request.system_message else []
    return [_wire(message) for message in [*system, *request.messages]]


def _last(response: ModelResponse[Any]) -> AIMessage:
    return next(message for message in reversed(response.result) if isinstance(message, AIMessage))


def _refusal(verdict: Verdict) -> ModelResponse[Any]:
    text = verdict.message or f"This {verdict.surface.replace('_', ' ')} is not allowed."
    message = AIMessage(text, response_metadata={"brightline": verdict.to_dict()})
    return ModelResponse(result=[message])


def _answer(response: ModelResponse[Any], verdict: Verdict) -> ModelResponse[Any]:
    if verdict.action in _STOPS:
        return _refusal(verdict)
    if verdict.redacted is None:
        return response
    texts = [redaction for redaction in verdict.redactions if redaction.field == "content"]
    if len(texts) != len(verdict.redactions):
        # Arguments of a tool call are values by now; a call with placeholders is no call the model asked for.
        return _refusal(verdict)
    last = _last(response)
    redacted = last.model_copy(update={"content": "\n".join(redaction.text for redaction in texts)})
    result = [redacted if message is last else message for message in response.result]
    return ModelResponse(result=result, structured_response=response.structured_response)


def _call(request: ToolCallRequest) -> dict[str, Any]:
    return {"tool_call": {"name": request.tool_call["name"], "arguments": request.tool_call["args"]}}


def _wire_result(result: ToolMessage) -> dict[str, Any]:
    return {"tool_result": str(result.text)}


def _instead(request: ToolCallRequest, verdict: Verdict) -> ToolMessage:
    text = verdict.message or f"this {verdict.surface.replace('_', ' ')} is not allowed"
    call = request.tool_call
    return ToolMessage(text, name=call["name"], tool_call_id=call["id"], status="error", artifact=verdict.to_dict())


def _result(request: ToolCallRequest, result: ToolMessage, verdict: Verdict) -> ToolMessage:
    if verdict.action in _STOPS:
        return _instead(request, verdict)
    if verdict.redacted is None:
        return result
    return result.model_copy(update={"content": verdict.redacted})
