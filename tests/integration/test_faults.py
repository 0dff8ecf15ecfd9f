"""Processes that stand still, a full disk, a clock that jumps, doubles, giants: nothing acknowledged is lost, and everything goes on."""

from __future__ import annotations

import itertools
import json
import time
from collections import defaultdict
from typing import Any

import msgpack
import psutil
import pytest
from conftest import Appliance, wait_for
from parties.publish import TOPICS, Numbered
from serving import serving
from test_storm import check, notes

from bus.agent import Agent, answers, on
from bus.client import FILL_TIMEOUT, Client
from bus.errors import BusFull, FrameTooLarge
from bus.event import Event
from bus.lifecycle import HEARTBEAT
from bus.runtime import FLUSH_TIMEOUT
from bus.subscriber import Subscriber
from bus.topic import LATEST, Command, Nothing, Topic
from bus.wire import RECORDED, Recorded
from schemas import system

STANDSTILL = 5.0
MIB = 2**20
HUB_SIZE = 256 * MIB
"""What a hub may take that keeps 1 KiB events for a stalled subscriber."""
QUIET = 5.0
"""Seconds without a further event after which a listener has got all that it will get."""
HOUR = 3600 * 10**9


def start(appliance: Appliance, *names: str) -> None:
    for name in names:
        appliance.process(name)


def publish(appliance: Appliance, name: str, *options: str, source: str = "") -> None:
    """Start a publisher as the process `name`, and wait until something of it is on disk."""
    appliance.party(name, "publish.py", source or name, notes(appliance), *options)
    wait_for(lambda: noted(appliance, name, "acknowledged"), f"an acknowledgement for {name}")


def listen(appliance: Appliance, client: Client, name: str) -> None:
    appliance.party(name, "listen.py", name, notes(appliance).with_name("heard"))
    appliance.wait_for_agent(client, name)


def noted(appliance: Appliance, name: str, what: str) -> list[int]:
    """The numbers that the process `name` has noted as `what`."""
    process = f"process {appliance.processes[name].pid}\n"
    for path in notes(appliance).glob("*-*"):
        if (text := path.read_text()).startswith(process):
            return [int(line.split()[1]) for line in text.splitlines() if line.startswith(what)]
    return []


def acknowledged(appliance: Appliance, name: str) -> int:
    return noted(appliance, name, "acknowledged")[-1]


def await_progress(appliance: Appliance, name: str, count: int = 500) -> None:
    before = acknowledged(appliance, name)
    wait_for(lambda: acknowledged(appliance, name) >= before + count, f"{name} to go on")


def heard(appliance: Appliance, name: str) -> dict[str, list[int]]:
    """The numbers that a listener was handed, by publisher, in the order of their arrival."""
    found = defaultdict(list)
    written, _, _ = (notes(appliance).with_name("heard") / name).read_text().rpartition("\n")  # the last line may be half there
    for line in written.splitlines():
        source, _, number = line.split()
        found[source].append(int(number))
    return found


def stop_publishing(appliance: Appliance, *names: str) -> None:
    """Let publishers leave with all on disk."""
    for name in names:
        appliance.processes[name].terminate()
    for name in names:
        assert appliance.processes[name].wait(60) == 0, appliance.output(name)[-2000:]


def assert_kept(appliance: Appliance) -> None:
    """Nothing that was acknowledged is missing, double or out of order. Ends the appliance."""
    appliance.stop()
    checked = check(appliance)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("victim", ["hub", "recorder", "publisher", "listener"])
def test_five_seconds_of_standstill_of_any_process_lose_nothing(appliance: Appliance, victim: str) -> None:
    start(appliance, "hub", "recorder")
    listen(appliance, appliance.connect(), "listener")
    publish(appliance, "other", "--timeout", "1")
    publish(appliance, "publisher", "--timeout", "1")
    process = psutil.Process(appliance.processes[victim].pid)
    process.suspend()
    time.sleep(STANDSTILL)
    process.resume()

    for name in ("other", "publisher"):
        await_progress(appliance, name)
    await_heard(appliance, "listener")
    if victim in ("hub", "recorder"):
        assert noted(appliance, "other", "full"), "a ring that is full for a second is said"
    stop_publishing(appliance, "other", "publisher")
    assert_kept(appliance)


def await_heard(appliance: Appliance, name: str) -> None:
    """Return when a listener hears what is published now."""
    newest = {source: max(numbers) for source, numbers in heard(appliance, name).items()}
    wait_for(lambda: all(max(heard(appliance, name)[source]) > number for source, number in newest.items()), f"{name} to hear more")


def test_a_full_disk_stops_acknowledgements_and_recovers_by_itself_when_space_returns(appliance: Appliance) -> None:
    appliance.limit_log(48 * MIB)
    ballast = appliance.home.log / "ballast"
    ballast.write_bytes(bytes(45 * MIB))
    start(appliance, "hub", "recorder")
    client = appliance.connect()
    publish(appliance, "publisher", "--timeout", "1", "--rate", "2000")
    wait_for(lambda: noted(appliance, "publisher", "full"), "BusFull")
    before = acknowledged(appliance, "publisher")
    status = client.call(system.STATUS, timeout=10)
    shown = {row["name"]: row for row in json.loads(appliance.bus("top", "--once", "--json").stdout)["agents"]}

    assert status.state == shown["recorder"]["state"] == "degraded"
    assert "No space left" in str(status.reason)
    assert shown["recorder"]["reason"] == status.reason
    assert acknowledged(appliance, "publisher") == before
    ballast.unlink()
    await_progress(appliance, "publisher", 5000)
    wait_for(lambda: client.call(system.STATUS, timeout=10).state == "running", "the recorder to say that it runs")
    stop_publishing(appliance, "publisher")
    assert_kept(appliance)


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_a_clock_that_jumps_harms_neither_log_nor_cursors_nor_timers(appliance: Appliance, jump: int) -> None:
    appliance.set_clock(0)
    start(appliance, "hub", "recorder")
    publish(appliance, "before", "--rate", "500")
    appliance.set_clock(jump)
    await_progress(appliance, "before")
    publish(appliance, "after", "--rate", "500", source="before")  # another epoch, an hour away from the first
    appliance.set_clock(-jump)
    await_progress(appliance, "before")
    await_progress(appliance, "after")
    beats = list(itertools.islice(appliance.connect().events(HEARTBEAT, timeout=10), 3))
    stop_publishing(appliance, "before", "after")
    appliance.set_clock(0)  # as this process has it, which asks for the past

    assert [beat.source for beat in beats] == ["recorder"] * 3
    entries = appliance.log("load.")
    times = [entry.log_time for entry in entries]
    assert times == sorted(set(times))
    middle = times[len(times) // 2]
    reader = appliance.connect()
    fetched = reader.received(["load."], since=5 * 3600.0, timeout=0.5)
    assert [bytes(event.event_map) for event in fetched] == [entry.data for entry in entries]
    assert [entry.log_time for entry in appliance.log("load.") if entry.log_time > middle] == times[len(times) // 2 + 1 :]
    assert_kept(appliance)


@pytest.mark.parametrize("jump", [-HOUR, HOUR], ids=["back", "forward"])
def test_commands_are_answered_after_the_clock_has_jumped(appliance: Appliance, jump: int) -> None:
    appliance.set_clock(0)
    start(appliance, "hub", "recorder")
    appliance.connect()
    appliance.set_clock(jump)
    asked = appliance.bus("call", "recorder.status")

    assert (asked.returncode, asked.stderr) == (0, "")


def test_two_processes_with_one_source_name_are_two_streams_that_are_both_kept(appliance: Appliance) -> None:
    start(appliance, "hub", "recorder")
    publish(appliance, "one", source="twin")
    publish(appliance, "two", source="twin")
    for name in ("one", "two"):
        await_progress(appliance, name)
    stop_publishing(appliance, "one", "two")
    published = sorted(noted(appliance, name, "published")[0] for name in ("one", "two"))
    counts: dict[int, int] = defaultdict(int)
    for entry in appliance.log("load."):
        counts[msgpack.unpackb(entry.data)["epoch"]] += 1

    assert sorted(counts.values()) == published
    assert_kept(appliance)


def test_an_event_over_the_limit_is_refused_by_name_of_the_store_and_takes_no_seq(appliance: Appliance) -> None:
    start(appliance, "hub", "recorder")
    client = appliance.connect()
    client.publish(TOPICS[0], Numbered(n=1, filler=b""))
    with pytest.raises(FrameTooLarge, match=r"65536.*store"):
        client.publish(TOPICS[0], Numbered(n=2, filler=bytes(64 * 1024)))
    client.publish(TOPICS[0], Numbered(n=2, filler=bytes(60 * 1024)))
    client.flush(10)
    giant = json.dumps({"hash": "0" * 64, "size": 1, "kind": "x" * 70_000, "path": "store/x"})
    sent = appliance.bus("send", "artifact.created", "-", stdin=giant)

    assert [msgpack.unpackb(entry.data)["seq"] for entry in appliance.log("load.")] == [1, 2]
    assert (sent.returncode, "store" in sent.stderr, sent.stdout) == (1, True, "")
    assert not appliance.log("artifact.created")


def stall(appliance: Appliance, seconds: float, *load: str) -> int:
    """Two publishers of 1 KiB events and two listeners, of which `sleeper` is stopped for so long. Returns the hub's largest size."""
    start(appliance, "hub", "recorder")
    client = appliance.connect()
    for name in ("waker", "sleeper"):
        listen(appliance, client, name)
    for name in ("first", "second"):
        publish(appliance, name, "--size", "1024", *load)
    top = appliance.spawn("top", "--json")
    assert top.stdout is not None
    assert states(json.loads(top.stdout.readline()))["sleeper"] == "running"
    largest = stop_and_watch(appliance, "sleeper", seconds)
    top.terminate()
    shown = [states(json.loads(line)) for line in top.communicate(timeout=10)[0].splitlines()]
    assert "silent" in {each["sleeper"] for each in shown}
    assert {each["waker"] for each in shown} == {"running"}
    stop_publishing(appliance, "first", "second")
    return largest


def stop_and_watch(appliance: Appliance, name: str, seconds: float) -> int:
    """Let a process stand still for so long; the largest resident size of the hub meanwhile, in bytes."""
    process, hub = psutil.Process(appliance.processes[name].pid), psutil.Process(appliance.processes["hub"].pid)
    process.suspend()
    try:
        return watch(hub, seconds)
    finally:
        process.resume()


def states(snapshot: dict[str, Any]) -> dict[str, str]:
    """The state of each agent as `bus top` shows it."""
    return {row["name"]: row["state"] for row in snapshot["agents"]}


def watch(process: psutil.Process, seconds: float) -> int:
    """The largest resident size, in bytes, that a process has within so many seconds."""
    until, largest = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        largest = max(largest, process.memory_info().rss)
        time.sleep(0.05)
    return largest


def settled(appliance: Appliance, name: str) -> dict[str, list[int]]:
    """What a listener has been handed, once nothing more comes."""
    file, quiet_since, size = notes(appliance).with_name("heard") / name, time.monotonic(), -1
    while time.monotonic() < quiet_since + QUIET:
        if file.stat().st_size != size:
            quiet_since, size = time.monotonic(), file.stat().st_size
        time.sleep(0.1)
    return heard(appliance, name)


def everything(appliance: Appliance) -> dict[str, list[int]]:
    """What a listener has been handed that missed nothing and got nothing twice."""
    return {source: list(range(1, noted(appliance, source, "published")[0] + 1)) for source in ("first", "second")}


@pytest.mark.parametrize("seconds", [7.0, pytest.param(30.0, marks=pytest.mark.slow)])
def test_a_stalled_subscriber_slows_nobody_and_costs_the_hub_little(appliance: Appliance, seconds: float) -> None:
    largest = stall(appliance, seconds, "--rate", "1500")
    found = {source: sorted(set(numbers)) for source, numbers in settled(appliance, "waker").items()}

    assert largest < HUB_SIZE
    assert found == everything(appliance)
    assert_kept(appliance)


@pytest.mark.parametrize(
    ("seconds", "load"),
    [(7.0, ()), pytest.param(30.0, (), marks=[pytest.mark.slow, pytest.mark.timeout(600)])],
    ids=["7 s at full load", "30 s at full load"],
)
def test_a_subscriber_that_stalled_has_every_durable_event_once_and_each_topic_in_order(
    appliance: Appliance, seconds: float, load: tuple[str, ...]
) -> None:
    largest = stall(appliance, seconds, *load)

    assert largest < HUB_SIZE
    for name in ("sleeper", "waker"):
        found = settled(appliance, name)
        assert "were missed" not in appliance.output(name), appliance.output(name)
        wanted = everything(appliance)
        assert {source: (len(numbers), sorted(set(wanted[source]) - set(numbers))[:20]) for source, numbers in found.items()} == {
            source: (len(numbers), []) for source, numbers in wanted.items()
        }
        for numbers, is_second in itertools.product(found.values(), (False, True)):
            of_topic = [n for n in numbers if (n % 7 == 0) == is_second]  # as publish.py divides them
            assert of_topic == sorted(of_topic)


POSE = Topic("load.pose", Numbered, delivery=LATEST)
HANDLED = Command("watcher.handled", Nothing, Numbered)


class Watcher(Agent):
    """Follows poses and durable events, and says how many poses it has handled."""

    name = "watcher"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.poses = 0

    @on(POSE)
    def pose(self, event: Event[Numbered]) -> None:
        self.poses += 1

    @on(TOPICS[0])
    def event(self, event: Event[Numbered]) -> None:
        """Only to be behind with."""

    @answers(HANDLED)
    def handled(self, request: Nothing) -> Numbered:
        return Numbered(n=self.poses, filler=b"")


def test_poses_and_commands_do_not_wait_for_a_recorder_that_is_asked_for_what_was_missed(appliance: Appliance) -> None:
    start(appliance, "hub", "recorder")
    client = appliance.connect()
    appliance.wait_for_agent(client, "recorder")
    recorder = psutil.Process(appliance.processes["recorder"].pid)
    with serving(appliance, Watcher):
        recorder.suspend()
        missed = Recorded(group=1, after=0, end=time.time_ns(), streams=[])  # of another recorder: anything may be missing
        client.publisher.send_control(RECORDED, missed)
        for n in range(1, 31):
            client.publish(POSE, Numbered(n=n, filler=b""))
            time.sleep(0.05)
            if n % 10 == 0:
                assert client.call(HANDLED, timeout=1).n >= n - 1
        stopped_at = time.monotonic()
    assert time.monotonic() - stopped_at < FILL_TIMEOUT + FLUSH_TIMEOUT, "it leaves without the page that it had asked for"
    recorder.resume()


def test_with_a_hub_that_stands_still_latest_events_are_dropped_and_counted_and_durable_ones_wait(appliance: Appliance) -> None:
    start(appliance, "hub", "recorder")
    client = appliance.connect()
    hub = psutil.Process(appliance.processes["hub"].pid)
    hub.suspend()
    for n in range(1, 20_001):
        client.publish(POSE, Numbered(n=n, filler=bytes(100)))
    for n in range(1, client.publisher.ring.capacity + 1):
        client.publish(TOPICS[0], Numbered(n=n, filler=b""))
    with pytest.raises(BusFull, match="4000 events"):
        client.publish(TOPICS[0], Numbered(n=0, filler=b""), timeout=0.3)

    assert client.publisher.published[POSE.name] == 20_000
    assert 0 < client.publisher.dropped < 20_000
    dropped = client.publisher.dropped
    hub.resume()
    client.flush(30)
    delivered = wait_for(lambda: appliance.log(POSE.name), "poses in the log")
    assert len(delivered) <= 20_000 - dropped


def test_a_subscriber_becomes_ready_though_the_hub_was_killed_after_it_had_connected(appliance: Appliance) -> None:
    start(appliance, "hub")
    client = appliance.connect()
    subscriber = Subscriber(client.context, client.addresses, ["load."], on_rejected=client.rejections.add)
    client.publisher.listeners.wait(TOPICS[0].delivery, b"load.", 5)
    appliance.processes["hub"].kill()
    appliance.processes["hub"].wait(10)
    start(appliance, "hub")
    subscriber.await_ready(client.publisher, 5)
    client.publish(TOPICS[0], Numbered(n=1, filler=b""))

    assert subscriber.wait(5)
    assert [event.envelope.seq for event in subscriber.drain()] == [1]
    subscriber.close()
