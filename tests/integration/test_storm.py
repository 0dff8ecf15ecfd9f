"""`kill -9` at random instants over hub, recorder and publishers under load: what was acknowledged is in the log once and in order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import Appliance, wait_for
from mcap.reader import make_reader
from mcap.records import Channel
from mcap.writer import Writer
from parties.publish import TOPICS, Numbered

CHECKER = Path(__file__).parent / "check_log.py"
PUBLISHERS = ("first", "second", "third")
LONGEST_PAUSE = 0.8
"""Seconds between two kills, at most: a recorder takes about as long to start, so that some are hit in their start, some at work."""
SHARE_IN_FULL_SWING = 0.3
"""Of the kills, how many wait until events are acknowledged again: what is left hits processes that are still finding each other."""
LEAVE_TIMEOUT = 90.0


def notes(appliance: Appliance) -> Path:
    return appliance.home.root / "notes"


def acknowledged(appliance: Appliance) -> dict[str, str]:
    """What each publisher's newest notes say at their end."""
    found = {name: max(notes(appliance).glob(f"{name}-*"), default=None) for name in PUBLISHERS}
    return {name: f"{path.name} {path.read_text().splitlines()[-1:]}" if path else "" for name, path in found.items()}


def check(appliance: Appliance) -> subprocess.CompletedProcess[str]:
    """Run the checker, which knows nothing of the code under test."""
    command = [sys.executable, "-I", str(CHECKER), str(appliance.home.log), str(notes(appliance))]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


class Raw(NamedTuple):
    """One message of a segment."""

    topic: str
    log_time: int
    data: bytes


class Storm:
    """Starts hub, recorder and publishers, kills them at random instants, and starts each again at once."""

    def __init__(self, appliance: Appliance, seed: int) -> None:
        self.appliance = appliance
        self.random = random.Random(seed)
        for name in ("hub", "recorder", *PUBLISHERS):
            self.start(name)

    def start(self, name: str) -> None:
        if name in PUBLISHERS:
            self.appliance.party(name, "publish.py", name, notes(self.appliance), PYTHONFAULTHANDLER="1")
        else:
            self.appliance.process(name, PYTHONFAULTHANDLER="1")

    def kill(self, names: list[str]) -> None:
        """Kill these together, then start them again in random order."""
        for name in names:
            process = self.appliance.processes[name]
            assert process.poll() is None, f"{name} ended by itself:\n{self.appliance.output(name)[-3000:]}"
            process.kill()
        for name in self.random.sample(names, len(names)):
            self.appliance.processes[name].wait(10)
            self.start(name)

    def rage(self, kills: int) -> None:
        """So many kills: mostly of one process, sometimes of several at the same instant, now and then of all."""
        left = kills
        while left > 0:
            if self.random.random() < SHARE_IN_FULL_SWING:
                self.await_progress()
            time.sleep(self.random.uniform(0.0, LONGEST_PAUSE))
            most = self.random.choices((1, 2, 5), weights=(8, 2, 1))[0]
            names = self.random.sample(("hub", "recorder", *PUBLISHERS), min(most, left))
            self.kill(names)
            left -= len(names)

    def await_progress(self) -> None:
        """Return when each publisher has got another acknowledgement: the storm is to hit work, and nobody may be stuck."""
        before = acknowledged(self.appliance)
        deadline = time.monotonic() + LEAVE_TIMEOUT
        while any(acknowledged(self.appliance)[name] == before[name] for name in PUBLISHERS):
            if time.monotonic() > deadline:
                pytest.fail(f"a publisher is stuck, {before} acknowledged\n{self.autopsy()}")
            time.sleep(0.01)

    def calm(self) -> None:
        """Everybody leaves as an appliance does: publishers with all on disk, then the recorder, which closes its log, then the hub."""
        for names in (PUBLISHERS, ("recorder",), ("hub",)):
            for name in names:
                if name in PUBLISHERS:
                    self.await_ready(name)
                self.appliance.processes[name].terminate()
            for name in names:
                self.await_end(name)

    def await_end(self, name: str) -> None:
        try:
            code = self.appliance.processes[name].wait(LEAVE_TIMEOUT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{name} does not leave\n{self.autopsy()}")
        assert code == 0, f"{name} left with {code}:\n{self.appliance.output(name)[-3000:]}"

    def autopsy(self) -> str:
        """End everybody in the way that makes Python say what each thread was at."""
        for process in self.appliance.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGABRT)
                process.wait(10)
        return "\n".join(f"== {name}\n{self.appliance.output(name)[-6000:]}" for name in self.appliance.processes)

    def await_ready(self, name: str) -> None:
        """Until its notes begin, SIGTERM ends a publisher as it ends any Python."""
        line = f"process {self.appliance.processes[name].pid}\n"
        wait_for(lambda: any(line in path.read_text() for path in notes(self.appliance).glob(f"{name}-*")), f"the publisher {name}")


def storm(appliance: Appliance, kills: int, seed: int) -> None:
    """One storm and its check; what it was made from is said where it fails."""
    made = Storm(appliance, seed)
    made.rage(kills)
    made.calm()
    checked = check(appliance)
    assert checked.returncode == 0, f"seed {seed}, {kills} kills: {checked.stdout}{checked.stderr}"
    found = json.loads(checked.stdout)
    sys.stderr.write(f"storm of seed {seed}: {found}\n")
    assert found["noted"] > len(PUBLISHERS), "no publisher was ever killed after it had connected"
    assert found["acknowledged"] > kills * 10, f"too little was published for {kills} kills: {found}"


def fresh_seed() -> int:
    return int(os.environ.get("STORM_SEED", time.time_ns() % 2**32))


def test_25_kills_lose_nothing_that_was_acknowledged(appliance: Appliance) -> None:
    storm(appliance, 25, fresh_seed())


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("row", [1, 2, 3])
def test_200_kills_three_times_in_a_row_lose_nothing_that_was_acknowledged(appliance: Appliance, row: int) -> None:
    storm(appliance, 200, fresh_seed() + row)


def removed(messages: list[Raw]) -> list[Raw]:
    return messages[:50] + messages[51:]


def doubled(messages: list[Raw]) -> list[Raw]:
    return [*messages[:50], messages[49]._replace(log_time=messages[49].log_time + 1), *messages[50:]]


def swapped(messages: list[Raw]) -> list[Raw]:
    first, second = messages[50], messages[51]
    return [*messages[:50], first._replace(data=second.data), second._replace(data=first.data), *messages[52:]]


def cut(messages: list[Raw]) -> list[Raw]:
    return messages[:-1]


def untouched(messages: list[Raw]) -> list[Raw]:
    return messages


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [(untouched, ""), (removed, "where"), (doubled, "where"), (swapped, "where"), (cut, "acknowledged up to")],
)
def test_the_checker_sees_an_event_that_is_removed_doubled_swapped_or_cut_off(
    appliance: Appliance, spoil: Callable[[list[Raw]], list[Raw]], complaint: str
) -> None:
    appliance.process("hub")
    appliance.process("recorder")
    client = appliance.connect("good")
    for n in range(1, 101):
        client.publish(TOPICS[0], Numbered(n=n, filler=b""))
    client.flush(10)
    epoch = client.publisher.epoch
    appliance.stop()
    notes(appliance).mkdir()
    (notes(appliance) / f"good-{epoch}").write_text("acknowledged 1\nacknowledged 100\n")
    (path,) = appliance.home.log.glob("*.mcap")
    rewrite(path, spoil)
    checked = check(appliance)

    assert (checked.returncode, complaint in checked.stderr) == (1 if complaint else 0, True), checked
    assert json.loads(checked.stdout)["noted"] == 1


def is_durable(channel: Channel) -> bool:
    return bool(channel.metadata["delivery"] == "durable")


def rewrite(path: Path, spoil: Callable[[list[Raw]], list[Raw]]) -> None:
    """Write a closed segment again with the messages of `good` as `spoil` leaves them."""
    with path.open("rb") as file:
        reader = make_reader(file)
        messages = [
            Raw(channel.topic, message.log_time, message.data) for _, channel, message in reader.iter_messages() if is_durable(channel)
        ]
        metadata = {record.name: record.metadata for record in reader.iter_metadata()}
    good = [message for message in messages if message.topic == TOPICS[0].name]
    others = [message for message in messages if message.topic != TOPICS[0].name and message.log_time < good[0].log_time]
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        for name, found in metadata.items():
            writer.add_metadata(name, found)
        channels = {
            topic: writer.register_channel(topic, "msgpack", 0, {"delivery": "durable"})
            for topic in {message.topic for message in messages}
        }
        for sequence, message in enumerate([*others, *spoil(good)]):
            writer.add_message(channels[message.topic], message.log_time, message.data, message.log_time, sequence)
        writer.finish()
