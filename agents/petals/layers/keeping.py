"""When layers are counted and kept: the agent's side of the cache, for as long as the agent runs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agents.parts.safetensors import BadSafetensors
from agents.parts.weights import BadWeights
from agents.petals.folder import BadFolder
from agents.petals.layers.cache import Cache

_log = structlog.get_logger()


@dataclass(slots=True)
class Keeping:
    """Safe from any thread. Nothing is counted before it is open; what cannot be kept is said to the operator, and nothing else fails."""

    folder: Path
    limit: int
    _cache: Cache | None = None
    _counted: bool = False
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        """Raises OSError."""
        self._cache = Cache(self.folder, self.limit)

    def count(self, prefix: str, start: int, end: int, tokens: int) -> None:
        """So many tokens went through layers `start` to `end`."""
        if self._cache is not None:
            self._cache.count(prefix, start, end, tokens)
            self._counted = True

    def keep(self, model: Path, prefix: str) -> None:
        """Bring in the layers of a model that were used most, where any were used since the last time. Takes as long as they are large."""
        if self._cache is None or not self._counted:
            return
        self._counted = False
        try:
            change = self._cache.keep(model, prefix, self._cancelled)
        except (BadFolder, BadSafetensors, BadWeights, OSError) as error:
            _log.warning("the layers in use are not kept", model=prefix, reason=str(error))
            return
        if change.brought or change.evicted:
            _log.info("layers are kept", brought=len(change.brought), evicted=len(change.evicted), bytes=change.size)

    def cancel(self) -> None:
        """End a copy in progress."""
        self._cancelled.set()

    def close(self) -> None:
        """Write down what was counted."""
        if self._cache is not None:
            try:
                self._cache.save()
            except OSError as error:
                _log.warning("how often layers were used is lost", reason=str(error))
