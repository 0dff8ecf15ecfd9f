"""Keeps the pipe on which a handler tells the blocks of attention caches from filling up.

The handler writes to it when a session begins and when it ends, and waits where it is full; the process of the blocks reads it only when
it makes a step. So a hundred sessions that are left before their first step would stop the handler for ever. Here, after so many writes,
the handler makes a step of its own first, in a cache of one token that it keeps for that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import torch
from petals.data_structures import InferenceMetadata
from petals.utils.misc import DUMMY_INT64

MOST_UNREAD = 32
"""Blocks told of and not read yet. Of one, some 250 bytes are told; a pipe holds 64 KiB."""
FIRST = 0.0
"""The priority of a step that goes before all others."""


class CachePipe:
    """`backend` is a block that is hosted here, `timeout` in seconds how long it may take for one step."""

    def __init__(self, backend: Any, timeout: float) -> None:  # Any: petals has no types
        self._backend = backend
        self._timeout = timeout
        self._handles: tuple[Any, ...] = ()
        self._unread = 1
        self._one_at_a_time = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Keep the cache for its own steps."""
        descriptors = self._backend.get_inference_cache_descriptors(1, 1)
        async with self._backend.memory_cache.allocate_cache(*descriptors, timeout=0) as handles:
            self._handles = tuple(handles)
            yield

    @contextlib.asynccontextmanager
    async def room(self, blocks: int) -> AsyncIterator[None]:
        """Within, there is room for telling of the caches of so many blocks. Raises TimeoutError where the blocks do not answer."""
        async with self._one_at_a_time:
            if self._unread + blocks > MOST_UNREAD:
                await asyncio.wait_for(self._step(), self._timeout)
                self._unread = 0
            self._unread += blocks
            yield

    async def _step(self) -> None:
        backend = self._backend
        hidden = torch.zeros(1, 1, backend.config.hidden_size, dtype=backend.dtype)
        where = (InferenceMetadata(backend.name, 0, self._handles, ""),)
        await backend.inference_pool.submit_task(hidden, DUMMY_INT64, where, None, priority=FIRST)
