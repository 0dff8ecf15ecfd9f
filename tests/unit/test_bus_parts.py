"""The small pure pieces of the bus: names, homes, locks, addresses, settings, back-off, history, rejections."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw, Struct

from bus.address import tcp_addresses
from bus.agent import MOST_MEASURES
from bus.errors import LockHeld
from bus.heartbeat import told
from bus.history import Seen, since_time
from bus.home import Home, NoHome, find_home
from bus.lifecycle import Heartbeat
from bus.lock import hold, is_held
from bus.rejection import Rejections
from bus.settings import BadSettings, load
from bus.subscriber import Received, subscription
from bus.supervisor import FAILURES, HEALTHY_SECONDS, LAST_DELAY, Backoff
from bus.topic import ArtifactPath, Command, Delivery, Name, Topic
from bus.wire import Envelope


class Knobs(Struct, frozen=True, kw_only=True):
    steps: int = 10
    data: str | None = None
    autostart: bool = True


@pytest.mark.parametrize("name", ["train.step", "train.run.started", "xr.pose.hand.left"])
def test_a_topic_is_named_domain_noun_and_up_to_two_words(name: str) -> None:
    assert Topic(name, Knobs).name == name


@pytest.mark.parametrize("name", ["train", "Train.step", "train..step", "a.b.c.d.e", "train.step\n", "train-x.step", ".step"])
def test_other_topic_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="topic name"):
        Topic(name, Knobs)


def test_a_command_knows_its_agent_and_verb() -> None:
    command = Command("trainer.start", Knobs, Knobs)

    assert (command.agent, command.verb, command.topic) == ("trainer", "start", "command.trainer.start")
    with pytest.raises(ValueError, match=r"agent\.verb"):
        Command("trainer.run.start", Knobs, Knobs)


@pytest.mark.parametrize("path", ["../x", "a/../b", "a/..", "..", "/a", "a\n", ""])
def test_an_artifact_path_stays_below_artifacts(path: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(path, ArtifactPath)


def test_names_end_where_they_end() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("a\n", Name)


def test_home_is_the_environment_s_then_the_nearest_procfile_of_ours(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("hub: exec bus run hub\n")
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "Procfile").write_text("web: python -m http.server\n")

    assert find_home({"BUS_HOME": str(inner)}, tmp_path).root == inner
    assert find_home({}, inner).root == tmp_path


def test_a_socket_path_over_the_limit_moves_to_a_short_private_folder(tmp_path: Path) -> None:
    home = Home(tmp_path / ("x" * 120))

    assert home.sockets({"XDG_RUNTIME_DIR": "/run/user/1"}).parent == Path("/run/user/1/zeropoint")
    assert str(home.sockets({})).startswith(f"/tmp/zeropoint-{os.getuid()}/")
    assert home.sockets({}) != Home(tmp_path / ("y" * 120)).sockets({})
    assert Home(Path("/short")).sockets({}) == Path("/short/run")


def test_a_run_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NoHome, match="run"):
        Home(tmp_path).prepare()


def test_the_run_folder_is_private(tmp_path: Path) -> None:
    Home(tmp_path).prepare()

    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o700


def test_a_lock_has_one_holder_and_dies_with_it(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    code = (
        "import sys, time; from pathlib import Path; from bus.lock import hold\n"
        "with hold(Path(sys.argv[1]), 'x'): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert is_held(path)
        with pytest.raises(LockHeld, match=str(holder.pid)), hold(path, "x"):
            pass
        holder.kill()
    assert not is_held(path)
    with hold(path, "x"):
        assert is_held(path)


@pytest.mark.parametrize(
    "url", ["tcp://192.168.1.5:7447", "tcp://example.com:7447", "tcp://0.0.0.0:7447", "ipc:///tmp/x", "tcp://127.0.0.1"]
)
def test_only_loopback_addresses_are_taken(url: str) -> None:
    with pytest.raises(ValueError, match="hub address"):
        tcp_addresses(url)


def test_a_tcp_hub_has_four_ports_in_a_row() -> None:
    addresses = tcp_addresses("tcp://[::1]:7447")

    assert (addresses.events.inlet, addresses.latest.outlet) == ("tcp://[::1]:7447", "tcp://[::1]:7450")


def test_settings_come_from_the_file_and_then_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "bus.toml"
    file.write_text('[trainer]\nsteps = 20\ndata = "x"\n')

    assert load(Knobs, "trainer", tmp_path / "none", {}) == Knobs()
    assert load(Knobs, "trainer", file, {}) == Knobs(steps=20, data="x")
    environment = {"BUS_TRAINER_STEPS": "30", "BUS_TRAINER_AUTOSTART": "false"}
    assert load(Knobs, "trainer", file, environment) == Knobs(steps=30, data="x", autostart=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[trainer]\nstep = 1", "steps"), ('[trainer]\nsteps = "x"', "steps"), ("trainer = 1", "table"), ("[", "bus.toml")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bus.toml"
    file.write_text(text)

    with pytest.raises(BadSettings, match=message):
        load(Knobs, "trainer", file, {})


def test_restarts_slow_down_and_end_but_a_healthy_while_begins_anew() -> None:
    backoff = Backoff()
    delays = [backoff.after(1.0) for _ in range(FAILURES)]

    assert delays[:3] == [0.5, 1.0, 2.0]
    assert delays[FAILURES - 2] == LAST_DELAY
    assert delays[FAILURES - 1] is None
    assert backoff.after(HEALTHY_SECONDS) == 0.5


INTERRUPTED = """
import signal, subprocess, sys
from pathlib import Path
from types import SimpleNamespace
from bus import hub, supervisor
from bus.home import Home
from bus.stop import Stop

def interrupt(nth):
    # SIGTERM at the nth line that the main thread runs in any function called wait, from now on.
    left = [nth]
    def each_line(frame, event, argument):
        left[0] -= event == "line"
        if left[0] == 0:
            sys.settrace(None)
            signal.raise_signal(signal.SIGTERM)
        return each_line
    sys.settrace(lambda frame, event, argument: each_line if frame.f_code.co_name == "wait" else None)

def stop_hub(nth):
    hub.Hub = lambda addresses: interrupt(nth) or SimpleNamespace(close=lambda: None)
    hub.run_hub(Home(Path.cwd()))

def stop_supervisor(nth):
    supervisor.Supervisor._start = lambda self: subprocess.Popen(["false"])
    supervisor.Supervisor._report = lambda *_: interrupt(nth)
    assert supervisor.supervise("power") == 0

def stop_waiting(nth):
    stop = Stop()
    stop.on_signals()
    interrupt(nth)
    assert stop.wait(60)

for nth in (1, 2):
    {"hub": stop_hub, "supervisor": stop_supervisor, "long wait": stop_waiting}[sys.argv[1]](nth)
"""


@pytest.mark.parametrize("who", ["hub", "supervisor", "long wait"])
def test_a_signal_that_interrupts_a_wait_at_any_moment_ends_it(tmp_path: Path, who: str) -> None:
    environment = {**os.environ, "BUS_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, who], cwd=tmp_path, env=environment, timeout=20, check=False)

    assert done.returncode == 0


@pytest.mark.parametrize(("since", "seconds"), [("30s", 30), ("10m", 600), ("1.5h", 5400), ("2d", 172_800), (4, 4), (0.5, 0.5)])
def test_since_is_a_duration(since: str | float, seconds: float) -> None:
    assert since_time(since, now=10**18) == 10**18 - int(seconds * 1e9)


@pytest.mark.parametrize("since", ["10", "m", "10 minutes", "-1s", ""])
def test_a_since_without_a_unit_is_refused(since: str) -> None:
    with pytest.raises(ValueError, match="since"):
        since_time(since)


def received(seq: int, plane: Delivery = Delivery.DURABLE, topic: str = "a.b", time: int = 1, source: str = "s") -> Received:
    envelope = Envelope(source=source, time=time, epoch=1 if seq else 0, seq=seq, data=Raw(b"\xc0"))
    return Received(topic, plane, Raw(msgspec.msgpack.encode(envelope)), envelope)


def test_history_and_live_events_join_without_a_repeat() -> None:
    seen = Seen()
    history = [received(1), received(2), received(1, Delivery.LATEST), received(0, time=5)]
    live = [received(2), received(3), received(1, Delivery.LATEST), received(0, time=5), received(0, time=6), received(1, topic="reply.x")]

    assert all(seen.is_new(event) for event in history)
    assert [seen.is_new(event) for event in live] == [False, True, False, False, True, True]


def test_of_many_streams_the_one_that_was_silent_longest_is_forgotten_first() -> None:
    seen = Seen()
    busy, silent = (received(1, Delivery.LATEST, source=source) for source in ("busy", "silent"))
    assert seen.is_new(busy)
    assert seen.is_new(silent)
    for number in range(1000):
        assert seen.is_new(received(1, topic="command.a.b", source=f"cli-{number}"))
        assert seen.is_new(received(number + 2, Delivery.LATEST, source="busy"))

    assert not seen.is_new(busy)
    assert seen.is_new(silent), "a thousand callers later nothing of it is on its way twice"


def test_the_newest_of_each_topic_is_new_in_whichever_order() -> None:
    seen = Seen()

    assert seen.is_new(received(3, Delivery.LATEST, topic="xr.pose.head"))
    assert seen.is_new(received(2, Delivery.LATEST, topic="xr.pose.hand"))
    assert not seen.is_new(received(2, Delivery.LATEST, topic="xr.pose.hand"))


def test_rejections_are_reported_once_a_topic_and_minute() -> None:
    rejections = Rejections()
    for number in range(3):
        rejections.add("a.b", b"\xff" * 100, f"reason {number}")

    (report,) = rejections.due()
    assert (report.topic, report.count, report.reason, len(report.sample)) == ("a.b", 3, "reason 2", 128)
    rejections.add("a.b", b"", "again")
    assert rejections.due() == []
    assert rejections.total == 4


def test_strangers_cannot_fill_the_memory_with_topics() -> None:
    rejections = Rejections()
    for number in range(1000):
        rejections.add(f"t{number}", b"", "")

    assert len(rejections.due()) <= 257


@pytest.mark.parametrize(("pattern", "prefix"), [("", b""), ("train.", b"train."), ("train.step", b"train.step\0")])
def test_a_subscription_matches_everything_a_domain_or_one_topic(pattern: str, prefix: bytes) -> None:
    assert subscription(pattern) == prefix


def test_a_heartbeat_has_an_agent_s_first_measures_and_no_more_than_fit_a_screen() -> None:
    measures = {f"figure {number}, ms": float(number) for number in range(MOST_MEASURES + 3)}

    assert list(told(measures)) == list(measures)[:MOST_MEASURES]
    assert told({"page to bus p50, ms": 0.8}) == {"page to bus p50, ms": 0.8}


def test_a_heartbeat_of_an_agent_that_knows_no_measures_is_read_without_any() -> None:
    before = {"state": "running", "uptime": 1.0, "memory": 1, "cpu": 0.0, "restarts": 0, "published": {}, "received": 0, "undecodable": 0}

    assert msgspec.convert({**before, "dropped": 0, "waiting": 0}, Heartbeat).measures == {}
