"""Where devices were and how late that came stands in files, live and made again from the log."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import Recording
from test_recorder_projections import wait_for

from agents.recorder import latency, projections
from agents.recorder.beside import Beside
from agents.recorder.latency_summary import LatencySummary, go_on
from agents.recorder.projections import Projector, project
from agents.recorder.xr import overlay
from bus.event import Event
from schemas import train, xr
from schemas.xr import Latency, Origin, Span, Stage

SECOND = 1_000_000_000
POSES, LATENCY = "poses.jsonl", "latency.json"
POSE: dict[str, Any] = {  # Any: fields of several types
    "origin": "webxr",
    "kind": "real",
    "position": (0.0, 1.6, 0.0),
    "orientation": (0.0, 0.0, 0.0, 1.0),
    "tracking": "tracked",
    "received": 1,
    "published": 2,
}
JOINT = xr.Joint(position=(0.0, 1.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0), radius=0.01)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "draw", lambda *_: None)


def path_of(artifacts: Path, name: str) -> Path:
    return artifacts / "wondercraft" / "xr_overlay" / name


def lines(artifacts: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path_of(artifacts, POSES).read_text().splitlines()]


def content(artifacts: Path) -> Any:
    return json.loads(path_of(artifacts, LATENCY).read_bytes())


def all_files(artifacts: Path) -> dict[str, bytes]:
    return {name: path_of(artifacts, name).read_bytes() for name in (POSES, LATENCY)}


def projector(artifacts: Path, recording: Recording) -> Projector:
    return Projector(artifacts, recording.log, lambda _: None, lambda _: None, lambda _: None)


def report(p50: float = 0.001, origin: Origin = "webxr", shown: float | None = None) -> Latency:
    """One in which a pose took `p50` from the page to the bus, at most three times that, and `shown` to be seen."""
    span = Span(count=90, p50=p50, p95=2 * p50, p99=3 * p50)
    return Latency(
        origin=origin,
        stages=[Stage(stage="published", count=90, p50=p50, p95=2 * p50, p99=3 * p50)],
        horizon=0.02,
        page_to_bus=span,
        motion_to_photon=None if shown is None else Span(count=30, p50=shown, p95=shown, p99=shown),
    )


def some_of_each(recording: Recording) -> None:
    """A session of three frames with hands and controllers, in which the head is lost and found, and two reports."""
    recording.add(xr.STARTED, xr.Started(session="s1", origin="webxr", kind="real", description="a headset"), source="xr")
    recording.add(xr.FOUND, xr.Found(device="head", seconds=None), source="xr")
    for number in range(3):
        recording.add(xr.HEAD, xr.Pose(sequence=number, **POSE), source="xr")
        recording.add(xr.HAND_LEFT, xr.Hand(sequence=number, joints=[JOINT] * 25, **POSE), source="xr")
        recording.add(xr.CONTROLLER_RIGHT, xr.Controller(sequence=number, buttons=[], axes=[0.5], **POSE), source="xr")
    recording.add(xr.LATENCY, report(0.001), source="xr", time=SECOND)
    recording.add(xr.LATENCY, report(0.003), source="xr", time=5 * SECOND)
    recording.add(xr.LOST, xr.Lost(device="head", reason="asleep", seconds=0.3), source="xr")
    recording.add(xr.ENDED, xr.Ended(session="s1", reason="it ended", frames=3, late=0, seconds=1.0), source="xr")


def test_sessions_devices_and_poses_are_lines_in_the_order_of_the_log(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    recording.add(train.STEP, {"step": 1}, run="r1")

    projector(tmp_path, recording).close()

    frame = ["xr.pose.head", "xr.pose.hand.left", "xr.pose.controller.right"]
    assert [line["topic"] for line in lines(tmp_path)] == [
        "xr.session.started", "xr.tracking.found", *frame, *frame, *frame, "xr.tracking.lost", "xr.session.ended",
    ]  # fmt: skip
    hand = lines(tmp_path)[3]["data"]
    assert (len(hand["joints"]), hand["kind"], hand["position"]) == (25, "real", [0.0, 1.6, 0.0])


def test_live_files_and_those_made_again_are_the_same(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    following = projector(tmp_path, recording)
    wait_for(path_of(tmp_path, LATENCY).is_file)
    some_of_each(recording)
    following.close()

    before = all_files(tmp_path)
    assert len(lines(tmp_path)) == 26
    project(tmp_path)
    assert all_files(tmp_path) == before
    for name in before:
        path_of(tmp_path, name).unlink()
    project(tmp_path)
    assert all_files(tmp_path) == before


def test_reports_are_summed_up_by_the_origin_of_poses(tmp_path: Path, recording: Recording) -> None:
    for said in (report(0.001), report(0.003, shown=0.04), report(0.1, "trajectory")):
        recording.add(xr.LATENCY, said, source="xr")

    project(tmp_path)

    said = content(tmp_path)
    assert (said["newest"]["origin"], list(said["origins"])) == ("trajectory", ["webxr", "trajectory"])
    page = said["origins"]["webxr"]["page_to_bus"]
    assert page["reports"] == 2
    assert page["p50"] == {"lowest": 0.001, "mean": pytest.approx(0.002), "highest": 0.003}
    assert page["p99"] == pytest.approx({"lowest": 0.003, "mean": 0.006, "highest": 0.009})
    assert said["origins"]["webxr"]["stages"]["published"] == page
    assert said["origins"]["webxr"]["motion_to_photon"]["reports"] == 1
    assert said["origins"]["trajectory"]["motion_to_photon"] is None


def test_an_agent_that_starts_anew_begins_anew(tmp_path: Path, recording: Recording) -> None:
    recording.add(xr.LATENCY, report(9.0), source="xr", epoch=5)
    recording.add(xr.LATENCY, report(0.001), source="xr", epoch=7)

    project(tmp_path)

    said = content(tmp_path)
    assert (said["source"], said["began"], said["origins"]["webxr"]["page_to_bus"]["p50"]["highest"]) == ("xr", 7, 0.001)


def test_after_a_start_of_the_recorder_all_of_the_agent_counts(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "BATCH", 3)
    for number in range(8):
        recording.add(xr.LATENCY, report(0.001 * (number + 1)), source="xr")
    projector(tmp_path, recording).close()
    recording.add(xr.LATENCY, report(0.1), source="xr")

    following = projector(tmp_path, recording)
    wait_for(lambda: path_of(tmp_path, LATENCY).is_file() and content(tmp_path)["origins"]["webxr"]["page_to_bus"]["reports"] == 9)
    following.again(None)
    following.close()

    assert content(tmp_path)["origins"]["webxr"]["page_to_bus"]["reports"] == 9


def test_what_lies_before_the_agent_s_start_is_not_read_live(tmp_path: Path, recording: Recording) -> None:
    recording.add(xr.LATENCY, report(9.0), source="xr")
    epoch = recording.log.end + 1
    recording.add(xr.LATENCY, report(0.001), source="xr", epoch=epoch)

    projector(tmp_path, recording).close()

    assert (content(tmp_path)["began"], content(tmp_path)["origins"]["webxr"]["page_to_bus"]["reports"]) == (epoch, 1)


def test_the_summary_is_written_at_a_start_and_then_each_two_seconds(
    tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    monkeypatch.setattr(latency, "write_json", lambda _, summary: written.append(summary.until // SECOND))
    file = latency.LatencyFile(tmp_path)
    for second in range(1, 8):
        recording.add(xr.LATENCY, report(), source="xr", time=second * SECOND)
        file.catch_up(recording.log, recording.log.end, print)
    recording.add(xr.LATENCY, report(), source="xr", epoch=2, time=8 * SECOND)
    file.catch_up(recording.log, recording.log.end, print)
    file.close()

    assert written == [1, 3, 5, 7, 8]


def test_replays_and_what_does_not_decode_change_no_file(tmp_path: Path, recording: Recording) -> None:
    some_of_each(recording)
    project(tmp_path)
    before = all_files(tmp_path)
    recording.add(xr.HEAD, xr.Pose(sequence=9, **POSE), source="xr", replay=True)
    recording.add(xr.LATENCY, report(9.0), source="xr", replay=True)
    recording.add(xr.HEAD, {"position": "nowhere"}, source="xr")
    recording.add(xr.LATENCY, {"origin": 3}, source="xr")

    project(tmp_path)

    assert all_files(tmp_path) == before


def test_what_is_in_their_way_is_said_once(tmp_path: Path, recording: Recording) -> None:
    (tmp_path / "wondercraft").write_text("in the way")
    errors: list[Exception | None] = []
    files = Beside(overlay(tmp_path), errors.append)
    for _ in range(3):
        some_of_each(recording)
        files.follow(recording.log, recording.log.end, print)
    assert [type(error) for error in errors] == [NotADirectoryError]

    (tmp_path / "wondercraft").unlink()
    files.follow(recording.log, recording.log.end, print)
    files.close()

    assert errors[1:] == [None]
    assert (len(lines(tmp_path)), content(tmp_path)["origins"]["webxr"]["page_to_bus"]["reports"]) == (39, 6)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=50))
def test_a_summary_is_what_its_reports_say(delays: list[float]) -> None:
    summary: LatencySummary | None = None
    for delay in delays:
        summary = go_on(summary, Event(topic=xr.LATENCY.name, source="xr", time=1, data=report(delay), epoch=1))

    assert summary is not None
    page = summary.origins["webxr"].page_to_bus
    assert page is not None
    assert (page.reports, page.p50.lowest, page.p50.highest) == (len(delays), min(delays), max(delays))
    assert math.isclose(page.p50.mean, math.fsum(delays) / len(delays), rel_tol=1e-9, abs_tol=1e-9)
