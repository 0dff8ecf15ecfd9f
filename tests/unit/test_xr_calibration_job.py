"""A calibration as it is asked for: what is said on the way, what is written at the end, and why nothing comes out of bad views."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace as replaced
from functools import cache
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from pictured import CHARUCO, LENS, one_by_one, pictures, places, true_corners

from agents.parts.rigid import Rigid, angle_between, turned_by
from agents.xr.calibration import job as calibration_job
from agents.xr.calibration import variety
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.job import calibrate
from agents.xr.calibration.refusal import check_deviation
from agents.xr.calibration.report import FILE, MOST_BYTES, BadReport, read_report, reports
from agents.xr.calibration.view import Corners, Sighting, View
from schemas import system
from schemas.cameras import Board, Calibrate, Calibrating, Calibration

MOUNT = Rigid((0.03, 0.06, -0.08), turned_by((0.35, -0.1, 0.05)))
REQUEST = Calibrate(source="engine", views=9)
PATIENCE = 10.0


@cache
def good_views() -> list[View]:
    return pictures(CHARUCO, places(CHARUCO, 10), mounted=MOUNT)


class Heard:
    """What a calibration says."""

    def __init__(self) -> None:
        self.progress: list[Calibrating] = []
        self.artifacts: list[system.Artifact] = []


def run(views: Iterable[View], artifacts: Path, request: Calibrate = REQUEST, heard: Heard | None = None) -> Calibration:
    heard = heard or Heard()
    job = calibrate("job-1", request, one_by_one(views), "simulated", "a test", artifacts, heard.progress.append, heard.artifacts.append)
    return asyncio.run(job)


def refused(views: Iterable[View], artifacts: Path, request: Calibrate = REQUEST) -> BadViews:
    with pytest.raises(BadViews) as raised:
        run(views, artifacts, request)
    assert not (artifacts / FILE).exists()
    assert raised.value.mend
    return raised.value


def seen_from(pose: Rigid) -> Sighting:
    points = true_corners(CHARUCO, pose).astype(np.float32)
    return Sighting("", (LENS.width, LENS.height), Corners(np.arange(len(points), dtype=np.int32), points))


def changed(picture: np.ndarray, view: View) -> View:
    return replaced(view, picture=np.asarray(picture, np.uint8))


def test_views_make_a_camera_and_its_mount_and_say_how_far_they_are(tmp_path: Path) -> None:
    heard = Heard()

    found = run(good_views(), tmp_path, heard=heard)

    assert found.camera.intrinsics.fx == pytest.approx(LENS.fx, rel=2e-3)
    assert found.mount is not None
    assert math.dist(found.mount.position, MOUNT.position) < 1e-3
    assert math.degrees(angle_between(found.mount.orientation, MOUNT.orientation)) < 0.1
    assert [(said.taken, said.wanted) for said in heard.progress] == [(number, 9) for number in range(1, 10)]
    assert [said.hint is None for said in heard.progress] == [False] * 8 + [True]
    assert len(found.views) == 9 and all(view.used and view.error is not None for view in found.views)


def test_after_a_view_of_no_use_the_hint_says_why(tmp_path: Path) -> None:
    heard = Heard()
    first, *others = good_views()

    run([changed(cv2.GaussianBlur(first.picture, (0, 0), 5), first), *others], tmp_path, heard=heard)

    assert (heard.progress[0].taken, heard.progress[0].looked_at) == (0, 1)
    assert heard.progress[0].hint is not None and "hold camera and board still" in heard.progress[0].hint


@pytest.mark.parametrize(
    ("numbers", "hint"), [([], "show the whole board"), ([0], "tilt the board"), ([0, 9, 18, 27], "bring the board to the upper left")]
)
def test_the_hint_is_what_the_views_lack(numbers: list[int], hint: str) -> None:
    poses = [pose.then(Rigid((0.0, 0.0, 0.6))) for pose in places(CHARUCO, 28)]  # every ninth has the board in the middle

    assert variety.hint([seen_from(poses[number]) for number in numbers], CHARUCO).startswith(hint)


def test_a_focal_length_that_is_hardly_known_is_refused() -> None:
    for deviation in (9.0, math.nan):
        with pytest.raises(BadViews, match="the focal length comes out as 800 pixels"):
            check_deviation(800.0, deviation)
    check_deviation(800.0, 7.0)


def test_the_report_is_read_back_after_a_restart_and_announced_by_its_hash(tmp_path: Path) -> None:
    heard = Heard()

    found = run(good_views(), tmp_path, heard=heard)

    assert [read_report(file) for file in reports(tmp_path)] == [found]
    assert read_report(tmp_path / FILE) == found
    assert [artifact.hash for artifact in heard.artifacts] == [found.hash]
    assert (tmp_path / heard.artifacts[0].path).read_bytes() == (tmp_path / found.path).read_bytes()


def test_opencv_reads_the_report(tmp_path: Path) -> None:
    found = run([replaced(view, name=f'ein "Bild"\\ ü {view.name}') for view in good_views()], tmp_path)

    file = cv2.FileStorage(str(tmp_path / FILE), cv2.FILE_STORAGE_READ)
    try:
        matrix, distortion = (file.getNode(name).mat() for name in ("camera_matrix", "distortion_coefficients"))
        width, rms = (file.getNode(name).real() for name in ("image_width", "avg_reprojection_error"))
    finally:
        file.release()
    lens = found.camera.intrinsics
    np.testing.assert_allclose(matrix, [[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    np.testing.assert_allclose(distortion.ravel(), found.camera.distortion)
    assert (width, rms) == (LENS.width, pytest.approx(found.rms))


def test_each_camera_keeps_its_own_report(tmp_path: Path) -> None:
    assert reports(tmp_path) == []
    left, right = (run(good_views(), tmp_path, request=Calibrate(source="files", device=device)) for device in (0, 1))

    assert [read_report(file) for file in reports(tmp_path)] == [left, right]
    assert read_report(tmp_path / FILE) == right


@pytest.mark.parametrize("spoil", ["{", "[]", "long", "short"])
def test_a_report_that_is_none_is_refused_with_its_path(tmp_path: Path, spoil: str) -> None:
    run(good_views(), tmp_path)
    report = msgspec.json.decode((tmp_path / FILE).read_bytes())
    report["camera_matrix"]["data"] = [1.0, 2.0]
    content = {"long": b" " * (MOST_BYTES + 1), "short": msgspec.json.encode(report)}.get(spoil, spoil.encode())
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).write_bytes(content)

    with pytest.raises(BadReport, match=str(tmp_path)):
        read_report(tmp_path / FILE)


def test_too_few_views_are_refused_and_say_how_many_are_wanted(tmp_path: Path) -> None:
    assert "3 of 3 views are good: want 8" in refused(good_views()[:3], tmp_path).reason


def test_no_views_at_all_are_refused(tmp_path: Path) -> None:
    assert "0 of 0 views" in refused([], tmp_path).reason


def test_blurred_views_are_refused_as_blurred(tmp_path: Path) -> None:
    blurred = [changed(cv2.GaussianBlur(view.picture, (0, 0), 5), view) for view in good_views()]

    refusal = refused(blurred, tmp_path)

    assert "blurred" in refusal.reason and "still" in refusal.mend


def test_a_board_of_another_dictionary_is_named(tmp_path: Path) -> None:
    asked = Calibrate(board=Board(dictionary="DICT_5X5_50"), views=9)

    refusal = refused(good_views(), tmp_path, asked)

    assert "another board is seen: " in refusal.reason and "DICT_4X4" in refusal.reason


@pytest.mark.parametrize("board", [Board(columns=5, rows=4), Board(columns=5, rows=7), Board(columns=9, rows=7)])
def test_a_board_with_other_squares_is_refused(tmp_path: Path, board: Board) -> None:
    refusal = refused(good_views(), tmp_path, Calibrate(board=board, views=9))

    assert "markers 0 to 16 of DICT_4X4_50" in refusal.reason and "columns" in refusal.mend


def test_a_charuco_board_is_no_chessboard(tmp_path: Path) -> None:
    asked = Calibrate(board=Board(pattern="chessboard", columns=9, rows=6), views=9)

    assert "markers of DICT_4X4" in refused(good_views()[:3], tmp_path, asked).reason


def test_pictures_without_a_board_are_refused(tmp_path: Path) -> None:
    empty = [changed(np.full_like(view.picture, 128), view) for view in good_views()]

    refusal = refused(empty, tmp_path)

    assert "no corner of a charuco board (7 by 5) is seen" in refusal.reason
    assert "check `pattern`, `columns` and `rows` of `board`" in refusal.mend


def test_views_from_one_angle_are_refused(tmp_path: Path) -> None:
    straight = [Rigid((0.04 * x, 0.45, 0.03 * z), turned_by((-math.pi / 2, 0.0, 0.0))) for x in (-1, 0, 1) for z in (-1, 0, 1)]

    refusal = refused(pictures(CHARUCO, straight), tmp_path)

    assert "from one angle" in refusal.reason and "tilt" in refusal.mend


def test_a_board_that_is_always_in_one_part_of_the_picture_is_refused(tmp_path: Path) -> None:
    far = [pose.then(Rigid((0.0, 0.0, 0.9))) for pose in places(CHARUCO, 27)[::9] * 3]

    refusal = refused(pictures(CHARUCO, far), tmp_path)

    assert "of the 9 parts of the picture" in refusal.reason


def test_pictures_of_different_sizes_are_refused_at_once(tmp_path: Path) -> None:
    first, second, *_ = good_views()
    half = changed(cv2.resize(second.picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), second)

    assert "480x300" in refused([first, half], tmp_path).reason


def test_a_camera_that_shows_the_same_again_and_again_has_shown_it_once(tmp_path: Path) -> None:
    heard = Heard()

    with pytest.raises(BadViews, match="1 of 30 views are good: want 8 at least; 29 show the board where it was before"):
        run([good_views()[0]] * 30, tmp_path, Calibrate(source="camera", views=9), heard)

    assert {said.taken for said in heard.progress} == {1}


def test_a_tracker_that_is_asked_for_and_never_known_is_refused(tmp_path: Path) -> None:
    alone = [replaced(view, tracker=None) for view in good_views()]

    assert "at 0 good views" in refused(alone, tmp_path, Calibrate(source="engine", tracker="head", views=9)).reason


def test_who_ends_does_not_wait_for_a_picture_that_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, may_end = threading.Event(), threading.Event()
    looked: list[bool] = []

    def look(view: View, board: Board) -> None:
        looking.set()
        looked.append(may_end.wait(PATIENCE))

    async def end_meanwhile() -> None:
        job = calibrate("job-1", REQUEST, one_by_one(good_views()), "real", "a test", tmp_path, lambda _: None, lambda _: None)
        task = asyncio.ensure_future(job)
        await asyncio.to_thread(looking.wait, PATIENCE)
        task.cancel()
        await asyncio.wait([task])

    monkeypatch.setattr(calibration_job, "look", look)
    asyncio.run(end_meanwhile())  # which waits for the threads of asyncio.to_thread

    assert looking.is_set() and looked == []
    may_end.set()


def test_a_source_that_gives_no_more_views_has_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_job, "SECONDS", 0.05)

    async def stalled() -> AsyncIterator[View]:
        yield good_views()[0]
        await asyncio.sleep(60)

    with pytest.raises(BadViews, match="want 8"):
        asyncio.run(calibrate("job-1", REQUEST, stalled(), "real", "a test", tmp_path, lambda _: None, lambda _: None))
