"""Lets Petals 2.2.0 find what it imports from the top of hivemind, which hivemind 1.1.12 has further down. Import it before petals.

It also mends what the two share with every peer of a swarm: hivemind reads a tuple inside a tuple by recursion, in C, and a few hundred
levels of them in a message, or in a record of the DHT, end the process that reads it; and it bounds what the DHT keeps (dht_storage.py).
"""

from __future__ import annotations

import os
import threading
from importlib import import_module
from typing import Any

import hivemind
from hivemind.p2p import P2P
from hivemind.utils.serializer import MSGPackSerializer

from agents.petals.swarm import dht_storage

NAMES = {
    "PeerID": "hivemind.p2p",
    "P2P": "hivemind.p2p",
    "P2PContext": "hivemind.p2p",
    "MSGPackSerializer": "hivemind.utils.serializer",
    "anext": "hivemind.utils.asyncio",
    "get_logger": "hivemind.utils.logging",
    "get_dht_time": "hivemind.utils.timed_storage",
    "TimedStorage": "hivemind.utils.timed_storage",
    "MAX_DHT_TIME_DISCREPANCY_SECONDS": "hivemind.utils.timed_storage",
    "nested_flatten": "hivemind.utils.nested",
    "nested_pack": "hivemind.utils.nested",
    "nested_compare": "hivemind.utils.nested",
    "TensorDescriptor": "hivemind.utils.tensor_descr",
    "BatchTensorDescriptor": "hivemind.utils.tensor_descr",
    "serialize_torch_tensor": "hivemind.compression",
    "deserialize_torch_tensor": "hivemind.compression",
    "deserialize_tensor_stream": "hivemind.compression",
}
"""What Petals asks of `hivemind`, and where it is."""
SOCKETS = "HIVEMIND_SOCKETS"
"""The environment variable that names a folder for hivemind's sockets, else /tmp: those of a process that was killed stay there."""
DEEPEST = 16
"""Tuples and descriptors inside each other that are read. Those of the stock client are four deep."""

for _name, _module in NAMES.items():
    setattr(hivemind, _name, getattr(import_module(_module), _name))

if os.environ.get(SOCKETS):
    P2P._UNIX_SOCKET_PREFIX = f"/unix{os.environ[SOCKETS]}/hivemind-"

dht_storage.bound()

_decode = MSGPackSerializer._decode_ext_types
_here = threading.local()


def _decode_shallow(code: int, data: bytes) -> Any:  # Any: whatever the extension holds
    """As hivemind reads an extension of MessagePack, which may hold others. Raises ValueError."""
    depth: int = getattr(_here, "depth", 0)
    if depth >= DEEPEST:
        raise ValueError(f"MessagePack with more than {DEEPEST} extensions inside each other is not read")
    _here.depth = depth + 1
    try:
        return _decode(code, data)
    finally:
        _here.depth = depth


MSGPackSerializer._decode_ext_types = staticmethod(_decode_shallow)
