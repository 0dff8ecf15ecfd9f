"""Bounds what a node of the DHT keeps of what others tell it: hivemind keeps anything, of any size, for as long as its sender says.

It also has two faults of hivemind's storage out of the way: to store a record again leaves an entry behind until the record has expired,
and to store it for a shorter time is refused, yet removes it after that time.

compatibility.py puts all this in place.
"""

from __future__ import annotations

import heapq
from typing import Any

from hivemind.dht.storage import DHTLocalStorage, DictionaryDHTValue
from hivemind.utils.timed_storage import TimedStorage, get_dht_time

MOST_KEYS, MOST_SUBKEYS = 4096, 1024
"""Records of a node, and entries of one record, as a block's is, which has one for each of its peers. The first to expire make room."""
LONGEST_KEY, LONGEST_VALUE = 1 << 10, 1 << 14
"""Letters, and bytes. What a peer announces of itself takes some hundreds, under its id."""
MOST_BYTES = 1 << 24
"""Of all records of a node; beyond, none is taken until some have expired."""
BESIDE = 1 << 8
"""Bytes that an entry counts beside its value."""
LATEST = 600.0
"""Seconds until a record must expire. A stock peer's do after some minutes."""

_store, _store_local, _store_subkey = TimedStorage.store, DHTLocalStorage.store, DHTLocalStorage.store_subkey


def bound() -> None:
    """From now on all storages of this process are bounded."""
    TimedStorage.store = store
    DHTLocalStorage.__init__ = _sized(MOST_KEYS)
    DictionaryDHTValue.__init__ = _sized(MOST_SUBKEYS)
    DHTLocalStorage.store, DHTLocalStorage.store_subkey = store_local, store_subkey


def store(storage: Any, key: Any, value: Any, expiration_time: float) -> bool:  # Any: hivemind has no types
    """As TimedStorage.store: whether the record was newer than what was there."""
    there = storage.data.get(key)
    if there is not None and there.expiration_time >= expiration_time:
        return False
    stored: bool = _store(storage, key, value, expiration_time)
    if len(storage.expiration_heap) > 2 * len(storage.data) + 16:
        storage.expiration_heap = list(storage.key_to_heap.values())
        heapq.heapify(storage.expiration_heap)
    return stored


def store_local(storage: Any, key: Any, value: Any, expiration_time: float, subkey: Any = None) -> bool:
    """As DHTLocalStorage.store, which also takes a whole dictionary."""
    if subkey is not None:
        return store_subkey(storage, key, subkey, value, expiration_time)
    return _may_expire(expiration_time) and _fits(storage, value) and bool(_store_local(storage, key, value, expiration_time))


def store_subkey(storage: Any, key: Any, subkey: Any, value: Any, expiration_time: float) -> bool:
    """As DHTLocalStorage.store_subkey, of texts, as those of Petals are: it cannot compare keys of two kinds."""
    if not isinstance(subkey, str) or len(subkey) > LONGEST_KEY:
        return False
    return _may_expire(expiration_time) and _fits(storage, value) and bool(_store_subkey(storage, key, subkey, value, expiration_time))


def _may_expire(expiration_time: float) -> bool:
    return expiration_time <= get_dht_time() + LATEST


def _fits(storage: Any, value: Any) -> bool:
    """Whether there is room; what all takes is only counted anew where what was added since then may be too much."""
    weight = _weight(value)
    if isinstance(value, bytes) and len(value) > LONGEST_VALUE:
        return False
    if storage.weight + weight > MOST_BYTES:
        storage.weight = sum(_weight(each) for _, (each, _) in storage.items())
    if storage.weight + weight > MOST_BYTES:
        return False
    storage.weight += weight
    return True


def _weight(value: Any) -> int:
    if isinstance(value, bytes):
        return BESIDE + len(value)
    return BESIDE + sum(BESIDE + len(key) + len(each) for key, (each, _) in value.items())


def _sized(most: int) -> Any:
    def initialize(storage: Any, maxsize: int | None = None) -> None:
        TimedStorage.__init__(storage, min(maxsize or most, most))
        storage.weight = 0

    return initialize
