"""Requests and items as messages of the wire format, and verdicts laid over what they were about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from brightline._brightline import Verdict
from brightline._errors import Blocked

# Under which name a block has its text, where that is not `text`.
_TEXT_OF = {"tool_result": "content", "thinking": "thinking", "refusal": "refusal"}


def plain(value: Any) -> Any:
    """An object of an SDK as plain values."""
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json", exclude_none=True, warnings=False)


def from_items(items: str | Sequence[Any]) -> list[dict[str, Any]]:
    """The input or output of the responses API as messages. Items with nothing to read are messages without content."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    return [_message(plain(item)) for item in items]


def _message(item: dict[str, Any]) -> dict[str, Any]:
    kind = item.get("type", "message")
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        arguments = item.get("arguments", item.get("input", ""))
        ran = {"content": item["output"]} if isinstance(item.get("output"), str) else {}
        return {"role": "assistant", "tool_calls": [{"name": item["name"], "arguments": arguments}], **ran}
    if kind.endswith("_output"):
        output = item.get("output", "")
        return {"role": "tool", "content": output if isinstance(output, list) else str(output)}
    if kind == "reasoning":
        parts = [*item.get("summary", ()), *item.get("content", ())]
        return {"role": "assistant", "reasoning_content": "\n".join(part["text"] for part in parts)}
    if "role" in item:
        return {"role": item["role"], "content": item.get("content")}
    text = "\n".join(words({name: value for name, value in item.items() if name != "status"}))
    return {"role": "assistant", "content": text or [{"type": kind}]}


# What is no text of a model or a tool.
_MEDIA = ("data", "encrypted_content", "expires_at", "file_id", "id", "result", "type", "url")


def words(value: Any) -> Iterator[str]:
    """The texts in a value whose form is not known."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            if name not in _MEDIA:
                yield from words(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from words(item)


def redact_item(item: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """An item of the responses API with the texts of the verdict's redactions in place of its own.

    Raises:
        Blocked: the item has no place for one of them.
    """
    kind = item.get("type", "message")
    if kind == "message":
        return redact(item, verdict)
    for redaction in verdict.redactions:
        if redaction.field == "tool_calls":
            item = {**item, "input" if kind == "custom_tool_call" else "arguments": redaction.text}
        elif kind == "reasoning":
            item = {**item, "summary": [], "content": None}
        elif "output" not in item:
            raise Blocked(verdict)
        elif redaction.part is None:
            item = {**item, "output": redaction.text}
        else:
            parts = [dict(part) for part in item["output"]]
            parts[redaction.part]["text"] = redaction.text
            item = {**item, "output": parts}
    return item


def let_through(verdict: Verdict) -> bool:
    """Whether the message may go on as it is. It may go on redacted where this is false.

    Raises:
        Blocked: it may not go on at all.
    """
    if verdict.action in ("revise", "escalate", "block"):
        raise Blocked(verdict)
    return not verdict.redactions


def new(messages: Sequence[dict[str, Any]]) -> list[int]:
    """Which messages of a request are judged: as at the gateway, those after the model's last answer.

    Where the request ends in words put into the model's mouth, these and the turn before. What the system and the
    developer say is context, unless there is nothing else.
    """
    roles = [message.get("role") for message in messages]
    asked = max((at for at, role in enumerate(roles) if role in ("user", "tool", "function")), default=-1)
    start = max((at + 1 for at, role in enumerate(roles[: max(asked, 0)]) if role == "assistant"), default=0)
    judged = [at for at, role in enumerate(roles) if at >= start and role not in ("system", "developer")]
    return judged or list(range(len(messages)))


def redact(message: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """A message of a chat API with the texts of the verdict's redactions in place of its own."""
    message = dict(message)
    # A refusal follows the content where both are one text.
    whole = [field for field in ("content", "refusal") if isinstance(message.get(field), str)]
    for redaction in verdict.redactions:
        if redaction.field == "reasoning" and redaction.part is None:
            message["reasoning_content"] = redaction.text
        elif redaction.field == "tool_calls" and redaction.part is not None:
            _redact_call(message, redaction.part, redaction.text)
        elif redaction.part is not None:
            _redact_block(message, redaction.part, redaction.text)
        else:
            message[whole.pop(0) if whole else "content"] = redaction.text
    return message


def _redact_call(message: dict[str, Any], at: int, arguments: str) -> None:
    calls = [dict(call) for call in message.get("tool_calls") or ()]
    if at < len(calls) and "function" in calls[at]:
        calls[at]["function"] = {**calls[at]["function"], "arguments": arguments}
        message["tool_calls"] = calls
    elif at < len(calls):
        calls[at]["arguments"] = arguments
        message["tool_calls"] = calls
    elif message.get("function_call"):
        message["function_call"] = {**message["function_call"], "arguments": arguments}
    else:
        _redact_block(message, at, arguments)


def _redact_block(message: dict[str, Any], at: int, text: str) -> None:
    blocks = [dict(block) if isinstance(block, dict) else block for block in message["content"]]
    block = blocks[at]
    if not isinstance(block, dict):
        blocks[at] = text
    elif block.get("type") in ("tool_use", "server_tool_use"):
        block["input"] = json.loads(text)
    else:
        block[_TEXT_OF.get(block.get("type", ""), "text")] = text
    message["content"] = blocks


_ACTIONS = ("allow", "flag", "redact", "revise", "escalate", "block")


def strictest(verdicts: Iterable[Verdict]) -> str:
    """The strictest action of the verdicts; `allow` where there are none."""
    return max((verdict.action for verdict in verdicts), key=_ACTIONS.index, default="allow")


def clauses(verdict: Verdict) -> list[str]:
    """The ids of the clauses that were found, each once."""
    return list(dict.fromkeys(finding.clause for finding in verdict.findings))
