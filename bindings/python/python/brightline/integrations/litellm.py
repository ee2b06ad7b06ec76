"""A guardrail for the LiteLLM proxy, and for programs that call LiteLLM.

    guardrails:
      - guardrail_name: brightline
        litellm_params:
          guardrail: brightline.integrations.litellm.BrightlineGuardrail
          mode: [pre_call, post_call]
          default_on: true
          policy: default

What each mode does:

- `pre_call` judges the messages after the model's last answer, results of tools included. What is redacted reaches the
  model with placeholders.
- `during_call` judges the same beside the call. It cannot change what was sent, so what would be redacted is rejected.
- `post_call` judges every choice, whole or while it is streamed, tool calls included.
- `logging_only` judges both, records the verdicts, and changes nothing.
- `pre_mcp_call`, `during_mcp_call` and `post_mcp_call` judge calls of MCP tools and their results.

Chat completions, text completions, responses and Anthropic's messages are judged message by message; of other calls,
the texts that are sent and that come back. Of a stream in Anthropic's form nothing is sent on before its end. A call or
an answer with nothing that can be read is rejected, unless `on_unreadable="pass"`.

Every run is in the guardrail information of LiteLLM's logs, with the action and the clauses and no text of messages.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import time
from collections.abc import AsyncGenerator, Collection, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from litellm.exceptions import GuardrailRaisedException
from litellm.integrations.custom_guardrail import CustomGuardrail
from litellm.types.guardrails import GuardrailEventHooks as Mode
from litellm.types.guardrails import LitellmParams

from brightline._brightline import Verdict
from brightline._errors import Blocked, BrightlineError, InputError
from brightline._guard import Guard
from brightline.integrations import _litellm as calls
from brightline.integrations._answers import Failure
from brightline.integrations._messages import clauses, strictest

if not hasattr(CustomGuardrail, "use_native_lifecycle_hooks"):
    raise ImportError("brightline needs litellm 1.106 or newer")

_MCP = {Mode.pre_call: Mode.pre_mcp_call, Mode.during_call: Mode.during_mcp_call}


class BrightlineGuardrail(CustomGuardrail):
    """A guard as a guardrail of LiteLLM. `litellm_params` are its keywords.

    Args:
        policy: as for `Guard`; so are `settings`, `models`, `backend`, `deadline_ms` and `require_models`.
        guard: a guard that is there already, in place of these.
        on_block: `"error"` rejects with status 400, the clause's message and the ids of the clauses. `"message"`
            answers with the message, where LiteLLM can: not for MCP, and of streams only for completions.
        on_unreadable: `"reject"` calls and answers that cannot be read, or `"pass"` them; their record says `not_run`.
        options: what `CustomGuardrail` takes, such as `guardrail_name`, `event_hook` and `default_on`.

    Raises:
        BrightlineError: an argument is not known, or there can be no such guard. The proxy does not start then.
    """

    use_native_lifecycle_hooks: ClassVar[bool] = True
    records_own_guardrail_information: ClassVar[bool] = True

    def __init__(
        self,
        *,
        policy: str = "default",
        settings: dict[str, Any] | str | None = None,
        models: bool | str | None = None,
        backend: Literal["rten", "onnxruntime"] = "rten",
        deadline_ms: float | None = None,
        require_models: bool = False,
        guard: Guard | None = None,
        on_block: Literal["error", "message"] = "error",
        on_unreadable: Literal["reject", "pass"] = "reject",
        guardrail_name: str = "brightline",
        **options: Any,
    ) -> None:
        self.answers, self.passes = on_block == "message", on_unreadable == "pass"
        made = {"models": models, "backend": backend, "deadline_ms": deadline_ms, "require_models": require_models}
        options["supported_event_hooks"] = self.get_supported_event_hooks()
        try:
            _known("on_block", on_block, ("error", "message"))
            _known("on_unreadable", on_unreadable, ("reject", "pass"))
            for name in options:
                _known("litellm_params", name, _OPTIONS)
            self.guard = guard or Guard(policy, settings=settings, **made)  # type: ignore[arg-type]
            super().__init__(guardrail_name=guardrail_name, **options)
        except (ValueError, TypeError) as error:
            # After either of these LiteLLM would start without the guardrail.
            raise BrightlineError(str(error)) from error

    @classmethod
    def get_supported_event_hooks(cls) -> list[Mode]:
        """The modes that are known."""
        return [mode for mode in Mode if mode is not Mode.realtime_input_transcription]

    async def async_pre_call_hook(
        self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any
    ) -> dict[str, Any]:
        """`pre_call` and `pre_mcp_call`."""
        # What such a run returns is not used.
        changes = not (self.run_in_parallel or self.scan_raw_request)
        await self._request(data, call_type, Mode.pre_call, changes)
        return data

    async def async_moderation_hook(self, data: dict[str, Any], user_api_key_dict: Any, call_type: Any) -> None:
        """`during_call` and `during_mcp_call`."""
        await self._request(data, call_type, Mode.during_call, False)

    async def _request(self, data: dict[str, Any], call_type: Any, mode: Mode, changes: bool) -> None:
        mcp = calls.name_of(call_type) in calls.MCP
        with _Run(self, data, _MCP[mode] if mcp else mode, changes=changes) as run, run.judging(answers=not mcp):
            await asyncio.to_thread(calls.request, run.call, call_type)

    async def async_post_call_success_hook(self, data: dict[str, Any], user_api_key_dict: Any, response: Any) -> Any:
        """`post_call` of a whole answer."""
        with _Run(self, data, Mode.post_call, changes=not self.run_in_parallel) as run, run.judging(response):
            return await asyncio.to_thread(calls.answer, run.call, response)
        return response

    async def async_post_call_streaming_iterator_hook(
        self, user_api_key_dict: Any, response: Any, request_data: dict[str, Any]
    ) -> AsyncGenerator[Any, None]:
        """`post_call` of a stream: yields what may be shown."""
        stream: Any = None
        with _Run(self, request_data, Mode.post_call) as run:
            try:
                async for chunk in response:
                    with run.judging(answers=False, passes=stream is None):
                        stream = stream or calls.stream(run.call, chunk, self.answers)
                        shown = await asyncio.to_thread(list, stream.take(chunk))
                    if run.unread:
                        shown = [chunk]
                    for out in shown:
                        yield out
                    if stream is not None and stream.done:
                        return
                if stream is not None:
                    shown = []
                    with run.judging(answers=False, passes=False):
                        shown = await asyncio.to_thread(list, stream.end())
                    for out in shown:
                        yield out
            finally:
                if stream is not None:
                    stream.close()

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any] | None:
        """In a program that calls `litellm.acompletion`, beside no proxy.

        Raises:
            Exception: a stream is asked for that LiteLLM would not bring here.
        """
        if not kwargs.get("proxy_server_request"):
            if self.default_on and not kwargs.get("guardrails"):
                kwargs["guardrails"] = [self.guardrail_name]
            if kwargs.get("stream") and self.should_run_guardrail(data=kwargs, event_type=Mode.post_call) is True:
                message = "a stream can only be judged in the proxy of LiteLLM"
                raise _rejection(self.guardrail_name, message, {"code": "not_judged"})
        result: dict[str, Any] | None = await super().async_pre_call_deployment_hook(kwargs, call_type)
        return result

    async def async_logging_hook(
        self, kwargs: dict[str, Any], result: Any, call_type: str
    ) -> tuple[dict[str, Any], Any]:
        """`logging_only`, of async calls."""
        return await asyncio.to_thread(self.logging_hook, kwargs, result, call_type)

    def logging_hook(self, kwargs: dict[str, Any], result: Any, call_type: str) -> tuple[dict[str, Any], Any]:
        """`logging_only`: the verdicts are added to what is logged, and nothing else is changed."""
        logged = kwargs.get("standard_logging_object")
        if not self._event_hook_is_event_type(Mode.logging_only) or not isinstance(logged, dict):
            return kwargs, result
        names = ("async_complete_streaming_response", "complete_streaming_response")
        whole = next((kwargs[name] for name in names if kwargs.get(name)), result)
        said = {name: kwargs[name] for name in ("messages", "input") if kwargs.get(name)}
        data: dict[str, Any] = {**copy.deepcopy(said), "metadata": {}}
        for judge, value in ((calls.request, call_type), (calls.answer, copy.deepcopy(whole))):
            try:
                with _Run(self, data, Mode.logging_only) as run, run.judging():
                    judge(run.call, value)
            except Exception:
                # The record says it.
                continue
        ran = data["metadata"].get("standard_logging_guardrail_information", [])
        logged = {**logged, "guardrail_information": [*(logged.get("guardrail_information") or ()), *ran]}
        return {**kwargs, "standard_logging_object": logged}, result

    async def async_post_mcp_tool_call_hook(
        self, kwargs: dict[str, Any], response_obj: Any, start_time: Any, end_time: Any
    ) -> Any:
        """`post_mcp_call`. LiteLLM goes on after an error here, so what does not pass is replaced by the message."""
        from mcp.types import TextContent

        metadata = (kwargs.get("litellm_params") or {}).get("metadata") or kwargs.get("metadata") or {}
        data = {**kwargs, "metadata": metadata}
        if self.should_run_guardrail(data=data, event_type=Mode.post_mcp_call) is not True:
            return None
        parts = response_obj.mcp_tool_call_response
        try:
            with _Run(self, data, Mode.post_mcp_call) as run:
                shown = await asyncio.to_thread(calls.tool_result, run.call, parts)
        except Blocked as blocked:
            shown = [TextContent(type="text", text=str(blocked))]
        except Exception:
            shown = [TextContent(type="text", text="the result of the tool could not be judged")]
        response_obj.mcp_tool_call_response = shown
        return response_obj

    async def apply_guardrail(
        self,
        inputs: Any,
        request_data: dict[str, Any],
        input_type: Literal["request", "response"],
        logging_obj: Any = None,
    ) -> Any:
        """Texts and tool calls by themselves, for LiteLLM's own endpoints."""
        mode = Mode.pre_call if input_type == "request" else Mode.post_call
        with _Run(self, request_data, mode) as run, run.judging():
            return await asyncio.to_thread(calls.texts, run.call, inputs, input_type)
        return inputs


_OPTIONS = (*LitellmParams.model_fields, *inspect.signature(CustomGuardrail.__init__).parameters)


def _known(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        more = f"; known are {' and '.join(known)}" if len(known) < 5 else ""
        raise ValueError(f"`{value}` is not known in `{name}`{more}")


class _Run:
    """One run of the guardrail, and its record."""

    def __init__(
        self, guardrail: BrightlineGuardrail, data: dict[str, Any], mode: Mode, *, changes: bool = True
    ) -> None:
        self.guardrail, self.data, self.mode = guardrail, data, mode
        self.verdicts: list[Verdict] = []
        self.call = calls.Call(guardrail.guard, data, self.verdicts.append, changes=changes)
        self.unread = False
        self.failed = False

    def __enter__(self) -> _Run:
        self.started = time.time()
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        action = strictest(self.verdicts)
        status = {"allow": "success", "flag": "guardrail_flagged"}.get(action, "guardrail_intervened")
        if self.failed:
            status = "guardrail_failed_to_respond"
        elif self.unread or not self.verdicts:
            status = "not_run"
        found = list(dict.fromkeys(clause for verdict in self.verdicts for clause in clauses(verdict)))
        policy, name = self.guardrail.guard.policy, self.guardrail.guardrail_name
        if status != "not_run" and self.mode is not Mode.logging_only:
            _applied(self.data, name)
        ended = time.time()
        self.guardrail.add_standard_logging_guardrail_information_to_request_data(
            guardrail_json_response={"action": action, "clauses": found, "policy": policy.name, "hash": policy.hash},
            request_data=self.data,
            guardrail_status=status,  # type: ignore[arg-type]
            start_time=self.started,
            end_time=ended,
            duration=ended - self.started,
            guardrail_provider="brightline",
            event_type=self.mode,
        )

    @contextmanager
    def judging(self, response: Any = None, *, answers: bool = True, passes: bool = True) -> Iterator[None]:
        """Turns what is not let through into what LiteLLM expects.

        `answers` says that an answer can take its place, `passes` that what cannot be read can still go on as it is.
        """
        guardrail = self.guardrail
        try:
            yield
        except Blocked as blocked:
            detail = {"clauses": clauses(blocked.verdict), "action": blocked.verdict.action}
            if guardrail.answers and answers:
                guardrail.raise_passthrough_exception(str(blocked), self.data, detail, response)
            raise _rejection(guardrail.guardrail_name, str(blocked), detail) from None
        except (Failure, InputError) as error:
            if guardrail.passes and passes:
                self.unread = True
                return
            self.failed = True
            code = getattr(error, "code", "invalid_request")
            raise _rejection(guardrail.guardrail_name, str(error), {"code": code}) from None
        except Exception:
            self.failed = True
            raise


def _applied(data: dict[str, Any], name: str | None) -> None:
    """Names the guardrail in the header of the proxy's answer."""
    try:
        from litellm.proxy.common_utils.callback_utils import add_guardrail_to_applied_guardrails_header
    except ImportError:
        return
    add_guardrail_to_applied_guardrails_header(request_data=data, guardrail_name=name)


def _rejection(name: str | None, message: str, detail: dict[str, Any]) -> Exception:
    """As the proxy answers with status 400; where it is not installed, as LiteLLM's own exception."""
    try:
        from fastapi import HTTPException
    except ImportError:
        return GuardrailRaisedException(name, message, should_wrap_with_default_message=False, blocked_content=True)
    rejection: Exception = HTTPException(status_code=400, detail={"error": message, **detail})
    return rejection
