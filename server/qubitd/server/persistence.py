"""Work whose end must be seen: though whoever asked for it hung up, and though it ends badly."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

Result = TypeVar("Result")


async def to_the_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Do something to its end and give what it gives; if the caller is cancelled meanwhile, the work goes on alone."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(_take_as_read)
    return await asyncio.shield(task)


def durable(write: Future[Result]) -> asyncio.Future[Result]:
    """Give a write of the store as something to await; if the caller is cancelled meanwhile, the write goes on."""
    return asyncio.shield(asyncio.wrap_future(write))


async def settled(work: Coroutine[Any, Any, Result]) -> asyncio.Future[Result]:
    """Do something and give it back ended, well or badly; if the caller is cancelled meanwhile, so is the work."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        raise
    return task


def _take_as_read(task: asyncio.Future[Any]) -> None:
    """An error that nobody waits for any more was for the caller alone: a conflict, a key used twice."""
    if not task.cancelled():
        task.exception()
