"""A recorded stretch is published again: whole, in order, once, at its pace or at full speed, and nobody takes it for news."""

from __future__ import annotations

import hashlib
import json
import signal
import threading
import time
from collections.abc import Iterable
from typing import Any

import msgpack
import msgspec
import pytest
from conftest import Appliance, wait_for
from msgspec import Raw
from serving import serving

from bus.agent import Agent, on
from bus.event import Event
from bus.subscriber import Received
from bus.topic import LATEST, Delivery, Topic
from bus.wire import Envelope, encode_data, encode_envelope, pack_frame
from schemas import train

NUMBER = Topic("test.number", train.Eval)
OTHER = Topic("test.other", train.Eval)
POSE = Topic("test.pose", train.Eval, delivery=LATEST)
EACH = 1500
ENOUGH = 60.0


def number(n: int) -> train.Eval:
    return train.Eval(step=n, loss=float(n), bits_per_byte=0.0, tokens=n)


def fingerprint(events: Iterable[tuple[str, str | None, bytes]]) -> str:
    """One hash over topic, run and data of all events, in order."""
    digest = hashlib.sha256()
    for event in events:
        digest.update(msgspec.msgpack.encode(event))
    return digest.hexdigest()


def as_read(events: list[Received]) -> list[tuple[str, str | None, bytes]]:
    return [(event.topic, event.envelope.run, bytes(event.envelope.data)) for event in events]


def in_log(appliance: Appliance, *topics: str, replay: bool) -> list[tuple[str, str | None, bytes]]:
    decoder = msgspec.msgpack.Decoder(Envelope)
    entries = [(entry.topic, decoder.decode(entry.data)) for entry in appliance.log(*topics)]
    return [(topic, envelope.run, bytes(envelope.data)) for topic, envelope in entries if envelope.replay == replay]


def record(appliance: Appliance) -> None:
    """Some thousand events: two sources, four topics, two runs, one of a publisher that numbers nothing and one of a newer version."""
    first, second = appliance.connect("first"), appliance.connect("second")
    data = Raw(encode_data({"celsius": 21.5, "field": "of a newer version"}))
    with first.publisher.lock:
        foreign = pack_frame(
            "lab.foreign", [encode_envelope("lab.foreign", Envelope(source="thermometer", time=1, data=msgspec.Raw(data)))]
        )
        first.publisher.sockets[Delivery.DURABLE].send(foreign)
    wait_for(lambda: appliance.log("lab.foreign"), "the stranger's event")
    first.publisher.publish_raw("lab.temperature", Delivery.DURABLE, data)
    for n in range(EACH):
        first.publish(NUMBER, number(n), run="one")
        second.publish(NUMBER, number(-n), run="two")
        first.publish(OTHER, number(n))
    for client in (first, second):
        client.flush(ENOUGH)


class Reading:
    """A subscriber of its own connection, which reads in a thread until it has `count` events."""

    def __init__(self, appliance: Appliance, name: str, patterns: list[str], count: int) -> None:
        self.events: list[Received] = []
        self._received = appliance.connect(name).received(patterns, timeout=ENOUGH)
        self._count = count
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._ready = threading.Event()
        self._thread.start()

    def _read(self) -> None:
        for event in self._received:
            self.events.append(event)
            if len(self.events) == self._count:
                return

    def join(self) -> list[Received]:
        self._thread.join(ENOUGH)
        return self.events


def test_at_full_speed_every_subscriber_gets_every_event_and_the_log_has_it_once(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    record(appliance)
    topics = ["lab.", "test."]
    original = in_log(appliance, *topics, replay=False)
    readers = [Reading(appliance, f"reader-{n}", topics, len(original)) for n in range(2)]

    done = appliance.bus("replay", "--topic", "lab", "--topic", "test", "--speed", "max", "--json", timeout=ENOUGH)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["events"], result["left_out"], result["complete"]) == (len(original), 0, True)
    assert len(original) == 3 * EACH + 2
    for reader in readers:
        events = reader.join()
        assert len(events) == len(original)
        assert fingerprint(as_read(events)) == fingerprint(original)
        assert [event.envelope.seq for event in events] == list(range(1, len(original) + 1))
        assert {(event.envelope.source, event.envelope.replay) for event in events} == {(result["source"], True)}
    assert fingerprint(in_log(appliance, *topics, replay=True)) == fingerprint(original)
    maps = [msgpack.unpackb(entry.data) for entry in appliance.log(*topics)]
    originals, replays = ([found for found in maps if found.get("replay", False) is replay] for replay in (False, True))
    assert [found["time"] for found in replays] == [found["time"] for found in originals]
    assert [found["cause"].split("/")[0] for found in replays] == [found["source"] for found in originals]
    assert replays[0]["cause"] == "thermometer/lab.foreign/0/0"


def test_a_replay_is_not_replayed_and_commands_and_what_agents_said_are_left_alone(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    appliance.bus("call", "recorder.status")
    client.publish(NUMBER, number(1), run="one")
    client.publish(NUMBER, number(2), run="two")
    client.publish(POSE, number(3))
    client.flush(10)
    wait_for(lambda: appliance.log("test.pose") and appliance.log("command."), "the pose and the command in the log")

    def topics(*options: str) -> dict[str, int]:
        counted: dict[str, int] = json.loads(appliance.bus("replay", "--dry-run", "--json", *options).stdout)["topics"]
        return counted

    assert topics() == {"test.number": 2, "test.pose": 1}
    assert topics("--run", "two") == {"test.number": 1}
    assert set(topics("--topic", "agent.")) >= {"agent.manifest", "agent.state"}
    assert appliance.bus("replay", "--topic", "test.", "--speed", "max").returncode == 0
    wait_for(lambda: len(appliance.log("test.pose")) == 2, "the pose again")
    assert topics() == {"test.number": 2, "test.pose": 1}
    assert topics("--replays") == {"test.number": 4, "test.pose": 2}
    assert {entry.delivery for entry in appliance.log("test.pose")} == {"latest"}
    refused = appliance.bus("replay", "--topic", "command.")
    assert (refused.returncode, "never replayed" in refused.stderr) == (2, True)
    nothing = appliance.bus("replay", "--run", "three")
    assert (nothing.returncode, "nothing is replayed" in nothing.stderr) == (1, True)


class Counter(Agent):
    """Two handlers of one topic; one wants replays."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.news: list[int] = []
        self.all: list[int] = []

    @on(NUMBER)
    def hear(self, event: Event[train.Eval]) -> None:
        self.news.append(event.data.step)

    @on(NUMBER, replayed=True)
    def hear_all(self, event: Event[train.Eval]) -> None:
        self.all.append(event.data.step)


def test_only_handlers_that_ask_for_replays_see_them(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    with serving(appliance, Counter) as agent:
        assert isinstance(agent, Counter)
        client.publish(NUMBER, number(1))
        client.flush(10)
        wait_for(lambda: agent.all == [1], "the event")
        assert appliance.bus("replay", "--topic", "test.number", "--speed", "max").returncode == 0
        wait_for(lambda: agent.all == [1, 1], "the replay")
        client.publish(NUMBER, number(2))
        wait_for(lambda: agent.all == [1, 1, 2], "another event")
        assert agent.news == [1, 2]


@pytest.mark.parametrize("number_of_signal", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_replay_with_what_was_published_on_disk(appliance: Appliance, number_of_signal: signal.Signals) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    for n in range(200):
        client.publish(NUMBER, number(n))
        time.sleep(0.01)
    client.flush(10)
    process = appliance.spawn("replay", "--topic", "test.number", "--speed", "0.2", "--json")
    wait_for(lambda: len(appliance.log("test.number")) > 210, "the replay's first events")
    process.send_signal(number_of_signal)
    output, errors = process.communicate(timeout=20)

    assert process.returncode == 130, errors
    result = json.loads(output)
    assert not result["complete"]
    assert 10 < result["events"] < 200
    assert len(appliance.log("test.number")) == 200 + result["events"]


def test_without_a_hub_or_a_recorder_a_replay_says_so(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    client.publish(NUMBER, number(1))
    client.flush(10)
    appliance.stop()

    absent = appliance.bus("replay", "--topic", "test.number")
    assert absent.returncode == 5, absent.stderr
