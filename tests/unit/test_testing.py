"""What tests of agents stand on: the harness does what the runtime does, process replay what the log says, comparisons find all."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from recorded import received

from bus.agent import Agent, answers, every, on
from bus.comparison import differences
from bus.errors import CommandRefused, FrameTooLarge
from bus.event import Event
from bus.lifecycle import MANIFEST, STOPPED
from bus.log.records import Entry
from bus.testing import FakeBus, Harness, recorded_output, replay_process, run
from bus.topic import LATEST, Command, Topic
from bus.wire import CommandCall, encode_data

SECOND = 1_000_000_000


class Reading(Struct, frozen=True, kw_only=True):
    value: float
    tags: list[str] = []


class Total(Struct, frozen=True, kw_only=True):
    total: float
    ticks: int = 0


READING = Topic("test.reading", Reading)
TOTAL = Topic("test.total", Total)
TICKED = Topic("test.ticked", Total)
RESET = Command("adder.reset", Reading, Total)


class Adder(Agent):
    """Adds what it reads, and says where it stands after each and twice a second."""

    publishes = (TOTAL, TICKED)
    scale = 1.0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.total = 0.0
        self.ticks = 0

    @on(READING)
    async def add(self, event: Event[Reading]) -> None:
        self.total += event.data.value * self.scale
        self.publish(TOTAL, Total(total=self.total, ticks=self.ticks), cause=event.id, run=event.run)

    @every(seconds=0.5)
    def tick(self) -> None:
        self.ticks += 1
        self.publish(TICKED, Total(total=self.total, ticks=self.ticks))

    @answers(RESET)
    def reset(self, request: Reading) -> Total:
        if request.value < 0:
            raise CommandRefused("negative", "want 0 or more")
        self.total = request.value
        return Total(total=self.total)


class Doubler(Adder):
    name = "adder"
    scale = 2.0


class Sleeper(Agent):
    """Never gives way to the event loop."""

    @on(READING)
    def sleep(self, event: Event[Reading]) -> None:
        time.sleep(event.data.value)

    @every(seconds=0.5)
    def tick(self) -> None:
        time.sleep(0.01)


def entry(topic: str, seconds: float, data: Any, seq: int = 0, **fields: Any) -> Entry:  # data and envelope as they come
    event = received(topic, data, seq, **fields)
    log_time = round(seconds * SECOND)
    delivery = "control" if topic.startswith("command.") else "durable"
    return Entry(topic, delivery, log_time, event.envelope.time, seq, bytes(event.event_map))


def reading(seconds: float, value: float, seq: int, **fields: Any) -> Entry:
    return entry("test.reading", seconds, Reading(value=value), seq, source="meter", **fields)


def manifest(seconds: float, connected: float = 0.0) -> Entry:
    return entry(MANIFEST.name, seconds, {}, 1, source="adder", epoch=round(connected * SECOND))


def call(seconds: float, value: float, **fields: Any) -> Entry:
    request = msgspec.Raw(encode_data(Reading(value=value)))
    return entry("command.adder.reset", seconds, CommandCall(inbox="i", deadline=1, request=request), 1, source="cli-1", **fields)


def totals(events: list[Event[Any]], topic: str = "test.total") -> list[float]:
    return [event.data.total for event in events if event.topic == topic]


def test_what_is_fed_comes_with_its_run_cause_and_an_id_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = Harness(Adder, tmp_path)
        first = await harness.feed(READING, Reading(value=1.5), source="meter", run="one", cause="x/y/1/1")
        second = await harness.feed(READING, Reading(value=2.0))

        assert first != second
        assert harness.published(TOTAL) == [Total(total=1.5), Total(total=3.5)]
        assert [(event.source, event.run, event.cause) for event in harness.bus.events] == [
            ("adder", "one", first),
            ("adder", None, second),
        ]
        await harness.feed(READING, Reading(value=2.0), replay=True)
        assert len(harness.published(TOTAL)) == 2

    run(scenario())


def test_feeding_calling_or_ticking_what_the_agent_has_not_says_what_it_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        harness = Harness(Adder, tmp_path)
        with pytest.raises(LookupError, match=r"test\.reading"):
            await harness.feed(TOTAL, Total(total=1.0))
        with pytest.raises(LookupError, match=r"adder\.reset"):
            await harness.call(Command("adder.rest", Reading, Total), Reading(value=1.0))
        with pytest.raises(LookupError, match="tick"):
            await harness.tick("tock")

    run(scenario())


def test_what_an_event_carries_is_kept_with_it_and_refused_where_the_bus_would_refuse_it() -> None:
    bus, picture = FakeBus(), Topic("test.picture", Reading, delivery=LATEST)

    event_id = bus.publish(picture, Reading(value=1.0), attachments=(b"jpeg",))

    assert bus.attachments == {event_id: (b"jpeg",)}
    with pytest.raises(ValueError, match="durable"):
        bus.publish(READING, Reading(value=1.0), attachments=(b"jpeg",))
    with pytest.raises(FrameTooLarge):
        bus.publish(picture, Reading(value=1.0), attachments=(b"",) * 17)


def test_a_process_replay_calls_timers_by_log_time_before_the_entry_that_is_not_earlier(tmp_path: Path) -> None:
    log = [manifest(10.0), reading(10.2, 1.0, 1), reading(10.5, 1.0, 2), reading(11.1, 1.0, 3)]
    events = replay_process(Adder, log, tmp_path)

    assert [(event.topic, event.time / SECOND, event.data.ticks) for event in events] == [
        ("test.ticked", 10.0, 1),
        ("test.total", 10.2, 1),
        ("test.ticked", 10.5, 2),
        ("test.total", 10.5, 2),
        ("test.ticked", 11.0, 3),
        ("test.total", 11.1, 3),
    ]


def test_a_process_replay_is_of_one_life_and_of_the_topics_that_the_agent_reads(tmp_path: Path) -> None:
    before, after = reading(1.0, 100.0, 1), reading(30.0, 100.0, 3)
    other = entry("test.other", 11.0, Reading(value=50.0), 1)
    log = [before, manifest(10.0), other, reading(11.0, 2.0, 2), reading(11.1, 9.0, 5, replay=True), manifest(20.0), after]

    assert totals(replay_process(Adder, log, tmp_path)) == [2.0]
    assert totals(replay_process(Adder, [before, after], tmp_path)) == [100.0, 200.0]


def test_a_process_replay_ends_where_the_agent_stopped(tmp_path: Path) -> None:
    stopped = entry(STOPPED.name, 15.0, {"uptime": 5.0}, 9, source="adder")
    log = [manifest(10.0), reading(11.0, 2.0, 2), stopped, reading(16.0, 100.0, 3)]

    assert totals(replay_process(Adder, log, tmp_path)) == [2.0]


def test_commands_are_fed_when_wanted_and_a_refusal_is_no_failure(tmp_path: Path) -> None:
    log = [reading(1.0, 1.0, 1), call(1.1, 40.0), call(1.2, -1.0), reading(1.3, 2.0, 2)]

    assert totals(replay_process(Adder, log, tmp_path, commands=True)) == [1.0, 42.0]
    assert totals(replay_process(Adder, log, tmp_path)) == [1.0, 3.0]


def test_a_command_sent_while_the_agent_started_is_fed_to_the_life_that_began_then(tmp_path: Path) -> None:
    earlier, early, late = (call(seconds, value, time=round(seconds * SECOND)) for seconds, value in ((8.0, 5.0), (9.5, 40.0), (19.5, 7.0)))
    log = [
        earlier,
        early,
        manifest(10.0, connected=9.0),
        reading(11.0, 2.0, 2),
        late,
        reading(19.6, 1.0, 3),
        manifest(20.0, connected=19.0),
    ]

    events = replay_process(Adder, log, tmp_path, commands=True)
    assert totals(events) == [42.0, 43.0]
    assert totals(events, "test.ticked")[0] == 0.0, "it began with its manifest, and was asked then"


def test_the_same_agent_agrees_with_its_record_and_a_changed_one_does_not(tmp_path: Path) -> None:
    fed = [manifest(10.0), *(reading(10.0 + n / 10, float(n), n) for n in range(1, 8))]
    said = replay_process(Adder, fed, tmp_path)
    log = fed + [entry(each.topic, 20.0, each.data, n, source="adder", cause=each.cause) for n, each in enumerate(said, 2)]

    recorded = recorded_output(Adder, log)
    assert [event.topic for event in recorded] == [event.topic for event in said]
    assert differences(recorded, replay_process(Adder, fed, tmp_path)) == []
    found = differences(recorded, replay_process(Doubler, fed, tmp_path))
    assert "event 1: test.total.total was 1.0, is 2.0" in found


def test_an_agent_that_never_comes_to_its_end_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError):
        replay_process(Adder, [reading(1.0, 1.0, 1)], tmp_path, until=lambda events: False, timeout=0.05)


@pytest.mark.parametrize(
    "log",
    [[reading(n / 1000, 0.01, n) for n in range(1, 100)], [reading(1.0, 0.0, 1), reading(61.0, 0.0, 2)]],
    ids=["many entries", "many ticks between two"],
)
def test_an_agent_whose_handlers_are_plain_and_slow_is_given_up_too(tmp_path: Path, log: list[Entry]) -> None:
    with pytest.raises(TimeoutError):
        replay_process(Sleeper, log, tmp_path, timeout=0.1)


def event(data: Struct, topic: str = "test.reading", **fields: Any) -> Event[Any]:
    return Event(topic=topic, source="x", time=1, data=data, **fields)


@pytest.mark.parametrize(
    ("then", "now", "rule", "found"),
    [
        (1.0, 1.0, {}, 0),
        (math.nan, math.nan, {}, 0),
        (1.0, 1.1, {}, 1),
        (1.0, 1.1, {"tolerances": {"value": 0.2}}, 0),
        (100.0, 101.0, {"tolerances": {"test.reading": 0.02}}, 0),
        (100.0, 103.0, {"tolerances": {"test.reading.value": 0.02}}, 1),
        (100.0, 101.0, {"tolerances": {"test.reading": 0.02, "test.reading.value": 0.001}}, 1),
        (1.0, 2.0, {"ignore": ["value"]}, 0),
        (1.0, 2.0, {"ignore": ["test.reading.value"]}, 0),
        (1.0, 2.0, {"ignore": ["test.reading"]}, 0),
        (1.0, 2.0, {"ignore": ["reading", "test", "test.total"]}, 1),
        (1.0, math.nan, {"tolerances": {"value": 1e9}}, 1),
    ],
)
def test_what_may_differ_is_a_topic_a_path_or_a_field(then: float, now: float, rule: dict[str, Any], found: int) -> None:
    assert len(differences([event(Reading(value=then))], [event(Reading(value=now))], **rule)) == found


def test_missing_events_runs_causes_and_lists_are_differences() -> None:
    one, two = Reading(value=1.0, tags=["a"]), Reading(value=1.0, tags=["a", "b"])

    assert differences([event(one)], [event(one), event(one)]) == ["test.reading: 1 recorded, 2 replayed"]
    assert differences([event(one)], []) == ["test.reading: 1 recorded, 0 replayed"]
    assert differences([event(one)], [event(two)]) == ["event 1: test.reading.tags was ['a'], is ['a', 'b']"]
    assert differences([event(one, run="a", cause="x")], [event(one, run="b", cause="y")]) == [
        "event 1: test.reading.cause was 'x', is 'y'",
        "event 1: test.reading.run was 'a', is 'b'",
    ]
