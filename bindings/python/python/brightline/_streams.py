"""Iterators that judge the chunks of an answer while they arrive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from typing import Literal

from brightline._brightline import End, Stream, Verdict
from brightline._errors import Blocked

OnBlock = Literal["raise", "message"]


class _Outcome:
    """What both iterators have in common: the verdict, and what takes the place of a blocked answer."""

    verdict: Verdict | None = None
    """The verdict; `None` until the stream has ended."""

    def __init__(self, stream: Stream, on_block: OnBlock) -> None:
        if on_block not in ("raise", "message"):
            raise ValueError(f"`on_block` is `{on_block}`; known are raise and message")
        self._stream = stream
        self._on_block = on_block

    def _last(self, end: End) -> Iterator[str]:
        """The last text, and what stands for the text that is not shown."""
        self.verdict = end.verdict
        if end.text:
            yield end.text
        if end.verdict.action in ("revise", "escalate", "block"):
            if self._on_block == "raise":
                raise Blocked(end.verdict)
            if end.verdict.message:
                yield end.verdict.message


class TextStream(_Outcome, Iterator[str]):
    """An iterator over the text that may be shown."""

    def __init__(self, stream: Stream, chunks: Iterable[str], on_block: OnBlock = "raise") -> None:
        super().__init__(stream, on_block)
        self._texts = self._run(chunks)

    def __next__(self) -> str:
        return next(self._texts)

    def close(self) -> None:
        """Ends the stream; what was held back is dropped."""
        self._texts.close()
        self._stream.close()

    def _run(self, chunks: Iterable[str]) -> Generator[str, None, None]:
        try:
            for chunk in chunks:
                step = self._stream.push(chunk)
                if step.text:
                    yield step.text
                if step.stopped:
                    break
            yield from self._last(self._stream.finish())
        finally:
            self._stream.close()
            close = getattr(chunks, "close", None)
            if close is not None:
                close()


class AsyncTextStream(_Outcome, AsyncIterator[str]):
    """An async iterator over the text that may be shown. The work is done on threads."""

    def __init__(self, stream: Stream, chunks: AsyncIterable[str], on_block: OnBlock = "raise") -> None:
        super().__init__(stream, on_block)
        self._texts = self._run(chunks)

    async def __anext__(self) -> str:
        return await anext(self._texts)

    async def aclose(self) -> None:
        """Ends the stream; what was held back is dropped."""
        await self._texts.aclose()
        self._stream.close()

    async def _run(self, chunks: AsyncIterable[str]) -> AsyncGenerator[str, None]:
        try:
            async for chunk in chunks:
                step = await asyncio.to_thread(self._stream.push, chunk)
                if step.text:
                    yield step.text
                if step.stopped:
                    break
            for text in self._last(await asyncio.to_thread(self._stream.finish)):
                yield text
        finally:
            self._stream.close()
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()
