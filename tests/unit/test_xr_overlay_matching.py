"""A composed picture is of one moment: its camera's picture, its layer and its pose belong together."""

from __future__ import annotations

import pytest
from hypothesis import given
from turns import quaternions, vectors

from agents.parts.frames import from_unreal, rotation_from_unreal, rotation_of_rotator, rotation_to_unreal, rotator_of_rotation, to_unreal
from agents.parts.rigid import Rigid, rotate
from agents.xr.overlay.following import overlay_pose, stand_in_pose
from agents.xr.overlay.matching import REMEMBERED, Drawn, Layers, Pairs, Poses
from schemas.cameras import Mount
from schemas.engine import Intrinsics, Picture
from schemas.xr import CAMERA, OVERLAY

LENS = Intrinsics(width=64, height=36, fx=60.0, fy=60.0, cx=31.5, cy=17.5)
UPRIGHT = (0.0, 0.0, 0.0, 1.0)
ASIDE = Rigid((0.001, 0.0, 0.0))


def drawn(camera: str = OVERLAY, frame: int = 1, placed: int | None = 1000, place: Rigid | None = None) -> Drawn:
    at = place or Rigid()
    picture = Picture(
        engine="test", camera=camera, frame=frame, position=at.position, orientation=at.orientation, intrinsics=LENS, placed=placed
    )
    return Drawn(picture, b"")


def test_camera_and_layer_of_one_frame_are_a_pair_whichever_comes_first() -> None:
    camera, layer = drawn(CAMERA), drawn(OVERLAY)

    for first, second in ((camera, layer), (layer, camera)):
        pairs = Pairs()
        assert pairs.put(first) is None
        assert pairs.put(second) == (camera, layer)


def test_pictures_of_two_frames_are_no_pair_and_those_of_other_cameras_part_of_none() -> None:
    pairs = Pairs()

    assert pairs.put(drawn(CAMERA, frame=1)) is None
    assert pairs.put(drawn("desk", frame=1)) is None
    assert pairs.put(drawn(OVERLAY, frame=2)) is None
    assert pairs.put(drawn(CAMERA, frame=2)) == (drawn(CAMERA, frame=2), drawn(OVERLAY, frame=2))


def test_a_pair_is_given_once() -> None:
    pairs = Pairs()
    pairs.put(drawn(CAMERA))
    pairs.put(drawn(OVERLAY))

    assert pairs.put(drawn(OVERLAY)) is None


@pytest.mark.parametrize(("taken", "placed"), [(0, 1000), (1400, 1000), (1600, 2000), (9000, 3000)])
def test_a_real_cameras_picture_has_the_layer_that_was_drawn_nearest_to_it(taken: int, placed: int) -> None:
    layers = Layers()
    for each in (drawn(placed=1000), drawn(placed=2000), drawn(placed=3000), drawn(CAMERA, placed=taken), drawn(placed=None)):
        layers.put(each)

    assert layers.nearest(taken) == drawn(placed=placed)


def test_without_a_layer_a_camera_has_none() -> None:
    assert Layers().nearest(1000) is None


@given(vectors, quaternions)
def test_a_picture_knows_its_pose_though_that_went_through_unreals_units_and_angles(
    position: tuple[float, float, float], turn: tuple
) -> None:
    poses = Poses()
    poses.remember(Rigid(position, turn), sampled=7, published=8)
    poses.remember(Rigid((position[0] + 1, *position[1:]), turn), sampled=9, published=10)

    rotator = rotator_of_rotation(rotation_to_unreal(turn))
    back = Rigid(from_unreal(to_unreal(position)), rotation_from_unreal(rotation_of_rotator(rotator)))

    assert poses.sampled(drawn(place=back).picture) == 7


def test_of_poses_alike_a_picture_has_the_newest_that_was_published_before_it() -> None:
    poses = Poses()
    for sampled, published in ((100, 200), (300, 400), (900, 1100)):
        poses.remember(Rigid(), sampled, published)

    assert poses.sampled(drawn(placed=1000).picture) == 300


def test_a_picture_of_another_place_has_no_pose() -> None:
    poses = Poses()
    poses.remember(ASIDE, sampled=1, published=2)

    assert poses.sampled(drawn().picture) is None


def test_only_the_newest_poses_are_remembered() -> None:
    poses = Poses()
    for place in (Rigid(), *[ASIDE] * REMEMBERED):
        poses.remember(place, sampled=1, published=2)

    assert poses.sampled(drawn().picture) is None


@given(vectors, quaternions, vectors, quaternions, vectors)
def test_the_overlays_camera_sits_on_its_tracker_as_it_is_mounted(
    position: tuple[float, float, float], turn: tuple, offset: tuple[float, float, float], tilt: tuple, point: tuple[float, float, float]
) -> None:
    mount = Mount(position=offset, orientation=tilt, method="PARK", translation_residual=0.0, rotation_residual=0.0, views=9)

    pose = overlay_pose(Rigid(position, turn), mount, 1.1)

    in_tracker = tuple(a + b for a, b in zip(offset, rotate(tilt, point), strict=True))
    wanted = tuple(a + b for a, b in zip(position, rotate(turn, in_tracker), strict=True))
    assert Rigid(pose.position, pose.orientation).apply(point) == pytest.approx(wanted, abs=1e-6)
    assert (pose.camera, pose.field_of_view) == (OVERLAY, 1.1)


def test_without_a_mount_the_tracker_is_the_camera() -> None:
    assert overlay_pose(ASIDE, None, 1.1).position == ASIDE.position


def test_the_stand_in_is_moved_and_keeps_what_else_it_is() -> None:
    [moved] = stand_in_pose(ASIDE).actors

    assert (moved.actor, moved.position, moved.orientation, moved.scale) == (CAMERA, ASIDE.position, UPRIGHT, None)
