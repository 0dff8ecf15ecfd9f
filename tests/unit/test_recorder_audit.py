"""Every event of the Petals peer is a line of the audit, once, live and made again from the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import STARTED, Recording, completed_data, open_log
from test_recorder_projections import wait_for

from agents.recorder import audit, projections
from agents.recorder.audit import NAME, OLDER
from agents.recorder.compactor import LINEAGE
from agents.recorder.projections import Projector, project
from bus.log.compaction import compact
from bus.log.reader import read_folder
from bus.log.retention import thin
from schemas import petals, train

PEER = "12D3KooWPbuu7XCAR6KwzYUud6DtJXVCqKLcdhydiyEdxsxXweAh"


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "draw", lambda *_: None)


def request(tokens: int = 1) -> petals.Request:
    return petals.Request(peer=PEER, rpc="rpc_inference", outcome="served", tokens=tokens)


def some_of_each(recording: Recording) -> int:
    """An event of each topic that is audited. Returns how many."""
    recording.add(petals.SERVING, petals.Serving(prefix="tiny-ab", peer=PEER, start=0, end=4), source="petals")
    recording.add(petals.POLICY, petals.Policy(open=False, allowed=[PEER], blocked=[]), source="petals")
    recording.add(petals.JOINED, petals.Joined(peer=PEER, start=0, end=4, own=False), source="petals")
    recording.add(petals.REQUEST, request(), source="petals")
    recording.add(petals.FALLBACK, petals.Fallback(generation="g1", at=3, route="swarm", to="local", reason="timeout", delay=0.5))
    stretches = [petals.Stretch(route="swarm", tokens=3), petals.Stretch(route="local", tokens=2)]
    recording.add(
        petals.GENERATION,
        petals.Generation(
            generation="g1", prefix="tiny-ab", client="bus", prompt_tokens=4, tokens=5, served=stretches, finish="length", seconds=1.0
        ),
    )
    recording.add(petals.HEALTH, petals.Health(prefix="tiny-ab", layers=4, complete=False, missing=[2], score=0.0, peers=[]))
    recording.add(petals.LEFT, petals.Left(peer=PEER, start=0, end=4, own=False))
    return 8


def requests(recording: Recording, first: int, last: int) -> None:
    for tokens in range(first, last + 1):
        recording.add(petals.REQUEST, request(tokens), source="petals")


def projector(artifacts: Path, recording: Recording, errors: list[Exception | None] | None = None) -> Projector:
    return Projector(
        artifacts, recording.log, lambda _: None, lambda _: None, lambda _: None, on_audit=([] if errors is None else errors).append
    )


def live(artifacts: Path, recording: Recording) -> None:
    """A recorder that starts, catches up and ends."""
    projector(artifacts, recording).close()


def lines(artifacts: Path, name: str = NAME) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (artifacts / "petals" / name).read_text().splitlines()]


def tokens(artifacts: Path, name: str = NAME) -> list[int]:
    return [line["data"]["tokens"] for line in lines(artifacts, name)]


def test_each_event_is_a_line_with_who_said_it_and_when(tmp_path: Path, recording: Recording) -> None:
    said = some_of_each(recording)
    recording.add(train.STEP, {"step": 1}, run="r1")

    project(tmp_path)

    found = lines(tmp_path)
    assert len(found) == said
    assert {line["topic"] for line in found} == set(audit.TOPICS)
    asked = next(line for line in found if line["topic"] == "petals.request")
    assert (asked["source"], asked["data"]["peer"], asked["data"]["outcome"]) == ("petals", PEER, "served")
    assert asked["id"].startswith("petals/petals.request/1/")
    assert asked["time"] > 0 < asked["recorded"]


def test_live_lines_are_added_and_the_same_made_again(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    following = projector(tmp_path, recording)
    wait_for((tmp_path / "petals" / NAME).is_file)
    some_of_each(recording)
    following.close()

    before = (tmp_path / "petals" / NAME).read_bytes()
    assert len(before.splitlines()) == 16
    project(tmp_path)
    assert (tmp_path / "petals" / NAME).read_bytes() == before
    (tmp_path / "petals" / NAME).unlink()
    project(tmp_path)
    assert (tmp_path / "petals" / NAME).read_bytes() == before


def test_however_often_the_recorder_starts_no_line_is_there_twice_and_none_is_missing(tmp_path: Path, recording: Recording) -> None:
    for start in range(5):
        requests(recording, 3 * start + 1, 3 * start + 3)
        live(tmp_path, recording)
    live(tmp_path, recording)

    assert tokens(tmp_path) == list(range(1, 16))


def test_half_a_line_that_a_crash_left_is_written_anew(tmp_path: Path, recording: Recording) -> None:
    requests(recording, 1, 3)
    live(tmp_path, recording)
    whole = (tmp_path / "petals" / NAME).read_bytes()

    for size in (len(whole) - 1, len(whole) - 40, 1, 0):
        (tmp_path / "petals" / NAME).write_bytes(whole[:size])
        live(tmp_path, recording)
        assert (tmp_path / "petals" / NAME).read_bytes() == whole


def test_more_than_is_written_in_one_go_comes_with_the_next_looks(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "BATCH", 2)
    requests(recording, 1, 7)
    following = projector(tmp_path, recording)
    for written in (2, 4, 6, 7):
        following.grown()
        wait_for(lambda: (tmp_path / "petals" / NAME).is_file() and len(tokens(tmp_path)) >= written)  # noqa: B023  # within the turn
    following.close()

    assert tokens(tmp_path) == list(range(1, 8))


def test_replays_and_what_does_not_decode_are_left_out(tmp_path: Path, recording: Recording) -> None:
    recording.add(petals.REQUEST, request(1), replay=True)
    recording.add(petals.REQUEST, {"peer": 1})
    requests(recording, 2, 2)
    recording.add(petals.REQUEST, {"peer": 1})

    live(tmp_path, recording)
    assert tokens(tmp_path) == [2]
    project(tmp_path)
    assert tokens(tmp_path) == [2]


def test_a_full_file_becomes_the_older_one_and_what_it_held_is_dropped(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests(recording, 1, 1)
    live(tmp_path, recording)
    monkeypatch.setattr(audit, "FULL", 3 * len((tmp_path / "petals" / NAME).read_bytes()) + 100)
    for number in range(2, 12):
        requests(recording, number, number)
        live(tmp_path, recording)

    assert (tokens(tmp_path, OLDER), tokens(tmp_path)) == ([7, 8, 9], [10, 11])
    (tmp_path / "petals" / NAME).unlink()
    (tmp_path / "petals" / NAME).touch()  # killed between the two
    requests(recording, 12, 12)
    live(tmp_path, recording)
    assert tokens(tmp_path) == [10, 11, 12]


def test_lines_of_events_that_have_expired_stay(tmp_path: Path, recording: Recording) -> None:
    requests(recording, 1, 4)
    live(tmp_path, recording)
    recording.log.close()
    recording.log = open_log(tmp_path)
    requests(recording, 5, 6)
    compact(tmp_path / "log")
    thin(tmp_path / "log", 0, LINEAGE)
    assert len(list(read_folder(tmp_path / "log", topics=[petals.REQUEST.name]))) == 2
    (tmp_path / "petals" / NAME).write_bytes((tmp_path / "petals" / NAME).read_bytes() + b"not a line\n")

    project(tmp_path)

    assert tokens(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_one_run_made_again_leaves_the_audit_alone(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r1")
    requests(recording, 1, 2)

    project(tmp_path, "r1")
    assert not (tmp_path / "petals").exists()
    project(tmp_path)
    assert tokens(tmp_path) == [1, 2]


def test_made_again_by_a_live_recorder_it_goes_on_behind(tmp_path: Path, recording: Recording) -> None:
    following = projector(tmp_path, recording)
    requests(recording, 1, 3)
    following.again(None)
    requests(recording, 4, 5)
    following.close()

    assert tokens(tmp_path) == [1, 2, 3, 4, 5]


def test_an_audit_that_cannot_be_written_is_said_once_and_keeps_no_run_from_being_written(tmp_path: Path, recording: Recording) -> None:
    (tmp_path / "petals").write_text("in the way")
    errors: list[Exception | None] = []
    requests(recording, 1, 2)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    following = projector(tmp_path, recording, errors)
    wait_for(lambda: bool(errors))
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r1")
    following.grown()
    wait_for(lambda: json.loads((tmp_path / "runs" / "r1" / "run.json").read_text())["outcome"] == "finished")
    (tmp_path / "petals").unlink()
    wait_for(lambda: len(errors) == 2)
    following.close()

    assert isinstance(errors[0], OSError)
    assert errors[1] is None
    assert tokens(tmp_path) == [1, 2]


def test_nobody_else_reads_who_asked(tmp_path: Path, recording: Recording) -> None:
    requests(recording, 1, 3)
    live(tmp_path, recording)
    modes = [(tmp_path / "petals" / NAME).stat().st_mode & 0o777]
    project(tmp_path)
    modes.append((tmp_path / "petals" / NAME).stat().st_mode & 0o777)

    assert modes == [0o600, 0o600]


def test_without_a_petals_peer_there_is_no_file(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")

    live(tmp_path, recording)
    project(tmp_path)

    assert not (tmp_path / "petals").exists()
