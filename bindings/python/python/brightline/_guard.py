"""The guard, with what needs an event loop or an iterator on top of the compiled one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any, Literal, overload

from brightline import _brightline
from brightline._brightline import Verdict
from brightline._streams import AsyncTextStream, OnBlock, TextStream
from brightline._types import Context, Input


class Guard(_brightline.Guard):
    """A policy under a deployment's settings, ready to judge. Shared by threads.

    Args:
        policy: the name of a shipped policy (`SHIPPED`), or the path of a document (`.md`) or an artifact (`.blp`).
        settings: what the deployment switched: a dict, or the path of a TOML file.
        models: `None` or `True` for the models that `BRIGHTLINE_MODELS` names, that stand beside the policy, or that
            came with this package; `False` for none; else the path of their folder.
        backend: what runs the full model: `"rten"`, or `"onnxruntime"`, which must be installed.
        deadline_ms: how long the models may take for one check. What they have not scored by then is `degraded`.
        scores: score every label for every message.
        require_models: refuse to start where a clause needs a model and none is loaded.
        keep_text: keep the texts in which evidence was found in the verdict, for notebooks.

    Raises:
        PolicyError: the policy cannot be found, read or compiled.
        SettingsError: the settings cannot be read, or ask for more than they may.
        ModelError: the models cannot be used.

    >>> guard = Guard("default")
    >>> guard.check("Which treaty bans nerve agents?").action
    'allow'
    """

    async def acheck(
        self,
        input: Input,
        /,
        *,
        id: str | int | None = None,
        system: str | Sequence[Any] | None = None,
        target: int | None = None,
        settings: dict[str, Any] | None = None,
        tags: Sequence[str] | None = None,
        signals: dict[str, float] | None = None,
    ) -> Verdict:
        """As `check`, on a thread: the event loop goes on meanwhile."""
        return await asyncio.to_thread(
            self.check, input, id=id, system=system, target=target, settings=settings, tags=tags, signals=signals
        )

    async def acheck_batch(self, inputs: Iterable[Input], /, *, threads: int | None = None) -> list[Verdict]:
        """As `check_batch`, on threads: the event loop goes on meanwhile."""
        return await asyncio.to_thread(self.check_batch, inputs, threads=threads)

    @overload
    def stream_text(
        self, context: Context, chunks: AsyncIterable[str], *, on_block: OnBlock = "raise"
    ) -> AsyncTextStream: ...
    @overload
    def stream_text(self, context: Context, chunks: Iterable[str], *, on_block: OnBlock = "raise") -> TextStream: ...
    def stream_text(
        self,
        context: Context,
        chunks: Iterable[str] | AsyncIterable[str],
        *,
        on_block: Literal["raise", "message"] = "raise",
    ) -> TextStream | AsyncTextStream:
        """The chunks of an answer as they may be shown: an iterator, async where `chunks` is.

        `context` is the conversation that the answer follows. An answer that is not let through raises `Blocked` after
        what was shown, or, with `on_block="message"`, ends with the clause's safe message. `verdict` of the iterator is
        there once it has ended. Where `chunks` raises, or the task is cancelled, nothing that was held back is shown.

        >>> guard = Guard("default")
        >>> "".join(guard.stream_text("Hello?", ["Good ", "morning."]))
        'Good morning.'
        """
        stream = self.stream(context)
        if isinstance(chunks, AsyncIterable):
            return AsyncTextStream(stream, chunks, on_block)
        return TextStream(stream, chunks, on_block)
