"""Petals finds all that it asks of hivemind, and what both read of strangers cannot end a process."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from conftest import CHECKOUT

ASKED = """
import ast, json, pathlib
import agents.petals.swarm.compatibility
import hivemind, petals

names = set()
for path in pathlib.Path(petals.__file__).parent.rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "hivemind":
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hivemind":
            names.add(node.attr)
print(json.dumps({"asked": sorted(names), "missing": sorted(name for name in names if not hasattr(hivemind, name))}))
"""
NESTED = """
import msgpack
import agents.petals.swarm.compatibility
from hivemind.utils import MSGPackSerializer

data = MSGPackSerializer.dumps((("a", 1), {"b": (2.0, (3,))}))
assert MSGPackSerializer.loads(data) == (("a", 1), {"b": (2.0, (3,))})
for _ in range(1000):
    data = msgpack.packb([msgpack.ExtType(0x40, data)])
try:
    MSGPackSerializer.loads(data)
except ValueError as error:
    print(error)
"""

STORED = """
import json, time
import agents.petals.swarm.compatibility
from agents.petals.swarm.dht_storage import LATEST, LONGEST_KEY, LONGEST_VALUE, MOST_BYTES, MOST_KEYS, MOST_SUBKEYS
from hivemind.dht.storage import DHTLocalStorage, DictionaryDHTValue
from hivemind.utils import MSGPackSerializer

now, most = time.time(), DHTLocalStorage()
assert most.store_subkey("k", "a", b"1", now + 60) and most.store_subkey("k", "b", b"2", now + 60)
assert {key: value for key, (value, _) in most.get("k").value.items()} == {"a": b"1", "b": b"2"}
again = MSGPackSerializer.loads(MSGPackSerializer.dumps(most.get("k").value))
assert dict(again.items()) == dict(most.get("k").value.items())
assert most.store("k2", value=again, expiration_time=now + 60, subkey=None) and dict(most.get("k2").value.items()) == dict(again.items())

refused = [
    most.store("late", b"", now + LATEST + 60), most.store("never", b"", float("inf")), most.store("nan", b"", float("nan")),
    most.store_subkey("late", "a", b"", now + LATEST + 60), most.store("long", bytes(LONGEST_VALUE + 1), now + 60),
    most.store_subkey("long", "a" * (LONGEST_KEY + 1), b"", now + 60), most.store_subkey("odd", (1, 2), b"", now + 60),
]
for number in range(2 * MOST_KEYS):
    most.store(str(number), b"", now + 60)
for number in range(2 * MOST_SUBKEYS):
    most.store_subkey("k3", str(number), b"", now + 100)
large = DHTLocalStorage()
for number in range(2000):
    large.store(str(number), bytes(LONGEST_VALUE), now + 60)
twice = DHTLocalStorage()
for number in range(1000):
    twice.store("k", b"", now + 60 + number / 1000)
shorter = twice.store("k", b"shorter", now + 1)
print(json.dumps({
    "refused": refused, "keys": len(most.data), "subkeys": len(most.get("k3").value.data), "most": [MOST_KEYS, MOST_SUBKEYS],
    "bytes": sum(len(value) for _, (value, _) in large.items()), "most_bytes": MOST_BYTES, "entries": len(twice.expiration_heap),
    "shorter": shorter, "expires": twice.key_to_heap["k"].expiration_time - now,
}))
"""
SOCKETS = """
import asyncio, json, os, pathlib
import agents.petals.swarm.compatibility
from hivemind.p2p import P2P

async def names():
    one = await P2P.create(auto_nat=False, nat_port_map=False, use_relay=False)
    other = await P2P.replicate(one.daemon_listen_maddr)
    await asyncio.gather(*(each.add_binary_stream_handler("name", lambda *_: None, balanced=True) for each in (one, other)))
    made = [str(each._client_listen_maddr) for each in (one, other)] + [str(one.daemon_listen_maddr)]
    there = sorted(path.name for path in pathlib.Path(os.environ["HIVEMIND_SOCKETS"]).iterdir())
    await other.shutdown()
    await one.shutdown()
    return {"made": made, "there": there}

print(json.dumps(asyncio.run(names())))
"""
GUARDED = """
import json
from agents.petals.swarm.handler import GuardedHandler, TransformerConnectionHandler

served = {each.method_name for each in TransformerConnectionHandler._rpc_handlers}
name = TransformerConnectionHandler._get_handle_name(None, "rpc_info")
assert GuardedHandler._get_handle_name(None, "rpc_info") == name
print(json.dumps({"served": sorted(served), "unguarded": sorted(served - set(vars(GuardedHandler)))}))
"""


def said(python: Path, script: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run([python, "-c", script], cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


def test_whatever_petals_asks_of_hivemind_is_there(swarm_python: Path) -> None:
    found = json.loads(said(swarm_python, ASKED))

    assert {"PeerID", "TimedStorage", "deserialize_tensor_stream"} <= set(found["asked"])
    assert found["missing"] == []


def test_whatever_petals_serves_has_a_guard_and_the_name_that_stock_clients_call(swarm_python: Path) -> None:
    found = json.loads(said(swarm_python, GUARDED))

    assert {"rpc_inference", "rpc_forward", "rpc_push", "rpc_info"} <= set(found["served"])
    assert found["unguarded"] == []


def test_messagepack_is_read_as_hivemind_reads_it_but_not_to_the_end_of_the_stack(swarm_python: Path) -> None:
    assert said(swarm_python, NESTED) == "MessagePack with more than 16 extensions inside each other is not read"


def test_what_strangers_have_a_node_of_the_dht_keep_is_bounded(swarm_python: Path) -> None:
    found = json.loads(said(swarm_python, STORED))

    assert found["refused"] == [False] * 7
    assert [found["keys"], found["subkeys"]] == found["most"]
    assert found["most_bytes"] // 2 < found["bytes"] <= found["most_bytes"]
    assert found["entries"] < 20
    assert (found["shorter"], found["expires"] > 60) == (False, True)


def test_the_sockets_of_hivemind_are_where_the_environment_says(swarm_python: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="h") as folder:  # short: a socket's path has 107 letters at most
        found = json.loads(said(swarm_python, SOCKETS, HIVEMIND_SOCKETS=folder))

    assert [Path(path).parent for path in found["made"]] == [Path(f"/unix{folder}")] * 3
    assert len(found["there"]) == 3


@pytest.mark.parametrize("module", ["petals.server.server", "petals"])
def test_petals_is_imported_behind_it(swarm_python: Path, module: str) -> None:
    assert said(swarm_python, f"import agents.petals.swarm.compatibility, {module}; print('imported')") == "imported"
