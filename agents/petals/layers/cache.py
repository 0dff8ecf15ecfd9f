"""The cache of layers: counts what is used, brings in the hottest layers and lets the coldest go. One process at a time writes it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from msgspec.structs import replace

from agents.petals.layers.choice import Candidate, choose, decayed
from agents.petals.layers.disk import remove, tidy, write_layer
from agents.petals.layers.index import ENTRIES, BadIndex, Entry, File, Key, files, read_index, write_index
from agents.petals.layers.source import Source
from agents.petals.llama import LAYERS
from bus.log.disk import make_folder
from bus.topic import RECIPE_PATTERN

FAINT = 0.001
"""Uses below which a layer that is not in the cache is forgotten."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """What `keep` did, in this order, and how many bytes are in the cache now."""

    brought: tuple[Key, ...]
    evicted: tuple[Key, ...]
    size: int


class Cache:
    """Layers below `folder`, of at most `limit` bytes together. Threads may share it. `clock` gives seconds since 1970.

    Raises OSError.
    """

    def __init__(self, folder: Path, limit: int, clock: Callable[[], float] = time.time) -> None:
        self._folder, self._limit, self._clock = folder, limit, clock
        self._lock = threading.Lock()  # around the entries
        self._writing = threading.Lock()  # around the files and the index
        make_folder(folder)
        self._entries = _restored(folder, clock())
        self._tidy()

    @property
    def size(self) -> int:
        """Bytes of the layers that are there."""
        return sum(file.size for file in self._files().values())

    def held(self, prefix: str) -> list[int]:
        """The layers of a model that are there."""
        return sorted(layer for model, layer in self._files() if model == prefix)

    def count(self, prefix: str, start: int, end: int, tokens: int) -> None:
        """So many tokens went through the layers from `start` to before `end` of a model. Raises ValueError."""
        if not re.match(RECIPE_PATTERN, prefix) or not 0 <= start < end <= LAYERS or tokens < 0:
            raise ValueError(f"{tokens} tokens through layers {start} to {end} of {prefix!r}: no model has such layers")
        now = self._clock()
        with self._lock:
            for layer in range(start, end):
                entry = self._entry((prefix, layer))
                self._entries[entry.key] = replace(entry, uses=_heat(entry, now) + tokens, used=now)

    def keep(self, folder: Path, prefix: str, cancelled: threading.Event) -> Change:
        """Bring in the hottest layers of the model in `folder` that are not there yet, and evict colder ones so that all fit in the limit.

        The files are never above the limit, and kept ones are whole after a kill at any moment. An end by `cancelled` or by an error
        leaves the layers that came before it. Raises BadFolder, BadSafetensors, BadWeights, OSError.
        """
        with self._writing:
            self._tidy()
            source = Source(folder)
            keep, evict = choose(self._candidates(source, prefix), self._limit)
            brought, evicted = list[Key](), list[Key]()
            for each in keep:
                if each.kept:
                    continue
                evicted += self._make_room(each.size, evict)
                if not self._bring(source, each, cancelled):
                    break
                brought.append((each.prefix, each.layer))
            evicted += self._make_room(0, evict)
            self._write()
            return Change(tuple(brought), tuple(evicted), self.size)

    def save(self) -> None:
        """Write down what was counted. Raises OSError."""
        with self._writing:
            self._write()

    def _candidates(self, source: Source, prefix: str) -> list[Candidate]:
        """All layers that are there, and those of the source."""
        now, entries = self._clock(), self._copied()
        sizes = {key: file.size for key, file in files(entries).items()}
        there = {layer for model, layer in sizes if model == prefix}
        coming = {(prefix, layer): source.size(layer) for layer in source.layers if layer not in there}
        heats = {key: _heat(entries[key], now) for key in entries}
        return [Candidate(*key, size, heats.get(key, 0.0), key in sizes) for key, size in (sizes | coming).items()]

    def _make_room(self, size: int, evict: list[Candidate]) -> list[Key]:
        """Evict the first of `evict`, as few as needed for so many bytes to fit in."""
        gone = []
        while evict and self.size + size > self._limit:
            each = evict.pop(0)
            key = each.prefix, each.layer
            remove(self._folder, key)
            self._put(key, None)
            gone.append(key)
        return gone

    def _bring(self, source: Source, each: Candidate, cancelled: threading.Event) -> bool:
        key = each.prefix, each.layer
        file = write_layer(self._folder, key, each.size, source.blocks(each.layer), cancelled)
        if file is not None:
            self._put(key, file)
            self._write()
        return file is not None

    def _tidy(self) -> None:
        """Let files and entries say the same."""
        for key in tidy(self._folder, self._files()):
            _log.warning("a layer is no longer in the cache, or was damaged", model=key[0], layer=key[1])
            self._put(key, None)

    def _write(self) -> None:
        now = self._clock()
        with self._lock:
            self._entries = {entry.key: entry for entry in _remembered(self._entries.values(), now)}
        write_index(self._folder, self._copied().values())

    def _put(self, key: Key, file: File | None) -> None:
        with self._lock:
            self._entries[key] = replace(self._entry(key), file=file)

    def _entry(self, key: Key) -> Entry:
        return self._entries.get(key) or Entry(prefix=key[0], layer=key[1])

    def _files(self) -> dict[Key, File]:
        return files(self._copied())

    def _copied(self) -> Mapping[Key, Entry]:
        with self._lock:
            return dict(self._entries)


def _restored(folder: Path, now: float) -> dict[Key, Entry]:
    """What the index says. Uses from the future, by a clock that was wrong, are as of now."""
    try:
        entries = read_index(folder)
    except BadIndex as error:
        _log.warning("the cache of layers begins anew: without its index no layer can be verified", reason=str(error))
        return {}
    return {key: replace(entry, used=min(entry.used, now)) for key, entry in entries.items()}


def _remembered(entries: Iterable[Entry], now: float) -> list[Entry]:
    """Those worth an entry in the index: what is there, then what is used most."""
    wanted = [entry for entry in entries if entry.file is not None or _heat(entry, now) >= FAINT]
    return sorted(wanted, key=lambda entry: (entry.file is None, -_heat(entry, now), entry.key))[:ENTRIES]


def _heat(entry: Entry, now: float) -> float:
    return decayed(entry.uses, now - entry.used)
