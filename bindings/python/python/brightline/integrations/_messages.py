"""Items of the responses API as messages of the wire format, and verdicts laid over what they were about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from brightline._brightline import Verdict
from brightline._errors import Blocked


def plain(value: Any) -> Any:
    """An object of an SDK as plain values."""
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json", exclude_none=True)


def from_items(items: str | Sequence[Any]) -> list[dict[str, Any]]:
    """The input or output of the responses API as messages. Items with nothing to read are messages without content."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    return [_message(plain(item)) for item in items]


def _message(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        arguments = item.get("arguments", item.get("input", ""))
        return {"role": "assistant", "tool_calls": [{"name": item["name"], "arguments": arguments}]}
    if kind.endswith("_output"):
        output = item.get("output", "")
        return {"role": "tool", "content": output if isinstance(output, list) else str(output)}
    if kind == "reasoning":
        parts = [*item.get("summary", ()), *item.get("content", ())]
        return {"role": "assistant", "reasoning_content": "\n".join(part["text"] for part in parts)}
    if "role" in item:
        return {"role": item["role"], "content": item.get("content")}
    return {"role": "assistant", "content": [{"type": kind}]}


def let_through(verdict: Verdict) -> bool:
    """Whether the message may go on as it is. It may go on redacted where this is false.

    Raises:
        Blocked: it may not go on at all.
    """
    if verdict.action in ("revise", "escalate", "block"):
        raise Blocked(verdict)
    return not verdict.redactions


def redact(message: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """A message of the chat API with the texts of the verdict's redactions in place of its own."""
    message = dict(message)
    for redaction in verdict.redactions:
        if redaction.field == "reasoning":
            message["reasoning_content"] = redaction.text
        elif redaction.field == "tool_calls" and redaction.part is not None:
            calls = [dict(call) for call in message["tool_calls"]]
            call = calls[redaction.part]
            call["function"] = {**call["function"], "arguments": redaction.text}
            message["tool_calls"] = calls
        elif redaction.part is None:
            message["content"] = redaction.text
        else:
            parts = [
                dict(part) if isinstance(part, dict) else {"type": "text", "text": part} for part in message["content"]
            ]
            parts[redaction.part]["text"] = redaction.text
            message["content"] = parts
    return message
