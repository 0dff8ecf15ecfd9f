"""Pages of the log: everything once, each page within one reply."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import Recording

from agents.recorder import past
from bus.history import Fetch, pages
from bus.topic import Topic
from bus.wire import MAX_FRAME, MAX_REPLY, CommandReply, Raw, encode_data
from schemas import train

BLOB = Topic("test.blob", dict)


@pytest.mark.parametrize("size", [10, 1000, MAX_FRAME - 300])
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_hold_every_event_once_and_fit_into_a_reply(tmp_path: Path, size: int, limit: int) -> None:
    recording = Recording(tmp_path)
    sent = [recording.add(BLOB, {"x": "y" * size, "n": n}) for n in range(20)]
    sizes = []

    def fetch(request: Fetch) -> past.Fetched:
        page = past.fetch(recording.log, Fetch(topics=request.topics, after=request.after, limit=limit))
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

    assert [topic for topic, *_ in past.fetch(recording.log, Fetch(topics=["train.step"])).events] == ["train.step"] * 3
    assert len(past.fetch(recording.log, Fetch(topics=["train."])).events) == 4
    recording.log.close()


def test_last_is_the_newest_of_each_topic(tmp_path: Path) -> None:
    recording = Recording(tmp_path)
    recording.steps(1, 3, "r1")
    newest = recording.add(BLOB, {})
    recording.steps(4, 4, "r1")

    events = past.last(recording.log, [BLOB.name, train.STEP.name, "test.never"]).events
    assert [topic for topic, *_ in events] == ["test.blob", "train.step"]
    assert bytes(events[0][3]) == bytes(newest.event_map)
    recording.log.close()
