"""The world that a schedule acts on: two sources, a hub, a recorder with its disk, and what may happen to each of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import agents.recorder.committer
import bus.log.log
import bus.publisher
import bus.ring
import bus.stream
from bus.errors import BusError, BusFull, FrameTooLarge
from simulation import parties
from simulation.clocks import Clock
from simulation.disk import Disk, Killed, Survives
from simulation.network import Fate, Hub
from simulation.parties import Recorder, Speaker
from simulation.promise import BrokenPromise, Ledger, check, read_lines

TOPICS = ("train.step", "train.eval", "power.sample")
SOURCES = ("trainer", "power")
MOST_SPEAKERS = 4
HELD_EVENTS = 6
WINDOW = 4
"""Bounds of what is held above a gap and sent again at once: the product's rules with smaller numbers, which short schedules reach."""
GROUP_EVENTS = 2
"""Events of one group of the log, so that a commit has several."""
TOO_LARGE = "x" * 65_536
SETTLING_STEP = 0.25
SETTLING_STEPS = 240

Mutant = Callable[[pytest.MonkeyPatch], None]


class World:
    """Each method is something that may happen. What has happened must not break a promise: `check`, and `settle` in the end."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.clock = Clock()
        self.disk = Disk(folder, patch)
        self.hub = Hub()
        self.ledger = Ledger()
        self.recorder: Recorder | None = None
        self._tokens = itertools.count(1)
        _replace_time(patch, self.clock)
        self.speakers = [Speaker(self.hub, source) for source in SOURCES]
        self.start_recorder()

    # --- publishers

    def publish(self, who: int, topic: int) -> None:
        self._publish(self._speaker(who), TOPICS[topic])

    def publish_too_large(self, who: int) -> None:
        with pytest.raises((FrameTooLarge, BusFull)):
            self._speaker(who).publisher.publish(parties.TEXT, TOO_LARGE, timeout=0)

    def listen(self, who: int) -> None:
        self._listen(self._speaker(who))

    def kill_publisher(self, who: int, everything_sent_is_lost: bool) -> None:
        """And start it again."""
        speaker = self._speaker(who)
        speaker.die(everything_sent_is_lost)
        self._replace(speaker)

    def stop_publisher(self, who: int) -> None:
        """Whether or not all of it is acknowledged, and start it again."""
        speaker = self._speaker(who)
        speaker.leave()
        self._replace(speaker)

    def publish_in_a_fork(self, who: int) -> None:
        """The child of a publishing process uses the connection that it finds."""
        parent = self._speaker(who)
        child = parent.forked()
        try:
            self._publish(child, TOPICS[0])
        except BusError:
            return

    def connect_again(self, who: int) -> None:
        """A second connection under the same name, as a forked child makes it."""
        if len(self.speakers) < MOST_SPEAKERS:
            self.speakers.append(Speaker(self.hub, self._speaker(who).source))

    # --- the network

    def carry(self, sender: int, fates: Iterator[Fate]) -> None:
        if senders := self.hub.senders:
            self.hub.carry(senders[sender % len(senders)], lambda: next(fates, Fate.ARRIVES))

    def carry_all(self) -> None:
        """Everything on its way arrives."""
        while senders := self.hub.senders:
            self.hub.carry(senders[0], lambda: Fate.ARRIVES)

    def kill_hub(self) -> None:
        self.hub.die()

    def start_hub(self) -> None:
        self.hub.start()

    def meet(self, who: int) -> None:
        """One socket finds the hub again."""
        self.hub.sockets[who % len(self.hub.sockets)].meet()

    # --- the recorder and its disk

    def work(self) -> None:
        """The recorder takes what has arrived."""
        if self.recorder is not None:
            self.recorder.work()
            self._note(self.recorder.speaker)
            held = max((len(stream.held) for stream in self.recorder.intake.streams.values()), default=0)
            if held > HELD_EVENTS:
                raise BrokenPromise(f"{held} events of one stream wait in memory")

    def publish_as_recorder(self) -> None:
        if self.recorder is not None:
            self._publish(self.recorder.speaker, "recorder.projected")

    def stop_recorder(self) -> None:
        if self.recorder is not None and not self.disk.failures:
            self.recorder.stop()
            self._note(self.recorder.speaker)
            self.recorder = None

    def kill_recorder(self, at: str | None, everything_sent_is_lost: bool) -> None:
        """At its next write or sync, between the sync and the acknowledgement, or now."""
        if self.recorder is None:
            return
        if at is not None:
            self._work_until_killed(self.recorder, at)
        self._note(self.recorder.speaker)
        self.recorder.die(everything_sent_is_lost)
        self.recorder = None

    def lose_power(self, at: str | None, survives: Survives, part: float) -> None:
        """The recorder's machine."""
        self.kill_recorder(at, True)
        self.disk.lose_power(survives, part)

    def start_recorder(self) -> None:
        if self.recorder is None:
            try:
                self.recorder = Recorder(self.hub, self.folder)
            except OSError:  # the disk fails: its supervisor tries again
                return
            self.check()

    def fail_disk(self, syncs: int) -> None:
        self.disk.failures = syncs

    def mend_disk(self) -> None:
        self.disk.failures = 0

    def take_the_log_away(self) -> None:
        """Somebody removes the log of a recorder that does not run. What was in it is gone, and nobody else's fault."""
        if self.recorder is None:
            self.ledger.taken_away |= {line.token for line in read_lines(self.folder) if line.token is not None}
            for path in self.folder.iterdir():
                path.unlink()
            self.disk.settle()

    # --- time

    def pass_time(self, seconds: float) -> None:
        self.clock.pass_time(seconds)

    def jump(self, seconds: float) -> None:
        self.clock.jump(seconds)

    def go_on(self, seconds: float) -> None:
        """For so long nothing else happens, and what is on its way arrives."""
        self.pass_time(seconds)
        for speaker in self._all():
            self._listen(speaker)
        self.carry_all()
        self.work()

    # --- what must be true

    def check(self) -> None:
        """Raises BrokenPromise."""
        check(read_lines(self.folder), self.ledger)

    def settle(self) -> None:
        """Failures end and time passes: all that living publishers hold is acknowledged. Then the power goes once more."""
        self.mend_disk()
        self.start_hub()
        self.start_recorder()
        for socket in self.hub.sockets:
            socket.meet()
        for _ in range(SETTLING_STEPS):
            self.go_on(SETTLING_STEP)
            if not any(len(speaker.publisher.ring) for speaker in self._all()):
                break
        else:
            waiting = {(each.source, each.publisher.epoch): len(each.publisher.ring) for each in self._all() if len(each.publisher.ring)}
            raise BrokenPromise(f"never acknowledged, though nothing fails any more: {waiting}")
        self.lose_power(None, Survives.NOTHING, 0)
        self.start_recorder()

    def close(self) -> None:
        if self.recorder is not None:
            self.recorder.die(False)
        for speaker in self.speakers:
            speaker.die(False)
        self.disk.close()

    def _all(self) -> list[Speaker]:
        return self.speakers + ([self.recorder.speaker] if self.recorder else [])

    def _speaker(self, who: int) -> Speaker:
        return self.speakers[who % len(self.speakers)]

    def _publish(self, speaker: Speaker, topic: str) -> None:
        token = next(self._tokens)
        seq = speaker.publish(topic, token)
        if seq is not None:
            self.ledger.tokens[(speaker.source, speaker.publisher.epoch), seq].add(token)

    def _listen(self, speaker: Speaker) -> None:
        speaker.listen()
        self._note(speaker)

    def _note(self, speaker: Speaker) -> None:
        self.ledger.acknowledged.update(speaker.newly_confirmed())

    def _replace(self, speaker: Speaker) -> None:
        """The source's last connection is followed by another."""
        self._note(speaker)
        self.speakers.remove(speaker)
        if all(each.source != speaker.source for each in self.speakers):
            self.speakers.append(Speaker(self.hub, speaker.source))
        self.hub.sockets = [socket for socket in self.hub.sockets if not socket.closed or socket in self.hub.senders]

    def _work_until_killed(self, recorder: Recorder, at: str) -> None:
        self.disk.kill_at = at
        recorder.speaker.xpub.on_send = _die if at == "acknowledge" else _pass
        try:
            recorder.work()
        except Killed:
            pass
        finally:
            self.disk.kill_at = None


def _die(frame: bytes) -> None:
    if frame.startswith(b"bus.ack."):
        raise Killed


def _pass(frame: bytes) -> None:
    return


def _replace_time(patch: pytest.MonkeyPatch, clock: Clock) -> None:
    patch.setattr(bus.publisher, "clock", clock)
    patch.setattr(agents.recorder.committer, "clock", clock)
    patch.setattr(bus.log.log, "time_ns", clock.time_ns)


@contextmanager
def world(folder: Path, mutant: Mutant | None = None) -> Iterator[World]:
    """A world with the product's rules, or without the one that `mutant` leaves out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus.stream, "HELD_EVENTS", HELD_EVENTS)
        patch.setattr(bus.ring, "RESEND_EVENTS", WINDOW)
        patch.setattr(bus.log.log, "MAX_EVENTS", GROUP_EVENTS)
        if mutant is not None:
            mutant(patch)
        made = World(folder, patch)
        try:
            yield made
        finally:
            made.close()
