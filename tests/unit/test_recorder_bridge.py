"""What the bridge to an engine says and measures stands in its files, live and made again from the log."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import STARTED, Recording, completed_data, open_log
from test_recorder_projections import wait_for

from agents.recorder import bridge, level, projections, session
from agents.recorder.beside import Beside
from agents.recorder.compactor import LINEAGE
from agents.recorder.level import Pages
from agents.recorder.projections import Projector, project
from agents.recorder.session_summary import Spread, widen
from bus.event import Event
from bus.log.compaction import compact
from bus.log.reader import read_folder
from bus.log.retention import thin
from schemas import engine, petals, scene, train, ue5

ENGINE = "embedded-panda3d 1.10.16"
SECOND = 1_000_000_000
METRICS, MESSAGES = "bridge/metrics.jsonl", "bridge/messages.jsonl"
SCENE, FINAL = "scenes/scene.json", "scenes/final_metrics.json"
CONNECTED = ue5.Connected(
    engine=ENGINE, embedded=True, http="http://127.0.0.1:30010", websocket="ws://127.0.0.1:30020", transport="websocket"
)
LOST = ue5.Disconnected(engine=ENGINE, reason="the connection was closed", seconds=3.0)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "draw", lambda *_: None)


def frame(rate: float = 60.0) -> scene.Frame:
    return scene.Frame(engine=ENGINE, count=100, rate=rate, frame_time=1 / rate)


def latency(p50: float | None = 0.001, p99: float | None = 0.002, *, requests: int = 60, moves: int = 600, failed: int = 0) -> ue5.Latency:
    return ue5.Latency(
        engine=ENGINE, transport="websocket", requests=requests, moves=moves, failed=failed, round_trip_p50=p50, round_trip_p99=p99
    )


def called(number: int) -> ue5.Called:
    return ue5.Called(engine=ENGINE, verb="PUT", url="/remote/object/call", object="/Game/L.L", what=str(number), code=200, seconds=0.01)


def actors(*labels: str, page: int = 0, pages: int = 1) -> scene.Actors:
    placed = [
        scene.Actor(
            label=label, path=f"/L.{label}", kind="StaticMeshActor", mesh=None, position=(0.0, 1.5, -2.0), orientation=(0.0, 0.0, 0.0, 1.0),
            scale=(1.0, 1.0, 1.0),
        )
        for label in labels
    ]  # fmt: skip
    return scene.Actors(engine=ENGINE, count=4, page=page, pages=pages, actors=placed)


def some_of_each(recording: Recording) -> None:
    """Four measurements, five messages, a session that ended, and a level."""
    recording.add(ue5.PREFLIGHT_DONE, ue5.Preflight(address="127.0.0.1:30010", engine=ENGINE, ok=True, findings=[]), source="ue5")
    recording.add(ue5.CONNECTED, CONNECTED, source="ue5")
    recording.add(scene.ACTORS, actors("floor", "desk"), source="ue5")
    recording.add(scene.FRAME, frame(), source="ue5")
    recording.add(engine.FRAME, engine_frame(), source="engine")
    recording.add(ue5.LATENCY, latency(), source="ue5")
    recording.add(ue5.LOAD, ue5.Load(engine=ENGINE, pid=None, reasons={"gpu": "there is none"}), source="ue5")
    recording.add(ue5.CALLED, called(1), source="ue5")
    recording.add(ue5.DISCONNECTED, LOST, source="ue5")
    recording.add(ue5.EXPORTED, ue5.Exported(engine=ENGINE, actors=2, files=[]), source="ue5")


def engine_frame() -> engine.Frame:
    return engine.Frame(
        engine=engine.ENGINE, scene="room", count=60, rate=60.0, frame_time=1 / 60, frame_time_p99=0.02, draw_time=0.003, draw_calls=7,
        bodies=100, awake=3, actors=120, moves=0,
    )  # fmt: skip


def calls(recording: Recording, first: int, last: int) -> None:
    for number in range(first, last + 1):
        recording.add(ue5.CALLED, called(number), source="ue5")


def projector(artifacts: Path, recording: Recording, errors: list[Exception | None] | None = None) -> Projector:
    return Projector(
        artifacts, recording.log, lambda _: None, lambda _: None, lambda _: None, on_bridge=([] if errors is None else errors).append
    )


def live(artifacts: Path, recording: Recording) -> None:
    """A recorder that starts, catches up and ends."""
    projector(artifacts, recording).close()


def path_of(artifacts: Path, name: str) -> Path:
    return artifacts / "wondercraft" / name


def lines(artifacts: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path_of(artifacts, name).read_text().splitlines()]


def numbers(artifacts: Path) -> list[int]:
    return [int(line["data"]["what"]) for line in lines(artifacts, MESSAGES)]


def content(artifacts: Path, name: str) -> Any:
    return json.loads(path_of(artifacts, name).read_bytes())


def labels(artifacts: Path) -> list[str]:
    return [actor["label"] for actor in content(artifacts, SCENE)["actors"]]


def all_files(artifacts: Path) -> dict[str, bytes]:
    return {name: path_of(artifacts, name).read_bytes() for name in (METRICS, MESSAGES, SCENE, FINAL)}


def test_measurements_and_messages_are_lines_that_name_the_engine(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    recording.add(train.STEP, {"step": 1}, run="r1")

    project(tmp_path)

    measured, said = lines(tmp_path, METRICS), lines(tmp_path, MESSAGES)
    assert [line["topic"] for line in measured] == ["scene.frame", "engine.frame", "ue5.latency", "ue5.load"]
    assert [line["topic"] for line in said] == ["ue5.preflight", "ue5.connected", "ue5.called", "ue5.disconnected", "ue5.exported"]
    assert all(line["data"]["engine"].startswith(engine.ENGINE) for line in (*measured, *said))
    assert measured[0]["id"].startswith("ue5/scene.frame/1/")


def test_live_files_and_those_made_again_are_the_same(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    following = projector(tmp_path, recording)
    wait_for(path_of(tmp_path, FINAL).is_file)
    some_of_each(recording)
    following.close()

    before = all_files(tmp_path)
    assert len(before[METRICS].splitlines()) == 8
    project(tmp_path)
    assert all_files(tmp_path) == before
    for name in before:
        path_of(tmp_path, name).unlink()
    project(tmp_path)
    assert all_files(tmp_path) == before


def test_however_often_the_recorder_starts_each_event_is_one_line(tmp_path: Path, recording: Recording) -> None:
    for start in range(4):
        calls(recording, 3 * start + 1, 3 * start + 3)
        live(tmp_path, recording)
    live(tmp_path, recording)

    assert numbers(tmp_path) == list(range(1, 13))


def test_half_a_line_that_a_crash_left_is_written_anew(tmp_path: Path, recording: Recording) -> None:
    calls(recording, 1, 3)
    live(tmp_path, recording)
    whole = path_of(tmp_path, MESSAGES).read_bytes()

    for size in (len(whole) - 1, len(whole) // 2, 1, 0):
        path_of(tmp_path, MESSAGES).write_bytes(whole[:size])
        live(tmp_path, recording)
        assert path_of(tmp_path, MESSAGES).read_bytes() == whole


def test_replays_and_what_does_not_decode_change_no_file(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    live(tmp_path, recording)
    before = all_files(tmp_path)
    for topic, data in (
        (ue5.CONNECTED, CONNECTED),
        (scene.FRAME, frame(1.0)),
        (ue5.LATENCY, latency(9.0)),
        (scene.ACTORS, actors("replayed")),
        (ue5.CALLED, called(7)),
    ):
        recording.add(topic, data, source="ue5", replay=True)
        recording.add(topic, {"engine": 1}, source="ue5")

    live(tmp_path, recording)
    assert all_files(tmp_path) == before
    project(tmp_path)
    assert all_files(tmp_path) == before


def test_a_full_file_becomes_the_older_one(tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    calls(recording, 1, 1)
    live(tmp_path, recording)
    monkeypatch.setattr(bridge, "FULL", 2 * len(path_of(tmp_path, MESSAGES).read_bytes()) + 50)
    for number in range(2, 6):
        calls(recording, number, number)
        live(tmp_path, recording)

    assert numbers(tmp_path) == [5]
    assert [line["data"]["what"] for line in lines(tmp_path, "bridge/messages.1.jsonl")] == ["3", "4"]


def test_the_level_is_the_newest_one_whose_pages_are_all_there(tmp_path: Path, recording: Recording) -> None:
    recording.add(scene.ACTORS, actors("old"), source="ue5")
    for page, name in enumerate(("floor", "desk", "lamp")):
        last = recording.add(scene.ACTORS, actors(name, page=page, pages=3), source="ue5")
    recording.add(scene.ACTORS, actors("half", page=0, pages=2), source="ue5")

    project(tmp_path)

    said = content(tmp_path, SCENE)
    assert labels(tmp_path) == ["floor", "desk", "lamp"]
    assert (said["engine"], said["count"], said["time"]) == (ENGINE, 4, last.envelope.time)
    assert said["actors"][0]["position"] == [0.0, 1.5, -2.0]


def test_pages_that_came_before_and_after_a_start_are_one_level(tmp_path: Path, recording: Recording) -> None:
    recording.add(scene.ACTORS, actors("old"), source="ue5")
    recording.add(scene.ACTORS, actors("floor", page=0, pages=2), source="ue5")
    live(tmp_path, recording)
    assert labels(tmp_path) == ["old"]
    recording.add(scene.ACTORS, actors("desk", page=1, pages=2), source="ue5")
    live(tmp_path, recording)

    assert labels(tmp_path) == ["floor", "desk"]


def test_more_pages_than_are_read_in_one_go_come_with_the_next_looks(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level, "BATCH", 2)
    for page in range(5):
        recording.add(scene.ACTORS, actors(str(page), page=page, pages=5), source="ue5")
    following = projector(tmp_path, recording)
    wait_for(path_of(tmp_path, SCENE).is_file)
    following.close()

    assert labels(tmp_path) == ["0", "1", "2", "3", "4"]


def test_a_file_that_is_no_level_is_written_anew(tmp_path: Path, recording: Recording) -> None:
    recording.add(scene.ACTORS, actors("floor"), source="ue5")
    path_of(tmp_path, "scenes").mkdir(parents=True)
    path_of(tmp_path, SCENE).write_text('{"recorded": "not a time"')

    live(tmp_path, recording)

    assert labels(tmp_path) == ["floor"]


@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 4))
def test_no_level_is_made_of_pages_out_of_order(order: list[int], pages: int) -> None:
    together, whole = Pages(), []
    for number, page in enumerate(order):
        whole.append(together.add(page_event(actors(str(page), page=page, pages=pages)), number))

    ends = [number for number, made in enumerate(whole) if made is not None]
    assert ends == [end for end in range(len(order)) if order[max(end - pages + 1, 0) : end + 1] == list(range(pages))]
    assert all([actor.label for actor in made.actors] == [str(page) for page in range(pages)] for made in whole if made is not None)


def test_pages_of_another_engine_or_publisher_are_of_another_level() -> None:
    first = page_event(actors("a", page=0, pages=2))
    for other in (
        page_event(actors("b", page=1, pages=2), source="other"),
        page_event(actors("b", page=1, pages=2), epoch=2),
        page_event(scene.Actors(engine="Unreal Engine 5.6", count=2, page=1, pages=2, actors=[])),
        page_event(actors("b", page=1, pages=3)),
    ):
        together = Pages()
        assert together.add(first, 1) is None
        assert together.add(other, 2) is None


def test_a_level_of_too_many_pages_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(level, "MOST_PAGES", 2)
    together = Pages()

    assert [together.add(page_event(actors("a", page=page, pages=3)), page) for page in range(3)] == [None] * 3
    assert together.add(page_event(actors("a")), 3) is not None


def page_event(page: scene.Actors, source: str = "ue5", epoch: int = 1) -> Event[scene.Actors]:
    return Event(topic=scene.ACTORS.name, source=source, time=1, data=page, epoch=epoch)


def a_session(recording: Recording, begin: int) -> None:
    """Three seconds: 60, 30 and 45 frames a second; medians of 1, none and 3 ms; of 300 requests two failed."""
    told = (
        (60.0, latency(0.001, 0.004, requests=200, moves=2000, failed=2)),
        (30.0, latency(None, None, requests=0, moves=0)),
        (45.0, latency(0.003, 0.020, requests=100, moves=1000)),
    )
    recording.add(ue5.CONNECTED, CONNECTED, source="ue5", time=begin)
    for second, (rate, requests) in enumerate(told, 1):
        recording.add(scene.FRAME, frame(rate), source="ue5", time=begin + second * SECOND)
        recording.add(ue5.LATENCY, requests, source="ue5", time=begin + second * SECOND)


def test_the_last_session_is_summed_up(tmp_path: Path, recording: Recording) -> None:
    recording.add(ue5.CONNECTED, CONNECTED, source="ue5")
    recording.add(scene.FRAME, frame(1.0), source="ue5")
    recording.add(ue5.DISCONNECTED, LOST, source="ue5")
    a_session(recording, begin=10 * SECOND)
    recording.add(ue5.DISCONNECTED, LOST, source="ue5", time=14 * SECOND)
    recording.add(scene.FRAME, frame(1.0), source="ue5", time=15 * SECOND)

    project(tmp_path)

    said = content(tmp_path, FINAL)
    assert (said["engine"], said["embedded"], said["ended"]) == (ENGINE, True, LOST.reason)
    assert (said["began"], said["until"], said["seconds"]) == (10 * SECOND, 14 * SECOND, 4.0)
    assert said["rate"] == {"seconds": 3, "mean": pytest.approx(45.0), "lowest": 30.0, "highest": 60.0}
    assert said["round_trip_p50"] == {"seconds": 2, "mean": pytest.approx(0.002), "lowest": 0.001, "highest": 0.003}
    assert said["round_trip_p99"] == {"seconds": 2, "mean": pytest.approx(0.012), "lowest": 0.004, "highest": 0.020}
    assert said["beyond_frame_p50"] is None
    assert (said["requests"], said["moves"], said["failed"]) == (300, 3000, 2)


def test_a_session_that_never_said_its_end_is_summed_up_to_its_newest_event(tmp_path: Path, recording: Recording) -> None:
    a_session(recording, begin=10 * SECOND)

    project(tmp_path)

    said = content(tmp_path, FINAL)
    assert (said["ended"], said["until"], said["seconds"]) == (None, 13 * SECOND, 3.0)


def test_after_a_start_the_whole_session_counts(tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "BATCH", 6)
    a_session(recording, begin=10 * SECOND)
    live(tmp_path, recording)
    recording.add(scene.FRAME, frame(75.0), source="ue5", time=20 * SECOND)
    following = projector(tmp_path, recording)
    wait_for(lambda: path_of(tmp_path, FINAL).is_file() and content(tmp_path, FINAL)["until"] == 20 * SECOND)
    following.close()

    assert content(tmp_path, FINAL)["rate"] == {"seconds": 4, "mean": 52.5, "lowest": 30.0, "highest": 75.0}


def test_what_a_session_measured_last_is_written_when_the_recorder_ends(tmp_path: Path, recording: Recording) -> None:
    following = projector(tmp_path, recording)
    recording.add(ue5.CONNECTED, CONNECTED, source="ue5", time=10 * SECOND)
    following.grown()
    wait_for(path_of(tmp_path, FINAL).is_file)
    recording.add(scene.FRAME, frame(45.0), source="ue5", time=11 * SECOND)
    following.close()

    said = content(tmp_path, FINAL)
    assert (said["seconds"], said["rate"]["mean"]) == (1.0, 45.0)


def test_a_session_that_goes_on_is_written_at_its_beginning_and_then_each_ten_seconds(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    monkeypatch.setattr(session, "write_json", lambda _, summary: written.append(summary.seconds))
    file = session.SessionFile(tmp_path)
    recording.add(ue5.CONNECTED, CONNECTED, source="ue5", time=SECOND)
    file.catch_up(recording.log, recording.log.end, print)
    for second in range(1, 25):
        recording.add(scene.FRAME, frame(), source="ue5", time=(1 + second) * SECOND)
        file.catch_up(recording.log, recording.log.end, print)
    recording.add(ue5.DISCONNECTED, LOST, source="ue5", time=26 * SECOND)
    file.catch_up(recording.log, recording.log.end, print)

    assert written == [0.0, 10.0, 20.0, 25.0]


@given(st.lists(st.none() | st.floats(0, 1e6), max_size=50))
def test_a_spread_is_what_its_values_are(values: list[float | None]) -> None:
    spread: Spread | None = None
    for value in values:
        spread = widen(spread, value)

    there = [value for value in values if value is not None]
    if spread is None:
        assert not there
    else:
        assert (spread.seconds, spread.lowest, spread.highest) == (len(there), min(there), max(there))
        assert math.isclose(spread.mean, math.fsum(there) / len(there), rel_tol=1e-9, abs_tol=1e-9)


def test_files_of_events_that_have_expired_stay(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    live(tmp_path, recording)
    before = all_files(tmp_path)
    recording.log.close()
    recording.log = open_log(tmp_path)
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    compact(tmp_path / "log")
    thin(tmp_path / "log", 0, LINEAGE)
    assert not list(read_folder(tmp_path / "log", topics=["ue5.", "scene.", "engine."]))

    live(tmp_path, recording)
    project(tmp_path)

    assert all_files(tmp_path) == before


def test_one_run_made_again_leaves_the_bridge_s_files_alone(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r1")
    some_of_each(recording)

    project(tmp_path, "r1")

    assert not (tmp_path / "wondercraft").exists()


def test_made_again_by_a_live_recorder_they_go_on_behind(tmp_path: Path, recording: Recording) -> None:
    following = projector(tmp_path, recording)
    a_session(recording, begin=10 * SECOND)
    calls(recording, 1, 3)
    following.again(None)
    calls(recording, 4, 5)
    recording.add(ue5.DISCONNECTED, LOST, source="ue5", time=14 * SECOND)
    following.close()

    assert [line["data"].get("what") for line in lines(tmp_path, MESSAGES)] == [None, "1", "2", "3", "4", "5", None]
    assert (content(tmp_path, FINAL)["rate"]["seconds"], content(tmp_path, FINAL)["seconds"]) == (3, 4.0)


def test_a_file_that_cannot_be_written_is_said_once_and_holds_up_no_other(tmp_path: Path, recording: Recording) -> None:
    (tmp_path / "wondercraft").mkdir()
    path_of(tmp_path, "bridge").write_text("in the way")
    errors: list[Exception | None] = []
    files = Beside(bridge.bridge(tmp_path), errors.append)
    for _ in range(3):
        some_of_each(recording)
        files.follow(recording.log, recording.log.end, print)
    assert (len(errors), type(errors[0])) == (1, FileExistsError)
    assert labels(tmp_path) == ["floor", "desk"]

    path_of(tmp_path, "bridge").unlink()
    for _ in range(2):
        files.follow(recording.log, recording.log.end, print)

    assert errors[1:] == [None]
    assert (len(lines(tmp_path, METRICS)), len(lines(tmp_path, MESSAGES))) == (12, 15)


def test_what_is_in_their_way_keeps_no_other_file_from_being_written(tmp_path: Path, recording: Recording) -> None:
    (tmp_path / "wondercraft").write_text("in the way")
    errors: list[Exception | None] = []
    some_of_each(recording)
    recording.add(petals.FALLBACK, petals.Fallback(generation="g1", at=3, route="swarm", to="local", reason="timeout", delay=0.5))
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    projector(tmp_path, recording, errors).close()

    assert isinstance(errors[0], OSError)
    assert len((tmp_path / "petals" / "audit.jsonl").read_bytes().splitlines()) == 1
    assert (tmp_path / "runs" / "r1" / "run.json").is_file()


def test_the_bridge_s_files_have_the_rights_that_the_umask_leaves(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    before = os.umask(0o022)
    try:
        live(tmp_path, recording)
    finally:
        os.umask(before)

    assert {path_of(tmp_path, name).stat().st_mode & 0o777 for name in (METRICS, MESSAGES, SCENE, FINAL)} == {0o644}


def test_without_a_bridge_there_is_no_file(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")

    live(tmp_path, recording)
    project(tmp_path)

    assert not (tmp_path / "wondercraft").exists()
