"""Pages of the log: everything once, each page within one reply."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import Recording

from agents.recorder import pages as recorder_pages
from agents.recorder import past
from agents.recorder.agent import Recorder, RecorderSettings
from agents.recorder.pages import MOST_PLACES, Pages
from bus.history import Fetch, Fetched, pages
from bus.log.errors import DamagedSegment
from bus.log.reader import stop
from bus.testing import FakeBus
from bus.topic import Topic
from bus.wire import MAX_FRAME, MAX_REPLY, CommandReply, Raw, decode_data, decode_envelope, encode_data, to_event
from schemas import train

BLOB = Topic("test.blob", dict)


@pytest.mark.parametrize("size", [10, 1000, MAX_FRAME - 300])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_hold_every_event_once_and_fit_into_a_reply(tmp_path: Path, size: int, limit: int) -> None:
    recording = Recording(tmp_path)
    sent = [recording.add(BLOB, {"x": "y" * size, "n": n}) for n in range(20)]
    sizes = []
    kept = Pages(recording.log, stop)

    def fetch(request: Fetch) -> Fetched:
        page = kept.fetch(Fetch(topics=request.topics, after=request.after, until=request.until, limit=limit))
        sizes.append(len(encode_data(CommandReply(result=Raw(encode_data(page))))))
        return page

    fetched = list(pages(fetch, ["test.blob"], 0))
    assert [bytes(event.event_map) for event in fetched] == [bytes(event.event_map) for event in sent]
    assert max(sizes) < MAX_REPLY - 1000  # the envelope of the reply comes on top
    recording.log.close()


def test_pages_are_of_the_topics_asked_for(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.add(BLOB, {})
    recording.steps(1, 3, "r1")
    recording.add(Topic("train.steps", dict), {})

    kept = Pages(recording.log, stop)
    assert [topic for topic, *_ in kept.fetch(Fetch(topics=["train.step"])).events] == ["train.step"] * 3
    assert len(kept.fetch(Fetch(topics=["train."])).events) == 4
    recording.log.close()


def numbers(page: Fetched) -> list[int]:
    return [event.data["n"] for event in (to_event(topic, decode_envelope(topic, data), dict) for topic, _, _, data in page.events)]


def test_a_reader_goes_on_from_its_place_and_anybody_else_from_where_they_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path)
    for n in range(10):
        recording.add(BLOB, {"n": n})
    searches: list[int] = []
    read = recording.log.read
    monkeypatch.setattr(recording.log, "read", lambda **query: searches.append(query["after"]) or read(**query))
    kept = Pages(recording.log, stop)

    first = kept.fetch(Fetch(topics=["test.blob"], limit=4))
    assert first.next is not None
    recording.add(BLOB, {"n": 10})
    again = [kept.fetch(Fetch(topics=["test.blob"], after=first.next, limit=4)) for _ in range(2)]
    assert [numbers(page) for page in (first, *again)] == [[0, 1, 2, 3], [4, 5, 6, 7], [4, 5, 6, 7]]
    assert searches == [0, first.next], "the second asks again for what the first was given from its place"
    assert again[0].end == first.end < again[1].end, "each knows where its own reading ends"
    other = kept.fetch(Fetch(topics=["test.blob"], after=again[0].next or 0, until=again[0].next, limit=4))
    assert (numbers(other), other.next) == ([], None), "up to another time, it is another reading"
    assert numbers(kept.fetch(Fetch(topics=["test.blob"], after=again[1].next or 0))) == [8, 9, 10]
    recording.log.close()


def test_a_reader_of_more_than_there_is_goes_on_from_its_place_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording(tmp_path)
    for n in range(10):
        recording.add(BLOB, {"n": n})
    kept = Pages(recording.log, print)
    first = kept.fetch(Fetch(topics=["test.blob"], limit=4, until=2**62))
    monkeypatch.setattr(recording.log, "read", None)

    assert numbers(kept.fetch(Fetch(topics=["test.blob"], after=first.next or 0, limit=4, until=2**62))) == [4, 5, 6, 7]
    recording.log.close()


def test_places_are_few_and_forgotten_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(recorder_pages.clock, "monotonic", lambda: now[0])
    recording = Recording(tmp_path)
    for n in range(2 * MOST_PLACES):
        recording.add(BLOB, {"n": n})
    kept = Pages(recording.log, stop)
    first = kept.fetch(Fetch(topics=["test.blob"], limit=1)).next or 0
    after = first
    for _ in range(MOST_PLACES + 3):
        after = kept.fetch(Fetch(topics=["test.blob"], after=after, limit=1)).next or 0
        kept.fetch(Fetch(topics=["test.blob"], after=after, until=recording.log.end - 1, limit=1))
        assert len(kept._places) <= MOST_PLACES
    now[0] += recorder_pages.PLACE_SECONDS + 1
    kept.fetch(Fetch(topics=["test.blob"], limit=1))
    kept.forget()
    assert list(kept._places) == [(("test.blob",), first)]
    recording.log.close()


def test_pages_and_last_go_on_behind_damage_and_tell(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.steps(1, 4, "r1")
    recording.damage(step=2)
    recording.log._newest._committed.clear()  # as after a start
    damages: list[DamagedSegment] = []
    kept = Pages(recording.log, damages.append)

    def steps(page: Fetched) -> list[int]:
        return [decode_data(topic, decode_envelope(topic, data).data, train.Step).step for topic, _, _, data in page.events]

    first = kept.fetch(Fetch(limit=1))
    assert steps(first) == [1] and first.next is not None
    assert steps(kept.fetch(Fetch(after=first.next))) == [3, 4]
    assert len(damages) == 1
    recording.damage(step=4)
    assert steps(past.last(recording.log, [train.STEP.name], damages.append)) == [3]


def test_the_recorder_says_each_damaged_place_once(tmp_path: Path) -> None:
    bus = FakeBus("recorder")
    recorder = Recorder(bus, RecorderSettings(), tmp_path)
    for offset in (77, 77, 990, 77):
        recorder._on_damage(DamagedSegment(tmp_path / "000004.mcap", offset, "crc"))

    assert [state for state, _ in bus.states] == ["degraded", "degraded"]
    assert "000004.mcap at byte 990" in (bus.states[-1][1] or "")


def test_last_is_the_newest_of_each_topic(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.steps(1, 3, "r1")
    newest = recording.add(BLOB, {})
    recording.steps(4, 4, "r1")

    events = past.last(recording.log, [BLOB.name, train.STEP.name, "test.never"], stop).events
    assert [topic for topic, *_ in events] == ["test.blob", "train.step"]
    assert bytes(events[0][3]) == bytes(newest.event_map)
    recording.log.close()


def test_the_table_of_streams_has_who_left_just_now(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.steps(1, 3, "r1")
    key = next(iter(recording.log.streams))
    recording.log.end_stream(*key)
    recording.log.commit()

    assert recording.log.streams == {}
    assert past.streams(recording.log, 1, 1, ("", 0)).streams == [(*key, 3)]
    recording.log.close()
