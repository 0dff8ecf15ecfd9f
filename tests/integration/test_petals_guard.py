"""Stock peers and bad ones at the blocks of a real host: who is let in, how much passes, what is recorded, and what it survives."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import PARTIES, wait_for

from agents.petals import messages
from agents.petals.admission.policy import Policy, allow, block, read_policy, write_policy
from agents.petals.messages import Asked, Limits
from schemas.petals import Request

CHECKOUT = PARTIES.parents[2]
START_TIMEOUT, ANSWER_TIMEOUT = 90.0, 60.0
PREFIX = "micro-llama"
LIMITS = Limits(requests_per_second=5.0, tokens_per_second=8.0, bytes_per_second=100_000.0, at_once=2)
"""The largest call, of 128 tokens, is more than a second's worth: see guarded_host.py."""
BAD = (
    "tuples in tuples",
    "tuples in tuples, named",
    "a block named again and again",
    "no tokens",
    "rows without end",
    "fewer bytes than the shape says",
    "a type of a million letters",
    "compressed by a codebook",
    "a hypothesis that is no row",
    "too many tensors",
    "an adapter",
    "no length",
    "too long a session",
    "a text for a length",
    "prompts for other blocks",
    "arguments that are no tensors",
    "metadata without end",
)


class Told(Exception):
    """What a peer was told instead of an answer."""


class Party:
    """A process that answers lines with lines."""

    def __init__(self, python: Path, script: str, *arguments: str, log: Path, pass_fds: tuple[int, ...] = ()) -> None:
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1", "HIVEMIND_LOGLEVEL": "ERROR"}
        self._log = log
        self.process = subprocess.Popen(
            [python, PARTIES / script, *arguments],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("wb"),
            text=True,
            pass_fds=pass_fds,
            start_new_session=True,
        )

    def line(self, timeout: float) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        lines: list[str] = []
        reader = threading.Thread(target=lambda: lines.append(self.process.stdout.readline()), daemon=True)  # type: ignore[union-attr]
        reader.start()
        reader.join(timeout)
        assert lines and lines[0], f"nothing came: {self._log.read_text()[-2000:]}"
        return lines[0].strip()

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait(5)


class Guarded:
    """A host, the peers that ask it, and what it recorded."""

    def __init__(self, python: Path, folder: Path) -> None:
        self.policy = folder / "policy.json"
        write_policy(self.policy, Policy(open=False))
        reading, writing = os.pipe()
        arguments = (str(folder / "model"), PREFIX, str(self.policy), msgspec.json.encode(LIMITS).decode(), str(writing))
        self._host = Party(python, "guarded_host.py", *arguments, log=folder / "host.log", pass_fds=(writing,))
        os.close(writing)
        self.records: list[Request] = []
        self._ids: dict[str, str] = {}
        threading.Thread(target=self._read, args=(reading,), daemon=True).start()
        address = self._host.line(START_TIMEOUT)
        (folder / "keys").mkdir()
        self._peers = Party(
            python, "guarded_peers.py", str(folder / "model"), PREFIX, address, str(folder / "keys"), log=folder / "peers.log"
        )

    def do(self, what: str, peer: str, *arguments: Any) -> Any:
        """What a peer got. Raises Told."""
        self._peers.say(json.dumps([what, peer, *arguments]))
        answer = json.loads(self._peers.line(ANSWER_TIMEOUT))
        if "error" in answer:
            raise Told(answer["error"])
        return answer["done"]

    def id(self, peer: str) -> str:
        if peer not in self._ids:
            self._ids[peer] = self.do("stock" if peer == "stock" else "id", peer)
        return self._ids[peer]

    def let(self, how: Callable[[Policy, str], Policy], peer: str) -> str:
        """Change the policy for a peer. Returns its id."""
        write_policy(self.policy, how(read_policy(self.policy), self.id(peer)))
        return self.id(peer)

    def recorded(self, peer: str, outcome: str, rpc: str | None = None) -> list[Request]:
        """The records of a peer's calls that ended so, once there is one."""
        asked = self.id(peer)

        def found() -> list[Request]:
            return [each for each in self.records if (each.peer, each.outcome) == (asked, outcome) and rpc in (None, each.rpc)]

        return wait_for(found, f"a record of {peer}: {outcome}")

    def close(self) -> None:
        self._peers.close()
        self._host.close()

    def _read(self, fd: int) -> None:
        with os.fdopen(fd, "rb") as pipe:
            while isinstance(message := messages.read(pipe), Asked):
                self.records.append(message.request)


def own(policy: Policy, peer: str) -> Policy:
    return msgspec.structs.replace(policy, own=policy.own | {peer})


@pytest.fixture(scope="module")
def guarded(swarm_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = Guarded(swarm_python, tmp_path_factory.mktemp("guarded"))
    yield guarded
    guarded.close()


def test_a_stock_client_that_is_allowed_generates_and_what_it_asked_is_recorded(guarded: Guarded) -> None:
    guarded.let(allow, "stock")

    written = guarded.do("generate", "stock", 12)
    guarded.do("train", "stock")

    assert written == guarded.do("alone", "stock", 12)
    assert len(written) == 16
    (record,) = guarded.recorded("stock", "served", "rpc_inference")
    assert (record.start, record.end, record.tokens, record.reason) == (0, 2, 15, None)
    assert record.bytes_in > 15 * 32 * 4 < record.bytes_out
    assert guarded.recorded("stock", "served", "rpc_info")
    assert guarded.recorded("stock", "served", "rpc_forward")[0].tokens == 4
    assert guarded.recorded("stock", "served", "rpc_backward")[0].tokens == 4


@pytest.mark.parametrize("rpc", ["rpc_forward_stream", "rpc_backward_stream"])
def test_what_comes_in_parts_is_one_call(guarded: Guarded, rpc: str) -> None:
    guarded.let(own, "pat")

    assert guarded.do("parts", "pat", rpc, 9) == [1, 9, 32]
    (record,) = guarded.recorded("pat", "served", rpc)
    assert (record.tokens, record.start, record.end) == (9, 0, 2)
    assert record.bytes_in > 9 * 32 * 4 < record.bytes_out


def test_a_stock_client_that_is_not_allowed_is_told_so(guarded: Guarded) -> None:
    guarded.do("stock", "another")

    with pytest.raises(Told, match="refused: this peer is not allowed"):
        guarded.do("generate", "stock", 1)


def test_a_peer_that_is_not_allowed_is_told_so_by_every_call_and_recorded_once(guarded: Guarded) -> None:
    for call in (["info", "bob"], ["forward", "bob", 1], ["begin", "bob", "b1", 1], ["push", "bob", "b1", 1]):
        with pytest.raises(Told, match="refused: this peer is not allowed"):
            guarded.do(*call)

    records = guarded.recorded("bob", "refused")
    assert sum(record.count for record in records) == 4
    assert all((record.reason, record.tokens) == ("this peer is not allowed", 0) for record in records)


@pytest.mark.parametrize("rpc", ["rpc_info", "rpc_forward", "rpc_backward", "rpc_push"])
def test_what_a_peer_sends_that_is_not_allowed_is_not_even_read(guarded: Guarded, rpc: str) -> None:
    with pytest.raises(Told, match="refused: this peer is not allowed"):
        guarded.do("send", "bea", rpc, "ff")


@pytest.mark.parametrize("message", ["ff", "1200", "120f61"])
def test_a_message_without_end_of_fields_is_refused_before_it_is_read(guarded: Guarded, message: str) -> None:
    guarded.let(own, "joe")

    with pytest.raises(Told, match=r"refused: a message (of more than 10 fields|that ends within)"):
        guarded.do("send", "joe", "rpc_forward", message, 1_000_000)


def test_a_peer_is_blocked_in_the_middle_of_its_session(guarded: Guarded) -> None:
    guarded.let(allow, "cyd")
    assert guarded.do("begin", "cyd", "c1", 4) == [1, 4, 32]
    assert guarded.do("step", "cyd", "c1", 1) == [1, 1, 32]

    guarded.let(block, "cyd")

    with pytest.raises(Told, match="refused: this peer is blocked"):
        guarded.do("step", "cyd", "c1", 1)
    with pytest.raises(Told, match="refused: this peer is blocked"):
        guarded.do("info", "cyd")
    assert guarded.recorded("cyd", "refused", "rpc_inference")[0].tokens == 5


def test_without_a_policy_nobody_is_served(guarded: Guarded) -> None:
    guarded.let(allow, "dan")
    before = guarded.policy.read_bytes()
    guarded.policy.write_bytes(b'{"open": true, "alowed": []}')
    try:
        with pytest.raises(Told, match="refused: nobody may ask"):
            guarded.do("info", "dan")
    finally:
        guarded.policy.write_bytes(before)

    assert guarded.do("info", "dan") > 0


def test_a_session_ends_where_its_peer_is_over_its_rate_and_others_go_on(guarded: Guarded) -> None:
    guarded.let(allow, "eve")
    guarded.let(allow, "fay")
    guarded.do("begin", "eve", "e1", 4)

    with pytest.raises(Told, match="refused: more than 8 tokens a second"):
        for _ in range(100):
            guarded.do("forward", "eve", 60)
    with pytest.raises(Told, match="refused: more than 8 tokens a second"):
        guarded.do("step", "eve", "e1", 60)

    assert sum(record.count for record in guarded.recorded("eve", "refused")) >= 1
    assert guarded.do("forward", "fay", 60) == [1, 60, 32]


def test_a_peer_has_only_so_many_calls_at_once(guarded: Guarded) -> None:
    guarded.let(allow, "gil")
    guarded.do("begin", "gil", "g1", 1)
    guarded.do("begin", "gil", "g2", 1)

    with pytest.raises(Told, match="refused: more than 2 calls at once"):
        guarded.do("info", "gil")
    guarded.do("end", "gil", "g1")

    wait_for(lambda: guarded.recorded("gil", "served", "rpc_inference"), "the session to end")
    assert guarded.do("info", "gil") > 0
    guarded.do("leave", "gil", "g2")
    assert guarded.recorded("gil", "failed")[0].reason == "the peer went away"


def test_a_peer_asks_only_so_often(guarded: Guarded) -> None:
    guarded.let(allow, "hal")

    told = guarded.do("infos", "hal", 300)  # at once: one after the other, a busy machine might take them too slowly

    assert any("refused: more than 5 calls a second" in each for each in told)


def test_a_peer_holds_only_its_share_of_the_attention_cache(guarded: Guarded) -> None:
    guarded.let(allow, "ned")
    assert guarded.do("begin", "ned", "n1", 1, {"rows": 4}) == [4, 1, 32]

    with pytest.raises(Told, match="refused: more than 512 tokens of the attention cache for one peer"):
        guarded.do("begin", "ned", "n2", 1)

    guarded.let(own, "oda")
    assert guarded.do("begin", "oda", "o1", 1, {"rows": 8}) == [8, 1, 32]
    guarded.do("end", "oda", "o1")
    guarded.do("end", "ned", "n1")
    wait_for(lambda: guarded.recorded("ned", "served", "rpc_inference"), "the session to end")
    assert guarded.do("begin", "ned", "n3", 1, {"rows": 4}) == [4, 1, 32]
    guarded.do("end", "ned", "n3")


def test_this_agents_own_processes_have_no_limits(guarded: Guarded) -> None:
    guarded.let(own, "ian")

    assert all(guarded.do("info", "ian") for _ in range(20))


@pytest.mark.parametrize("kind", BAD)
def test_what_nobody_should_send_is_refused_and_the_host_serves_on(guarded: Guarded, kind: str) -> None:
    guarded.let(own, "joe")

    with pytest.raises(Told, match="refused: "):
        guarded.do("bad", "joe", kind)

    assert guarded.do("forward", "joe", 2) == [1, 2, 32]


def test_a_message_without_end_is_not_waited_for(guarded: Guarded) -> None:
    guarded.let(own, "joe")

    assert guarded.do("endless", "joe") == ""


def test_a_step_is_pushed_into_no_session_of_another_shape_and_to_nobody_whom_a_client_names(guarded: Guarded) -> None:
    peer = guarded.let(own, "kim")
    guarded.do("begin", "kim", "k1", 1, {"next_servers": [[peer, "k2", 0, 10**9]]})

    guarded.do("push", "kim", "unknown", 1)
    guarded.do("push", "kim", "k1", 1)
    assert guarded.do("step", "kim", "k1", 1) == [1, 1, 32]
    with pytest.raises(Told, match="refused: a session of this name is under way"):
        guarded.do("begin", "kim", "k3", 1, {"session_id": "k1"})


def test_sessions_without_a_step_and_those_that_are_left_at_once_do_not_stop_the_host(guarded: Guarded) -> None:
    guarded.let(own, "lou")

    for _ in range(150):
        with pytest.raises(Told, match="refused: hidden states of shape"):
            guarded.do("bad", "lou", "no tokens")
    guarded.do("hurried", "lou", 300)
    guarded.let(own, "max")

    assert guarded.do("forward", "max", 2) == [1, 2, 32]
