"""Nothing blocks the event loop."""

from __future__ import annotations

import asyncio
import time

import pytest

from brightline import Guard, InputError

BIG = "The quick brown fox jumps over the lazy dog, and ünder the bridge. " * (10 * 2**20 // 68)


async def test_other_tasks_go_on(guard: Guard) -> None:
    ticks, longest = 0, 0.0
    done = asyncio.Event()

    async def tick() -> None:
        nonlocal ticks, longest
        last = time.perf_counter()
        while not done.is_set():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last, ticks = max(longest, now - last), now, ticks + 1

    ticker = asyncio.create_task(tick())
    started = time.perf_counter()
    verdict = await guard.acheck({"request": BIG})
    took = time.perf_counter() - started
    done.set()
    await ticker
    assert verdict.scanned.bytes == len(BIG.encode())
    assert ticks > 10, (ticks, took)
    assert longest < max(0.25, took / 2), (longest, took)


async def test_many_at_once(house: Guard) -> None:
    verdicts = await asyncio.gather(*(house.acheck("the secret sauce recipe", id=at) for at in range(20)))
    assert [verdict.id for verdict in verdicts] == [str(at) for at in range(20)]
    assert len(await house.acheck_batch(["hello"] * 3)) == 3


async def test_errors_and_cancellation(house: Guard) -> None:
    with pytest.raises(InputError):
        await house.acheck([])
    task = asyncio.create_task(house.acheck(BIG))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
