"""The bus with real processes: delivery through restarts, commands, strangers and bad input."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import select
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
import zmq
from conftest import CHECKOUT, STOP_TIMEOUT, Appliance, wait_for
from serving import serving

from bus.address import ipc_addresses
from bus.agent import Agent, on
from bus.client import Client
from bus.errors import AgentGone, BusError, BusFull, BusTimeout, CommandRefused, NoHub, NoSuchAgent
from bus.event import Event
from bus.lifecycle import ERROR, EXITED, HEARTBEAT, REJECTED, STOPPED
from bus.ring import FIRST_RESEND
from bus.subscriber import Received, Subscriber
from bus.supervisor import AGENT_PATIENCE
from bus.topic import LATEST, Command, Nothing, Topic
from bus.wire import Ack
from schemas import power, system, train

NUMBER = Topic("test.number", train.Eval)
POSE = Topic("test.pose", train.Eval, delivery=LATEST)


def number(n: int) -> train.Eval:
    return train.Eval(step=n, loss=float(n), bits_per_byte=0.0, tokens=n)


def step(n: int) -> train.Step:
    return train.Step(step=n, loss=1.0, learning_rate=0.0, grad_norm=0.0, seconds=1.0, tokens=1, tokens_per_second=1.0)


def recorded_steps(appliance: Appliance, topic: str = NUMBER.name) -> list[int]:
    return [msgpack.unpackb(entry.data)["data"]["step"] for entry in appliance.log(topic)]


class Endless(Agent):
    """Never comes to the end of its stop."""

    publishes = (NUMBER,)

    async def stop(self) -> None:
        self.publish(NUMBER, number(1))
        await asyncio.Event().wait()


class Watcher(Agent):
    """Reads a topic, of which it wants to know the last event."""

    @on(NUMBER, last=True)
    def watch(self, event: Event[train.Eval]) -> None:
        """Nothing to do."""


def in_forked_child(client: Client, use: Callable[[Client], object]) -> str:
    """What `use` returns or raises in a child that is forked while another thread holds the client's lock."""
    read, write = os.pipe()
    held, forked = threading.Event(), threading.Event()

    def hold() -> None:
        with client.publisher.lock:
            held.set()
            forked.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(10)
    if (child := os.fork()) == 0:
        try:
            os.write(write, str(use(client)).encode())
        except Exception as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    forked.set()
    holder.join(10)
    ended, _, _ = select.select([read], [], [], 5)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(write)
    with os.fdopen(read) as said:
        assert ended, "the child hangs"
        return said.read()


def test_what_flush_returned_for_is_on_disk_once_and_in_order(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    for n in range(5000):
        client.publish(NUMBER, number(n))
    client.flush(20)

    assert recorded_steps(appliance) == list(range(5000))


def test_a_subscriber_that_is_ready_misses_nothing(appliance: Appliance) -> None:
    appliance.start("hub")
    publisher, reader = appliance.connect("publisher"), appliance.connect("reader")
    events = reader.events(NUMBER, timeout=10)
    first = threading.Thread(target=lambda: [publisher.publish(NUMBER, number(n)) or time.sleep(0.001) for n in range(300)])
    got = []
    ready = threading.Event()

    def read() -> None:
        ready.set()
        got.extend(event.data.step for event in itertools.islice(events, 300))

    reading = threading.Thread(target=read)
    reading.start()
    ready.wait(5)
    wait_for(lambda: any(p.startswith(b"test.number") for p in publisher.publisher.listeners.heard[NUMBER.delivery]), "the subscription")
    first.start()
    first.join(20)
    reading.join(20)
    assert got == list(range(300))


def test_a_reader_that_falls_behind_gets_the_rest_from_the_log(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    publisher, reader = Client("publisher", ipc_addresses(appliance.home), batching=False), appliance.connect("reader")
    publisher.await_ready(10)
    events = reader.events(NUMBER, timeout=5)
    for n in range(20_000):  # more than its socket and the hub keep for it
        publisher.publish(NUMBER, number(n), timeout=30)
    publisher.close()

    assert [event.data.step for event in events] == list(range(20_000))
    assert reader.gaps == 0


def test_the_last_value_comes_first_where_it_is_asked_for(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    for n in range(3):
        client.publish(NUMBER, number(n))
    client.publish(POSE, number(7))
    client.flush(10)
    wait_for(lambda: appliance.log(POSE.name), "the recorded pose")
    events = client.events(NUMBER, POSE, last=True, timeout=2)
    client.publish(NUMBER, number(3))

    assert [(event.topic, event.data.step) for event in events] == [(NUMBER.name, 2), (POSE.name, 7), (NUMBER.name, 3)]


def test_history_and_live_events_join_without_a_gap(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client, reader = appliance.connect("publisher"), appliance.connect("reader")
    for n in range(100):
        client.publish(NUMBER, number(n))
    client.flush(10)
    events = reader.events(NUMBER, since="10m", timeout=10)

    assert [next(events).data.step for _ in range(100)] == list(range(100))
    client.publish(NUMBER, number(100))
    assert next(events).data.step == 100


@pytest.mark.parametrize("victim", ["recorder", "hub"])
def test_killing_it_in_mid_stream_loses_nothing(appliance: Appliance, victim: str) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    client.publish(NUMBER, number(0))
    client.flush(10)
    for n in range(1, 3000):
        if n in (500, 1500):
            appliance.kill(victim)
        client.publish(NUMBER, number(n), timeout=30)
        if n % 100 == 0:
            time.sleep(0.01)
    client.flush(30)

    assert recorded_steps(appliance) == list(range(3000))
    wait_for(lambda: appliance.log(EXITED.name), "the supervisor's report of the exit")


def test_events_published_before_the_recorder_is_there_are_kept(appliance: Appliance) -> None:
    appliance.start("hub")
    client = appliance.connect()
    for n in range(100):
        client.publish(NUMBER, number(n))
    with pytest.raises(BusTimeout, match="recorder"):
        client.flush(0.3)
    appliance.start("recorder")
    client.flush(20)

    assert recorded_steps(appliance) == list(range(100))


def test_without_a_hub_connecting_says_so(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    import bus

    monkeypatch.setenv("BUS_HOME", str(appliance.home.root))
    with pytest.raises(NoHub, match=r"\./dev up"):
        bus.connect("test", timeout=0.3)


def test_commands_are_answered_refused_or_fail_at_once(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    client = appliance.connect()
    wait_for(lambda: appliance.log("agent.manifest") and len(appliance.log("agent.manifest")) == 2, "two manifests")

    assert client.call(power.SET_RATE, power.SetRate(hz=5), timeout=5).hz == 5
    with pytest.raises(CommandRefused) as refusal:
        client.call(power.SET_RATE, power.SetRate(hz=1e9), timeout=5)
    assert refusal.value.code != "failed"
    with pytest.raises(CommandRefused, match="set_rate"):
        client.call(Command("power.set_rates", power.SetRate, power.Rate), power.SetRate(hz=5), timeout=5)
    with pytest.raises(NoSuchAgent, match="trainer"):  # told at once: waiting would be a BusTimeout
        client.call(train.STATUS, timeout=0.001)
    wait_for(lambda: {"command.power.set_rate"} <= {entry.topic for entry in appliance.log("command.")}, "the command in the log")
    wait_for(lambda: appliance.log("reply."), "the replies in the log")


def test_an_agent_that_dies_while_it_runs_a_command_is_gone(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    client = appliance.connect()
    appliance.wait_for_agent(client, "power")
    process = appliance.child("power")
    process.suspend()
    threading.Timer(0.3, process.kill).start()

    with pytest.raises(AgentGone, match="may have run"):
        client.call(power.STATUS, timeout=20)


def test_a_command_that_times_out_may_have_run(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    client = appliance.connect()
    appliance.wait_for_agent(client, "power")
    process = appliance.child("power")
    process.suspend()
    with pytest.raises(BusTimeout, match="may have run"):
        client.call(power.STATUS, timeout=0.3)
    process.resume()


def test_latest_events_travel_on_their_own_plane_and_are_logged(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client, reader = appliance.connect("publisher"), appliance.connect("reader")
    events = reader.events(POSE, timeout=10)
    for n in (1, 2):
        client.publish(POSE, number(n))

    assert [next(events).data.step for _ in range(2)] == [1, 2]
    wait_for(lambda: recorded_steps(appliance, POSE.name) == [1, 2], "the poses in the log")
    assert len(client.publisher.ring) == 0


FOREIGN = """
import sys, time, msgpack, zmq
context = zmq.Context()
sub = context.socket(zmq.SUB)
sub.connect("ipc://run/events.out")
sub.subscribe(b"test.number\\0")
sub.subscribe(b"~ready.foreign")
pub = context.socket(zmq.XPUB)
pub.connect("ipc://run/events.in")
heard = set()
while not {b"\\x01", b"\\x01~ready.foreign"} <= heard:
    assert pub.poll(10000), "no hub"
    heard.add(pub.recv())
pub.send(b"lab.temperature\\0" + msgpack.packb([{"source": "thermometer", "time": time.time_ns(), "data": {"celsius": 21.5}}]))
assert sub.poll(20000), "no event"
topic, _, body = sub.recv().partition(b"\\0")
(event,) = msgpack.unpackb(body)
assert "bus" not in sys.modules
print(topic.decode(), event["source"], event["data"]["step"])
"""


def test_strangers_with_only_pyzmq_and_msgpack_join_from_the_page(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    stop = threading.Event()

    def keep_publishing() -> None:
        while not stop.wait(0.05):
            client.publish(NUMBER, number(7))

    thread = threading.Thread(target=keep_publishing)
    thread.start()
    try:
        stranger = appliance.script(FOREIGN)
    finally:
        stop.set()
        thread.join()
    assert (stranger.stdout, stranger.stderr) == ("test.number test 7\n", "")
    (entry,) = wait_for(lambda: appliance.log("lab.temperature"), "the stranger's event in the log")
    assert msgpack.unpackb(entry.data)["data"] == {"celsius": 21.5}


def test_bad_input_is_counted_reported_and_harms_nobody(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    client = appliance.connect()
    wait_for(lambda: len(appliance.log("agent.manifest")) == 2, "two manifests")
    pids = {name: appliance.child(name).pid for name in ("hub", "recorder", "power")}
    good = {"source": "x", "time": 1, "data": {}}
    frames = [
        b"garbage",
        b"",
        b"\xff" * 1000,
        b"train.step\0\xc1",
        b"train.step\0" + msgpack.packb([{**good, "source": "../x"}]),
        b"train.step\0" + msgpack.packb([{**good, "time": "noon"}]),
        b"train.step\0\xdd\x40\x00\x00\x00",
        b"train.step\0\x91\xc6\x40\x00\x00\x00",
        b"unknown.topic\0" + msgpack.packb([good]),
        b"command.power.set_rate\0" + msgpack.packb([good]),
        b"command.power.set_rate\0" + msgpack.packb([{**good, "data": {"inbox": "../x", "deadline": 1, "request": {}}}]),
        b"bus.ack.power\0" + msgpack.packb([{**good, "data": {"epoch": "x"}}]),
    ]
    context = zmq.Context()
    socket = context.socket(zmq.XPUB)
    socket.connect(f"ipc://{appliance.home.run}/events.in")
    assert socket.poll(5000)
    assert socket.recv() == b"\x01"
    for frame in frames:
        socket.send(frame)
    huge = context.socket(zmq.PUB)
    huge.connect(f"ipc://{appliance.home.run}/events.in")
    monitor = huge.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    time.sleep(0.2)
    huge.send(b"train.step\0" + bytes(8 * 1024 * 1024))
    assert monitor.poll(5000), "the hub did not close the connection of a frame over its limit"
    huge.disable_monitor()

    wait_for(lambda: {msgpack.unpackb(e.data)["data"]["topic"] for e in appliance.log(REJECTED.name)} >= {"train.step", "?"}, "the reports")
    wait_for(lambda: appliance.log("unknown.topic"), "the event of an unknown topic, kept")
    client.publish(NUMBER, number(1))
    client.flush(10)
    assert client.call(power.SET_RATE, power.SetRate(hz=5), timeout=5).hz == 5
    assert {name: appliance.child(name).pid for name in pids} == pids
    context.destroy(linger=0)


def test_a_disk_that_refuses_stops_acknowledgements_and_recovers_by_itself(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    client.publish(NUMBER, number(0))
    client.flush(10)
    recorder = appliance.child("recorder").pid
    unlimited = resource.prlimit(recorder, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    for n in range(1, 50):
        client.publish(NUMBER, number(n))
    with pytest.raises(BusTimeout):
        client.flush(1)
    assert client.call(system.STATUS, timeout=5).state == "degraded"
    resource.prlimit(recorder, resource.RLIMIT_FSIZE, unlimited)
    client.flush(20)

    assert recorded_steps(appliance) == list(range(50))
    wait_for(lambda: client.call(system.STATUS, timeout=5).state == "running", "the recorder to recover")
    assert appliance.child("recorder").pid == recorder


def test_the_second_of_a_kind_exits_with_75(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    appliance.connect()
    wait_for(lambda: appliance.log("agent.manifest"), "the recorder")

    for name in ("hub", "recorder"):
        second = appliance.bus("run", name)
        assert second.returncode == 75
        assert "already running" in second.stderr + second.stdout


@pytest.mark.parametrize(
    "use",
    [
        lambda client: client.publish(NUMBER, number(1)),
        lambda client: client.flush(1),
        lambda client: client.call(system.STATUS, timeout=1),
        lambda client: next(client.events(NUMBER, timeout=1)),
        lambda client: client.await_ready(1),
    ],
    ids=["publish", "flush", "call", "events", "await_ready"],
)
def test_whatever_a_forked_child_wants_of_its_parent_s_client_is_refused(appliance: Appliance, use: Callable[[Client], object]) -> None:
    appliance.start("hub")
    client = appliance.connect()

    assert "fork" in in_forked_child(client, use)


def test_closing_in_a_forked_child_does_nothing_and_ends(appliance: Appliance) -> None:
    appliance.start("hub")
    client = appliance.connect()
    client.publish(NUMBER, number(1))

    assert in_forked_child(client, Client.close) == "None"


@pytest.mark.parametrize("number_", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_each_way_to_stop_ends_everything_with_all_on_disk(appliance: Appliance, number_: signal.Signals) -> None:
    appliance.start("hub", "recorder", "power")
    wait_for(lambda: len(appliance.log("power.sample")) > 3, "power samples")
    for process in appliance.processes.values():
        process.send_signal(number_)
    codes = [process.wait(10) for process in appliance.processes.values()]

    assert codes == [0, 0, 0]
    assert [p for p in appliance.home.log.iterdir() if "open" in p.name] == []
    assert len(appliance.log("agent.stopped")) == 2
    assert b"not on disk" not in subprocess.run(["cat", str(appliance.home.root / "power.out")], capture_output=True, check=True).stdout


def test_an_agent_whose_stop_does_not_end_leaves_in_time_with_all_on_disk(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    with serving(appliance, Endless):
        told = time.monotonic()
    assert time.monotonic() - told < AGENT_PATIENCE

    assert recorded_steps(appliance) == [1]
    assert [event.data.handler for event in client.events(ERROR, since="1m", timeout=1)] == ["stop"]
    assert len(appliance.log(STOPPED.name)) == 1


def test_an_agent_that_is_told_to_stop_while_the_recorder_does_not_answer_leaves_in_time(appliance: Appliance) -> None:
    appliance.start("hub")
    recorder = appliance.process("recorder")
    appliance.connect()
    recorder.send_signal(signal.SIGSTOP)
    with serving(appliance, Watcher):
        told = time.monotonic()
    left = time.monotonic()
    recorder.send_signal(signal.SIGCONT)

    assert left - told < AGENT_PATIENCE


def test_a_supervisor_that_is_killed_takes_its_agent_with_it(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    wait_for(lambda: len(appliance.log("agent.manifest")) == 2, "two manifests")
    agent = appliance.child("power")
    appliance.processes["power"].kill()

    wait_for(lambda: not agent.is_running(), "the agent to leave", 10)


def test_kill_9_of_everything_at_once_loses_nothing_that_was_acknowledged(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    client = appliance.connect()
    for n in range(500):
        client.publish(NUMBER, number(n))
    client.flush(10)
    for n in range(500, 520):
        client.publish(NUMBER, number(n))
    for process in sorted(appliance.left_over(), key=lambda each: "run" not in each.cmdline()):
        process.kill()
    appliance.leave()
    appliance.processes.clear()
    appliance.start("hub", "recorder")
    again = appliance.connect("again")
    again.publish(NUMBER, number(1000))
    again.flush(10)

    steps = recorded_steps(appliance)
    assert steps[:500] == list(range(500))
    assert steps[500:] == [*range(500, 500 + len(steps) - 501), 1000]


def test_what_piled_up_while_the_recorder_was_away_is_soon_on_disk(appliance: Appliance) -> None:
    appliance.start("hub")
    client = appliance.connect()
    for n in range(client.publisher.ring.capacity - 1):
        client.publish(NUMBER, number(n))
    appliance.start("recorder")
    appliance.wait_for_agent(client, "recorder")
    client.flush(20)

    assert recorded_steps(appliance) == list(range(client.publisher.ring.capacity - 1))


def test_a_full_ring_blocks_and_then_raises(appliance: Appliance) -> None:
    appliance.start("hub")
    client = appliance.connect()
    for n in range(client.publisher.ring.capacity):
        client.publish(NUMBER, number(n))
    with pytest.raises(BusFull, match="recorder"):
        client.publish(NUMBER, number(client.publisher.ring.capacity), timeout=0.2)
    appliance.start("recorder")
    client.publish(NUMBER, number(client.publisher.ring.capacity), timeout=30)  # waits for room, which comes
    client.flush(30)

    assert recorded_steps(appliance) == list(range(client.publisher.ring.capacity + 1))


def test_a_log_that_was_lost_goes_on_with_a_recorded_gap(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    for n in range(100):
        client.publish(NUMBER, number(n))
    client.flush(10)
    appliance.lose_log(client)
    client.publish(NUMBER, number(100))
    client.flush(20)

    assert recorded_steps(appliance) == [100]
    (gap,) = appliance.log("recorder.gap")
    assert msgpack.unpackb(gap.data)["data"] == {"source": "test", "epoch": client.publisher.epoch, "first": 1, "last": 100}


def test_nobody_outlives_a_supervisor_that_was_killed(appliance: Appliance) -> None:
    appliance.start("hub", "power")
    children = [appliance.child(name) for name in ("hub", "power")]
    for name in ("hub", "power"):
        appliance.processes[name].kill()

    wait_for(lambda: not any(child.is_running() for child in children), "hub and agent to leave", 15)


def test_an_acknowledgement_of_another_epoch_is_ignored(appliance: Appliance) -> None:
    appliance.start("hub")
    client, other = appliance.connect(), appliance.connect("recorder")
    client.publish(NUMBER, number(1))
    other.publisher.send_control("bus.ack.test", Ack(epoch=1, last=1))
    other.publisher.send_control("bus.ack.test", Ack(epoch=client.publisher.epoch, last=0))
    with pytest.raises(BusTimeout):
        client.flush(0.5)
    other.publisher.send_control("bus.ack.test", Ack(epoch=client.publisher.epoch, last=1))
    client.flush(5)


@pytest.mark.parametrize("bad", [{"run": "My Run"}, {"run": "../x"}, {"cause": "x" * 600}, {"time": -1}])
def test_an_event_that_no_reader_would_take_is_refused_and_leaves_no_hole(appliance: Appliance, bad: dict[str, Any]) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    with pytest.raises(ValueError, match=next(iter(bad))):
        client.publish(NUMBER, number(1), **bad)
    client.publish(NUMBER, number(2))
    client.flush(10)

    assert recorded_steps(appliance) == [2]


def test_a_source_that_is_no_safe_name_cannot_connect(appliance: Appliance) -> None:
    with pytest.raises(ValueError, match="My Notebook"):
        appliance.connect("My Notebook")


def test_closing_twice_or_in_a_forked_child_harms_nobody(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    if (child := os.fork()) == 0:
        client.abandon()
        os._exit(0)
    os.waitpid(child, 0)
    client.publish(NUMBER, number(1))
    client.flush(10)
    client.close()
    with tempfile.TemporaryFile() as file:  # takes the descriptor that the connection had
        client.close()
        assert file.tell() == file.seek(0, os.SEEK_END) == 0


def test_closing_ends_a_call_that_waits_for_its_reply(appliance: Appliance) -> None:
    appliance.start("hub")
    silent, caller = appliance.connect("silent"), appliance.connect("caller")
    never = Subscriber(silent.context, silent.addresses, ["command.silent."], on_rejected=lambda *_: None)
    appliance.wait_for_agent(caller, "silent")
    said: list[str] = []

    def call() -> None:
        with pytest.raises(BusError) as refused:
            caller.call(Command("silent.ask", Nothing, Nothing), timeout=30)
        said.append(str(refused.value))

    calling = threading.Thread(target=call)
    calling.start()
    wait_for(never.drain, "the command")
    caller.abandon()
    calling.join(5)
    never.close()

    assert "caller is closed" in said[0]


def test_events_are_seen_from_the_call_on(appliance: Appliance) -> None:
    appliance.start("hub")
    publisher, reader = appliance.connect("publisher"), appliance.connect("reader")
    events = reader.events(NUMBER, timeout=10)
    publisher.publish(NUMBER, number(1))

    assert next(events).data.step == 1


def test_many_callers_do_not_pile_up_in_an_agent(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "power")
    for n in range(20):
        caller = appliance.connect(f"caller-{n}")
        appliance.wait_for_agent(caller, "power")
        caller.call(power.STATUS, timeout=10)
        caller.abandon()
    reader = appliance.connect("reader")
    beats = {beat.source: beat.data for beat in itertools.islice(reader.events(HEARTBEAT, timeout=10), 6)}

    assert not [topic for beat in beats.values() for topic in beat.published if topic.startswith(("reply.", "bus."))]
    assert not [topic for topic in reader.call(system.STATUS, timeout=5).recorded if topic.startswith("reply.caller")]


def test_the_recorder_leaves_in_time_with_a_watcher_attached_and_a_disk_that_refuses(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    wait_for(lambda: appliance.log("agent.manifest"), "the manifest")
    resource.prlimit(appliance.child("recorder").pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    client.publish(NUMBER, number(1))
    wait_for(lambda: client.call(system.STATUS, timeout=5).state == "degraded", "the recorder to notice")
    appliance.processes["recorder"].terminate()

    assert appliance.processes["recorder"].wait(15) == 0
    assert "killed" not in appliance.output("recorder")


def test_the_code_on_the_page_works_as_it_stands(appliance: Appliance) -> None:
    page = (CHECKOUT / "docs" / "wire.md").read_text().split("nothing but pyzmq and msgpack\n")[1]
    code = "\n".join(line[4:] for line in page.splitlines() if line.startswith("    "))
    appliance.start("hub", "recorder")
    client = appliance.connect()
    results: list[subprocess.CompletedProcess[str]] = []
    process = threading.Thread(target=lambda: results.append(appliance.script(code.replace("60_000", "3000"))))
    process.start()
    for _ in range(20):
        client.publish(train.STEP, step(7), run="r1")
        process.join(0.1)
    process.join(60)

    assert results[0].stderr == ""
    assert "r1 7" in results[0].stdout
    sequence = [msgpack.unpackb(entry.data).get("seq", 0) for entry in appliance.log("lab.temperature")]
    assert sequence == [0, *range(1, 101)]


def test_the_last_of_a_batch_goes_out_by_itself(appliance: Appliance) -> None:
    appliance.start("hub")
    client, other = appliance.connect(), appliance.connect("other")
    numbers = other.events(NUMBER, timeout=5)
    waits = []
    for n in range(1, 31):
        client.publish(NUMBER, number(n))  # goes at once, or is the first of a batch
        client.publish(NUMBER, number(n))  # waits for company that does not come
        began = time.monotonic()
        assert [next(numbers).data.step for _ in range(2)] == [n, n]
        waits.append(time.monotonic() - began)
        time.sleep(0.02 * (n % 3))
    assert statistics.median(waits) < FIRST_RESEND / 4, "sent in its time, not when the I/O thread happens to look"


def test_the_last_value_hides_nothing_that_is_on_its_way(appliance: Appliance, monkeypatch: pytest.MonkeyPatch) -> None:
    appliance.start("hub", "recorder")
    client, other = appliance.connect(), appliance.connect("other")
    appliance.wait_for_agent(client, "recorder")
    ask = client.newest

    def ask_late(*arguments: Any) -> Iterator[Received]:
        for n in range(1, 6):
            other.publish(NUMBER, number(n))
        other.flush(10)
        return ask(*arguments)

    monkeypatch.setattr(client, "newest", ask_late)
    numbers = client.events(NUMBER, last=True, timeout=5)
    assert [next(numbers).data.step for _ in range(5)] == [1, 2, 3, 4, 5]
    assert client.gaps == 0


def test_an_agent_that_is_still_starting_leaves_when_it_is_told_to(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    appliance.connect()
    slow = appliance.party("slow", "slow_start.py")
    wait_for(lambda: "starting" in appliance.output("slow"), "its start")

    slow.terminate()

    assert slow.wait(STOP_TIMEOUT) == 0
    assert "cancelled" in appliance.output("slow")
