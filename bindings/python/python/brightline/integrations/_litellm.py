"""What LiteLLM sends and gets, by the form of each endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from litellm.types.utils import Message, ModelResponse, StreamingChoices, TextCompletionResponse

from brightline._brightline import Verdict
from brightline._errors import Blocked
from brightline._guard import Guard
from brightline.integrations._answers import UNREADABLE, Failure, event, events_of, texts_of
from brightline.integrations._chat import Chunks, Exchange, Heard
from brightline.integrations._messages import let_through, plain, words
from brightline.integrations._responses import Responses

MCP = ("call_mcp_tool", "list_mcp_tools")
# Calls that send no text to a model.
_SILENT = ("cancel", "delete", "file", "list", "retrieve", "transcription")
# Where calls that are no conversation have their texts.
_TEXTS = ("input", "prompt", "query", "documents")


def name_of(call_type: Any) -> str:
    """The name of a type of call."""
    return str(getattr(call_type, "value", call_type))


class Call:
    """What was asked, and the verdicts so far.

    `changes` says whether placeholders can be laid over what is judged; where they cannot, it is blocked.
    """

    def __init__(self, guard: Guard, data: dict[str, Any], heard: Heard, *, changes: bool = True) -> None:
        self.guard, self.data, self.changes, self._heard = guard, data, changes, heard

    def heard(self, verdict: Verdict) -> None:
        """Notes a verdict.

        Raises:
            Blocked: it asks for a change, and there can be none.
        """
        self._heard(verdict)
        if verdict.action == "redact" and not self.changes:
            raise Blocked(verdict)

    def exchange(self) -> Exchange:
        """The exchange that an answer belongs to."""
        messages = self.data.get("messages")
        if isinstance(messages, list) and messages:
            context = {"system": self.data["system"]} if self.data.get("system") else {}
            return Exchange(self.guard, messages, self.heard, **context)
        return Exchange(self.guard, self.responses().messages, self.heard)

    def responses(self) -> Responses:
        """As `exchange`, for the responses API."""
        given = self.data.get("input")
        readable = isinstance(given, str) or (isinstance(given, list) and all(isinstance(it, dict) for it in given))
        return Responses(self.guard, self.data if readable else {}, self.heard)


def request(call: Call, call_type: Any) -> None:
    """Judges a request, and lays placeholders over its data."""
    name, data = name_of(call_type), call.data
    if name == "call_mcp_tool":
        _tool_call(call)
    elif "responses" in name and data.get("input"):
        responses = call.responses()
        if not responses.messages:
            raise _NOTHING
        if responses.request():
            data["input"] = responses.options["input"]
    elif isinstance(data.get("messages"), list) and data["messages"]:
        exchange = call.exchange()
        if exchange.request():
            data["messages"] = exchange.messages
    else:
        given = {field: data[field] for field in _TEXTS if data.get(field)}
        if given and not _holds_tokens(given):
            data.update(texts_of(Exchange(call.guard, [], call.heard), given, "user"))
        elif given or not any(word in name for word in _SILENT):
            raise _NOTHING


_NOTHING = Failure(400, "invalid_request", "there is nothing in this call that can be judged")


def _holds_tokens(value: Any) -> bool:
    """Whether texts stand there as numbers."""
    if isinstance(value, dict):
        return any(map(_holds_tokens, value.values()))
    return isinstance(value, list) and any(isinstance(it, int) or _holds_tokens(it) for it in value)


def _tool_call(call: Call) -> None:
    called = {"name": call.data.get("mcp_tool_name") or "", "arguments": call.data.get("mcp_arguments") or {}}
    verdict = call.guard.check({"tool_call": called})
    call.heard(verdict)
    if let_through(verdict):
        return
    if [redaction.field for redaction in verdict.redactions] != ["tool_calls"]:
        raise Blocked(verdict)
    call.data["modified_arguments"] = json.loads(verdict.redactions[0].text)


def answer(call: Call, response: Any) -> Any:
    """Judges a whole answer, every choice of it, and lays placeholders over it."""
    exchange = call.exchange()
    if isinstance(response, ModelResponse):
        for choice in response.choices:
            before: dict[str, Any] = plain(choice.message)
            message = exchange.answer(before)
            if message is not before:
                choice.message, choice.logprobs = Message(**message), None
    elif isinstance(response, TextCompletionResponse):
        for text in response.choices:
            before = {"role": "assistant", "content": text.text or ""}
            message = exchange.answer(before)
            if message is not before:
                text.text, text.logprobs = message["content"], None
    elif isinstance(getattr(response, "output", None), list):
        call.responses().answer(response)
    elif isinstance(response, dict) and isinstance(response.get("content"), list):
        response["content"] = exchange.answer({"role": "assistant", "content": response["content"]})["content"]
    elif isinstance(value := plain(response), dict):
        # There is no place for placeholders.
        verdict = exchange.check([{"role": "assistant", "content": "\n".join(words(value))}])
        if not let_through(verdict):
            raise Blocked(verdict)
    elif response is not None:
        raise UNREADABLE
    return response


def stream(call: Call, first: Any, refuse: bool) -> ChatStream | ResponsesStream | HeldStream:
    """What judges a stream, by its first chunk. With `refuse` a choice ends with the clause's message."""
    if isinstance(getattr(first, "choices", None), list):
        return ChatStream(call, "content" if refuse else None)
    if str(getattr(first, "type", "")).startswith(("response.", "ResponsesAPIStreamEvents.")):
        return ResponsesStream(call)
    if isinstance(first, (bytes, str, dict)):
        return HeldStream(call)
    raise UNREADABLE


class ChatStream:
    """Chunks of chat completions and of text completions."""

    def __init__(self, call: Call, refuse: str | None) -> None:
        asked = call.data.get("n")
        self._chunks = Chunks(call.exchange(), refuse=refuse, choices=asked if isinstance(asked, int) else 1)

    @property
    def done(self) -> bool:
        return self._chunks.done

    def take(self, chunk: Any) -> Iterator[Any]:
        if not chunk.choices:
            yield chunk
            return
        is_text = not hasattr(chunk.choices[0], "delta")
        given = plain(chunk)
        if is_text:
            for choice in given["choices"]:
                choice["delta"] = {"content": choice.pop("text", None)}
        choices = self._chunks.take(given)["choices"]
        if not choices and not getattr(chunk, "usage", None):
            return
        shown = chunk.model_copy()
        if is_text:
            kind = type(chunk.choices[0])
            shown.choices = [kind(text=it["delta"].get("content") or "", **_ended(it)) for it in choices]
        else:
            shown.choices = [StreamingChoices(delta=it["delta"], **_ended(it)) for it in choices]
        if hasattr(shown, "provider_specific_fields"):
            shown.provider_specific_fields = None
        yield shown

    def end(self) -> Iterator[Any]:
        self._chunks.end()
        yield from ()

    def close(self) -> None:
        self._chunks.close()


def _ended(choice: dict[str, Any]) -> dict[str, Any]:
    return {"index": choice["index"], "finish_reason": choice["finish_reason"]}


class ResponsesStream:
    """Events of the responses API."""

    done = False

    def __init__(self, call: Call) -> None:
        self._responses = call.responses()

    def take(self, event: Any) -> Iterator[Any]:
        yield from self._responses.event(event)

    def end(self) -> Iterator[Any]:
        self._responses.end()
        yield from ()

    def close(self) -> None:
        self._responses.close()


class HeldStream:
    """Events of Anthropic's messages. They are held until the last, and told anew."""

    done = False

    def __init__(self, call: Call) -> None:
        self._call, self._raw = call, bytearray()

    def take(self, chunk: Any) -> Iterator[Any]:
        if isinstance(chunk, dict):
            chunk = event(chunk, str(chunk.get("type") or ""))
        self._raw += chunk if isinstance(chunk, bytes) else chunk.encode()
        yield from ()

    def end(self) -> Iterator[bytes]:
        told: list[dict[str, Any]] = list(events_of(bytes(self._raw)))
        if not told or any(it.get("type") not in _ANTHROPIC for it in told):
            raise UNREADABLE
        blocks = _blocks(told)
        said: dict[str, Any] = {"role": "assistant", "content": list(blocks.values())}
        if blocks:
            said = self._call.exchange().answer(said)
        for it in told:
            if it["type"] == "message_start":
                yield event({**it, "message": {**it["message"], "content": []}}, "message_start")
                yield from self._contents(dict(zip(blocks, said["content"], strict=True)))
            elif it["type"] in ("message_delta", "error"):
                yield event(it, it["type"])
        yield event({"type": "message_stop"}, "message_stop")

    @staticmethod
    def _contents(blocks: dict[int, dict[str, Any]]) -> Iterator[bytes]:
        for index, block in blocks.items():
            kind, start = block["type"], dict(block)
            delta: dict[str, Any] = {}
            if kind == "text":
                start["text"], delta = "", {"type": "text_delta", "text": block["text"]}
            elif kind == "thinking":
                start["thinking"], delta = "", {"type": "thinking_delta", "thinking": block["thinking"]}
            elif kind in ("tool_use", "server_tool_use"):
                start["input"], delta = {}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
            yield event({"type": "content_block_start", "index": index, "content_block": start}, "content_block_start")
            if delta:
                yield event({"type": "content_block_delta", "index": index, "delta": delta}, "content_block_delta")
            yield event({"type": "content_block_stop", "index": index}, "content_block_stop")

    def close(self) -> None:
        self._raw.clear()


_BLOCK = ("content_block_start", "content_block_delta", "content_block_stop")
_ANTHROPIC = ("message_start", "message_delta", "message_stop", "ping", "error", *_BLOCK)


def _blocks(told: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """The content of a message, from its events."""
    blocks: dict[int, dict[str, Any]] = {}
    inputs: dict[int, str] = {}
    for it in told:
        if it["type"] == "content_block_start":
            blocks[it["index"]] = dict(it["content_block"])
        elif it["type"] == "content_block_delta":
            block, delta = blocks[it["index"]], it["delta"]
            if delta["type"] == "text_delta":
                block["text"] = block.get("text", "") + delta["text"]
            elif delta["type"] == "thinking_delta":
                block["thinking"] = block.get("thinking", "") + delta["thinking"]
            elif delta["type"] == "signature_delta":
                block["signature"] = delta["signature"]
            elif delta["type"] == "input_json_delta":
                inputs[it["index"]] = inputs.get(it["index"], "") + delta["partial_json"]
            else:
                raise UNREADABLE
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text or "{}")
    return blocks


def tool_result(call: Call, parts: list[Any]) -> list[Any]:
    """The parts of an MCP tool's result, with placeholders."""
    texts = [{"type": "text", "text": "\n".join(words(plain(part)))} for part in parts]
    verdict = call.guard.check([{"role": "tool", "content": texts}])
    call.heard(verdict)
    if let_through(verdict):
        return parts
    shown = list(parts)
    for redaction in verdict.redactions:
        at = redaction.part or 0
        if not isinstance(getattr(shown[at], "text", None), str):
            raise Blocked(verdict)
        shown[at] = shown[at].model_copy(update={"text": redaction.text})
    return shown


def texts(call: Call, inputs: Any, input_type: str) -> Any:
    """Texts and tool calls without a conversation, judged as one message."""
    said: list[str] = list(inputs.get("texts") or ())
    tools = [plain(it) for it in inputs.get("tool_calls") or ()]
    if not said and not tools:
        return inputs
    role = "user" if input_type == "request" else "assistant"
    parts = [{"type": "text", "text": text} for text in said]
    message: dict[str, Any] = {"role": role, "content": parts}
    if tools and role == "assistant":
        message["tool_calls"] = tools
    elif tools:
        parts += [{"type": "text", "text": "\n".join(words(it))} for it in tools]
    verdict = call.guard.check([message])
    call.heard(verdict)
    if let_through(verdict):
        return inputs
    for redaction in verdict.redactions:
        if redaction.field != "content" or redaction.part is None or redaction.part >= len(said):
            raise Blocked(verdict)
        said[redaction.part] = redaction.text
    return {**inputs, "texts": said}
