"""Pictures that are wanted on the bus: which come, how often, of which frame, and how they end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import cv2
import numpy as np
import pytest
from drawn import Pixels, spawn_camera, spawn_mesh, studio
from structlog.testing import capture_logs

from agents.engine.render.studio import Studio
from agents.engine.views import MOST_CAMERAS, Views
from agents.engine.world import Transform, World
from schemas.engine import Picture, Seen
from schemas.scene import VIEW_SECONDS, View

HZ = 60.0
FRONT = Transform((-400.0, 0.0, 0.0))


class Stage:
    """A world with cameras, drawn by hand, and the pictures of it. `at` is what the monotonic clock says."""

    def __init__(self, drawing: Studio, world: World) -> None:
        self.drawing, self.world = drawing, world
        self.at = 0.0
        self.given: list[tuple[Seen, tuple[bytes, ...]]] = []
        self.views = Views(HZ, lambda seen, files: self.given.append((seen, files)))

    @property
    def pictures(self) -> list[Picture]:
        return [picture for seen, _ in self.given for picture in seen.pictures]

    def frames(self, count: int, hz: float = HZ) -> list[list[str]]:
        """Go on by so many frames; the labels of the pictures in each."""
        shown = []
        for _ in range(count):
            self.at += 1 / hz
            self.world.frame += 1
            before = len(self.given)
            self.drawing.stage.take_over()
            self.views.take(self.drawing, self.at)
            shown.append([picture.camera for seen, _ in self.given[before:] for picture in seen.pictures])
        return shown


@pytest.fixture
def stage() -> Iterator[Stage]:
    world = World()
    spawn_mesh(world, Transform(), virtual=True)
    for label in ("main", "one", "two"):
        spawn_camera(world, FRONT, label=label)
    with closing(studio(world, "software")) as drawing:
        yield Stage(drawing, world)


def decoded(file: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED))


def test_nobody_wants_pictures_and_there_are_none(stage: Stage) -> None:
    assert stage.frames(3) == [[], [], []]


def test_all_cameras_of_a_view_are_of_one_frame_and_in_one_event(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["one", "two"], layers=["two"]), stage.at)
    stage.frames(1)

    ((seen, (jpeg, png)),) = stage.given
    one, two = seen.pictures
    assert (one.frame, one.placed) == (two.frame, two.placed)
    assert seen.attachments == ("image/jpeg", "image/png")
    assert (decoded(jpeg).shape[2], decoded(png).shape[2]) == (3, 4)


def test_a_camera_that_is_moved_while_a_frame_is_drawn_is_elsewhere_in_the_next_one(stage: Stage) -> None:
    camera = stage.world.labelled("one")
    assert camera is not None
    stage.views.want("xr", View(cameras=["two", "one"]), stage.at)
    stage.drawing.stage.take_over()
    stage.world.move(camera, Transform((-300.0, 0.0, 0.0)))
    stage.views.take(stage.drawing, stage.at)
    stage.frames(2)

    assert [picture.position[2] for picture in stage.pictures if picture.camera == "one"] == pytest.approx([4.0, 3.0])


@pytest.mark.parametrize(("rate", "pictures"), [(15.0, 16), (30.0, 31), (60.0, 60), (120.0, 60)])
def test_pictures_come_as_often_as_they_are_wanted_or_as_there_are_frames(stage: Stage, rate: float, pictures: int) -> None:
    stage.views.want("xr", View(cameras=["one"], rate=rate), stage.at)
    assert sum(map(len, stage.frames(60))) == pytest.approx(pictures, abs=1)


def test_frames_that_come_unevenly_leave_no_picture_out(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["one"], rate=HZ), stage.at)
    shown = [stage.frames(1, HZ * late) for late in (0.9, 1.1, 0.8, 1.3) * 10]

    assert sum(len(cameras) for (cameras,) in shown) == 40


def test_a_view_ends_unless_it_is_wanted_again(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["one"]), stage.at)
    stage.at += VIEW_SECONDS - 0.5
    assert stage.frames(1) == [["one"]]
    stage.views.want("xr", View(cameras=["one"]), stage.at)
    stage.at += VIEW_SECONDS - 0.5
    assert stage.frames(1) == [["one"]]
    stage.at += 0.5
    assert stage.frames(3) == [[], [], []]


def test_a_source_wants_what_it_said_last_and_leaves_others_theirs(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["one"], rate=HZ), stage.at)
    stage.views.want("notebook", View(cameras=["main"], rate=HZ), stage.at)
    stage.views.want("xr", View(cameras=["two"], rate=HZ), stage.at)

    assert stage.frames(2) == [["main", "two"]] * 2


def test_a_picture_that_two_sources_want_is_drawn_once_and_a_layer_is_another_one(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["one"], layers=["one"]), stage.at)
    for source in ("notebook", "script"):
        stage.views.want(source, View(cameras=["one"]), stage.at)

    assert stage.frames(1) == [["one", "one"]]
    assert [picture.layer for picture in stage.pictures] == [True, False]


def test_to_want_a_view_again_at_once_brings_no_more_pictures(stage: Stage) -> None:
    for _ in range(9):
        stage.views.want("xr", View(cameras=["one"], rate=6.0), stage.at)
        stage.frames(2)

    assert len(stage.given) == 2


def test_who_wants_more_pictures_does_not_wait_for_the_next_of_the_few_before(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["one"], rate=0.1), stage.at)
    assert stage.frames(2) == [["one"], []]
    stage.views.want("xr", View(cameras=["one"], rate=HZ), stage.at)
    assert stage.frames(2) == [["one"], ["one"]]


def test_a_camera_that_the_scene_lacks_has_no_pictures_and_the_others_have_theirs(stage: Stage) -> None:
    stage.views.want("xr", View(cameras=["attic", "one"]), stage.at)
    assert stage.frames(1) == [["one"]]


def test_more_cameras_than_a_frame_has_time_for_are_refused_once_until_there_is_room(stage: Stage) -> None:
    views = [View(cameras=["one", "two"])] * (MOST_CAMERAS // 2)
    with capture_logs() as logs:
        for number, view in enumerate(views):
            stage.views.want(f"source{number}", view, stage.at)
        for _ in range(3):
            stage.views.want("one-too-many", View(cameras=["main"]), stage.at)
    assert [log["source"] for log in logs] == ["one-too-many"]
    assert stage.frames(1) == [["one", "two"]]

    stage.at += VIEW_SECONDS
    stage.views.want("one-too-many", View(cameras=["main"]), stage.at)
    assert stage.frames(1) == [["main"]]
