"""An exchange of the chat completions API as plain values: its request, its answer, and its chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from brightline._brightline import End, Step, Stream, Verdict
from brightline._errors import Blocked
from brightline._guard import Guard
from brightline.integrations._messages import let_through, new, plain, redact, words

Heard = Callable[[Verdict], None]

STOPS = ("revise", "escalate", "block")


class Exchange:
    """One request and what is answered to it.

    Args:
        guard: what judges.
        messages: the conversation that the request holds.
        heard: told of every verdict.
        context: what the guard takes beside messages: `system`, `settings`, `tags`, `signals`.
    """

    def __init__(
        self, guard: Guard, messages: Sequence[Any], heard: Heard = lambda verdict: None, **context: Any
    ) -> None:
        self.guard, self.heard, self.context = guard, heard, context
        self.messages: list[Any] = [plain(message) for message in messages]

    def request(self) -> bool:
        """Judges what is new in the request. Says whether something was redacted in `messages`.

        Raises:
            Blocked: the request may not be sent.
        """
        redacted = False
        for at in new(self.messages):
            verdict = self.check(self.messages, target=at)
            if not let_through(verdict):
                self.messages[at] = redact(self.messages[at], verdict)
                redacted = True
        return redacted

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message of the model as it may be shown: the same one where nothing is redacted.

        Fields that are no part of the API's messages are judged by the words in them, and left out where those do not
        pass.

        Raises:
            Blocked: it may not be shown.
        """
        shown = message if isinstance(message.get("reasoning_content"), str) else _with_reasoning(message)
        verdict = self.check([*self.messages, {key: shown[key] for key in _MESSAGE if key in shown}])
        if not let_through(verdict):
            shown = redact(shown, verdict)
            if "reasoning" in message and "reasoning_content" in shown:
                shown["reasoning"] = shown["reasoning_content"]
            if "reasoning_content" not in message:
                shown.pop("reasoning_content", None)
            message = shown
        self._aside(message.get("content"))
        return self.known(message, _MESSAGE)

    def _aside(self, content: Any) -> None:
        """Judges what blocks hold beside the texts that the core reads: citations, results of the provider's tools."""
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        read = [_BLOCKS.get(block.get("type"), ()) for block in blocks]
        aside = [
            {key: block[key] for key in block if key not in keys} for block, keys in zip(blocks, read, strict=True)
        ]
        text = "\n".join(words(aside))
        if text:
            verdict = self.check([*self.messages, {"role": "assistant", "content": text}])
            if not verdict.passes:
                raise Blocked(verdict)

    def known(self, value: dict[str, Any], fields: Sequence[str]) -> dict[str, Any]:
        """The value without those of its other fields whose words do not pass."""
        for name in [name for name in value if name not in fields]:
            text = "\n".join(words(value[name]))
            if text and not self.check([*self.messages, {"role": "assistant", "content": text}]).passes:
                value = {key: item for key, item in value.items() if key != name}
        return value

    def stream(self) -> Stream:
        """A stream for one choice."""
        return self.guard.stream(self.messages, **self.context)

    def check(self, messages: list[Any], target: int | None = None) -> Verdict:
        """Judges one message under the context of the exchange."""
        verdict = self.guard.check(messages, target=target, **self.context)
        self.heard(verdict)
        return verdict


# What of a block the core reads, and what has no words.
_BLOCKS: dict[Any, tuple[str, ...]] = {
    None: ("text",),
    "text": ("text",),
    "output_text": ("text",),
    "refusal": ("refusal",),
    "thinking": ("thinking", "signature"),
    "reasoning": ("text",),
    "tool_use": ("name", "input"),
    "server_tool_use": ("name", "input"),
}
# What of a message the core reads.
_MESSAGE = ("role", "content", "refusal", "reasoning_content", "tool_calls", "function_call")


def _with_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    text = message.get("reasoning")
    return {**message, "reasoning_content": text} if isinstance(text, str) else message


class _Choice:
    """One choice while it arrives."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.fields = {"text": "content", "reasoning": "reasoning_content"}
        self.calls: dict[int, dict[str, Any]] = {}
        self.ended = False
        self.refused = False


# The text fields of a delta, and their channels.
_TEXTS = (("reasoning_content", "reasoning"), ("reasoning", "reasoning"), ("refusal", "text"), ("content", "text"))
# The index of a `function_call`, which came before there were several.
_FUNCTION_CALL = 2**32 - 1


class Chunks:
    """A streamed completion while it arrives; each choice is judged by a stream of its own.

    Text comes as soon as no decision on it can change, and a tool call, its name included, once its arguments are
    complete. Of the fields of a delta only those pass that are judged; `logprobs` would repeat the text and do not.

    Args:
        exchange: the exchange that the chunks belong to.
        refuse: the field that takes the clause's message where a choice is not let through. The choice ends with the
            finish reason `content_filter`, the others go on. Where it is left out `Blocked` is raised.
        choices: how many choices were asked for.
    """

    def __init__(self, exchange: Exchange, *, refuse: str | None = None, choices: int = 1) -> None:
        self._exchange, self._refuse, self._expected = exchange, refuse, choices
        self._choices: dict[int, _Choice] = {}

    @property
    def done(self) -> bool:
        """Whether every choice was refused, so that nothing more is worth waiting for."""
        return len(self._choices) >= self._expected and all(choice.refused for choice in self._choices.values())

    @property
    def complete(self) -> bool:
        """Whether choices have begun, and all of them have ended."""
        return bool(self._choices) and all(choice.ended for choice in self._choices.values())

    def close(self) -> None:
        """Drops what is held back."""
        for choice in self._choices.values():
            choice.stream.close()

    def end(self) -> None:
        """The source has ended. Of a choice without a finish reason, what was held back is dropped.

        Raises:
            Blocked: what arrived of such a choice is not let through.
        """
        for choice in self._choices.values():
            if not choice.ended:
                choice.ended = True
                self._verdict(choice, choice.stream.finish())

    def rest(self) -> list[dict[str, Any]]:
        """The source has said that it is done: the ends of the choices that had no finish reason.

        Raises:
            Blocked: a choice is not let through, and it is not to be refused.
        """
        parts = ({"index": at, "finish_reason": "stop"} for at, choice in self._choices.items() if not choice.ended)
        return [choice for choice in map(self._take, list(parts)) if choice is not None]

    def take(self, chunk: dict[str, Any]) -> dict[str, Any]:
        """The chunk with what may be shown of it; without choices where that is nothing.

        Raises:
            Blocked: a choice is not let through, and it is not to be refused.
        """
        shown = (self._take(choice) for choice in chunk.get("choices") or ())
        return {**chunk, "choices": [choice for choice in shown if choice is not None]}

    def _take(self, part: dict[str, Any]) -> dict[str, Any] | None:
        at = part.get("index") or 0
        choice = self._choices.get(at)
        if choice is None:
            choice = self._choices[at] = _Choice(self._exchange.stream())
        if choice.ended:
            return None
        delta: dict[str, Any] = part.get("delta") or {}
        shown: dict[str, Any] = {"role": delta["role"]} if delta.get("role") else {}
        out: dict[str, Any] = {
            "index": at,
            "delta": shown,
            "logprobs": None,
            "finish_reason": part.get("finish_reason"),
        }
        stopped = self._push(choice, delta, shown)
        if stopped or out["finish_reason"] is not None:
            self._end(choice, out)
        elif not shown:
            return None
        return out

    def _push(self, choice: _Choice, delta: dict[str, Any], shown: dict[str, Any]) -> bool:
        """Gives what a delta holds to the stream; says whether that ended it."""
        told: set[str] = set()
        for name, channel in _TEXTS:
            text = delta.get(name)
            # Some models send their reasoning under both names.
            if not isinstance(text, str) or (channel == "reasoning" and channel in told):
                continue
            told.add(channel)
            if text:
                choice.fields[channel] = name
            if name == "content" and not text and "role" in shown:
                shown["content"] = ""
            if self._show(choice, choice.stream.push(text, channel), shown):  # type: ignore[arg-type]
                return True
        older = delta.get("function_call")
        calls: list[Any] = list(delta.get("tool_calls") or ())
        if older:
            calls.append({"index": _FUNCTION_CALL, "function": older})
        for call in calls:
            function = call.get("function") or {}
            index, name = call.get("index") or 0, function.get("name") or ""
            known = choice.calls.setdefault(index, {"name": "", "shown": False})
            known["name"] += name
            known.update({key: call[key] for key in ("id", "type") if call.get(key)})
            choice.stream.tool_call(index, name)
            if self._show(choice, choice.stream.push(function.get("arguments") or "", index), shown):
                return True
        return False

    def _end(self, choice: _Choice, out: dict[str, Any]) -> None:
        choice.ended = True
        end = choice.stream.finish()
        self._show(choice, end, out["delta"])
        message = self._verdict(choice, end)
        if message is not None:
            choice.refused = True
            field = self._refuse or "refusal"
            out["delta"][field] = (out["delta"].get(field) or "") + message
            out["finish_reason"] = "content_filter"
            return
        for index, call in choice.calls.items():
            if not call["shown"]:
                self._call(choice, index, "", out["delta"])

    def _verdict(self, choice: _Choice, end: End) -> str | None:
        """The message that stands for an answer which is not let through."""
        self._exchange.heard(end.verdict)
        if end.verdict.action not in STOPS:
            return None
        if self._refuse is None:
            raise Blocked(end.verdict)
        return str(Blocked(end.verdict))

    def _show(self, choice: _Choice, step: Step | End, delta: dict[str, Any]) -> bool:
        for channel, text in step.released:
            if isinstance(channel, int):
                self._call(choice, channel, text, delta)
            else:
                name = choice.fields[channel]
                delta[name] = (delta.get(name) or "") + text
        return step.stopped

    @staticmethod
    def _call(choice: _Choice, index: int, arguments: str, delta: dict[str, Any]) -> None:
        call = choice.calls[index]
        head: dict[str, Any] = {}
        name: dict[str, Any] = {}
        if not call["shown"]:
            head = {key: call[key] for key in ("id", "type") if key in call}
            name = {"name": call["name"]}
            call["shown"] = True
        if index == _FUNCTION_CALL:
            delta["function_call"] = {**name, "arguments": arguments}
        else:
            whole = {"index": index, **head, "function": {**name, "arguments": arguments}}
            delta.setdefault("tool_calls", []).append(whole)
