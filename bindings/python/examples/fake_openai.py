"""A model that says what it is told to, behind the real `openai` client: nothing leaves the process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

import httpx2
import openai


class FakeModel:
    """Answers chat completions and responses with a text or a tool call, streamed in pieces where asked.

    `others` are the texts of further choices.
    """

    def __init__(
        self, text: str = "", *, others: Sequence[str] = (), tool: tuple[str, str] | None = None, piece: int = 5
    ) -> None:
        self.text, self.others, self.tool, self.piece = text, others, tool, piece
        self.requests: list[dict[str, Any]] = []

    def client(self) -> openai.OpenAI:
        """A client whose requests end here."""
        transport = httpx2.MockTransport(self._answer)
        return openai.OpenAI(api_key="none", base_url="http://fake/v1", http_client=httpx2.Client(transport=transport))

    def async_client(self) -> openai.AsyncOpenAI:
        """The same, async."""
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(self._answer))
        return openai.AsyncOpenAI(api_key="none", base_url="http://fake/v1", http_client=http)

    def reply(self, path: str, body: dict[str, Any]) -> tuple[str, str]:
        """The content type and the text of the answer to a request."""
        self.requests.append(body)
        chat = path.endswith("/chat/completions")
        if not body.get("stream"):
            return "application/json", json.dumps(self._completion() if chat else self._response())
        events = self._chunks() if chat else self._events()
        text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + ("data: [DONE]\n\n" if chat else "")
        return "text/event-stream", text

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        kind, text = self.reply(request.url.path, json.loads(request.content))
        return httpx2.Response(200, text=text, headers={"content-type": kind})

    def _pieces(self, text: str) -> Iterator[str]:
        for at in range(0, len(text), self.piece):
            yield text[at : at + self.piece]

    def _completion(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.tool:
            function = {"name": self.tool[0], "arguments": self.tool[1]}
            message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
        messages = [message, *({"role": "assistant", "content": text} for text in self.others)]
        choices = [{"index": at, "finish_reason": "stop", "message": message} for at, message in enumerate(messages)]
        return {"id": "x", "object": "chat.completion", "created": 0, "model": "fake", "choices": choices}

    def _chunks(self) -> Iterator[dict[str, Any]]:
        def chunk(delta: dict[str, Any], finish: str | None = None, at: int = 0) -> dict[str, Any]:
            choice = {"index": at, "delta": delta, "finish_reason": finish}
            return {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "fake", "choices": [choice]}

        yield chunk({"role": "assistant", "content": ""})
        texts = (self.text, *self.others)
        for pieces in zip_longest(*map(self._pieces, texts)):
            for at, piece in enumerate(pieces):
                if piece is not None:
                    yield chunk({"content": piece}, at=at)
        for at in range(1, len(texts)):
            yield chunk({}, "stop", at)
        if self.tool:
            call = {"index": 0, "id": "c1", "type": "function", "function": {"name": self.tool[0], "arguments": ""}}
            yield chunk({"tool_calls": [call]})
            for piece in self._pieces(self.tool[1]):
                yield chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield chunk({}, "tool_calls" if self.tool else "stop")

    def _item(self) -> dict[str, Any]:
        if self.tool:
            head = {"type": "function_call", "id": "f1", "call_id": "c1", "status": "completed"}
            return head | {"name": self.tool[0], "arguments": self.tool[1]}
        part = {"type": "output_text", "text": self.text, "annotations": []}
        return {"type": "message", "id": "m1", "role": "assistant", "status": "completed", "content": [part]}

    def _response(self) -> dict[str, Any]:
        head = {"id": "r", "object": "response", "created_at": 0, "model": "fake", "status": "completed"}
        options = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}
        return head | options | {"output": [self._item()]}

    def _events(self) -> Iterator[dict[str, Any]]:
        item, numbers = self._item(), iter(range(10_000))

        def event(kind: str, **fields: Any) -> dict[str, Any]:
            return {"type": f"response.{kind}", "sequence_number": next(numbers), **fields}

        empty: dict[str, Any] = {"arguments": ""} if self.tool else {"content": []}
        yield event("created", response={**self._response(), "output": []})
        yield event("output_item.added", output_index=0, item={**item, **empty})
        place: dict[str, Any] = {"output_index": 0, "item_id": item["id"]}
        if self.tool:
            for piece in self._pieces(self.tool[1]):
                yield event("function_call_arguments.delta", **place, delta=piece)
            yield event("function_call_arguments.done", **place, name=self.tool[0], arguments=self.tool[1])
        else:
            place["content_index"] = 0
            yield event("content_part.added", **place, part={**item["content"][0], "text": ""})
            for piece in self._pieces(self.text):
                yield event("output_text.delta", **place, delta=piece, logprobs=[])
            yield event("output_text.done", **place, text=self.text, logprobs=[])
            yield event("content_part.done", **place, part=item["content"][0])
        yield event("output_item.done", output_index=0, item=item)
        yield event("completed", response=self._response())
