"""Pictures are rendered the same each time, show what their captions say, and are kept only while they are whole."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from corpora import quiet

from agents.trainer.data import renderings
from agents.trainer.data.files import Progress, Report
from agents.trainer.data.renderings import Order, RenderingFailed, Renderings, caption_of, rendered
from agents.trainer.data.scenes import (
    CAPTIONS,
    COLOURS,
    FIELD_OF_VIEW,
    HELD_OUT,
    KINDS,
    RELATIONS,
    SHAPES,
    Kind,
    Labels,
    Scene,
    Vector,
    caption,
    draw,
    is_held_out,
    view,
)

ORDER = Order(seed=5, count=40, size=32, held_out=False)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def pictures(cache: Path) -> Renderings:
    return rendered(ORDER, cache, quiet)


def pixel_of(scene: Scene, point: Vector) -> tuple[int, int]:
    """Row and column of a point, by the geometry of a pinhole camera."""
    right, up = view(scene.camera)
    offset = point - scene.camera
    depth = -float(offset @ scene.camera) / np.linalg.norm(scene.camera)
    scale = depth * math.tan(math.radians(FIELD_OF_VIEW / 2))
    across, high = offset @ right / scale, offset @ up / scale
    return int((1 - high) / 2 * ORDER.size), int((1 + across) / 2 * ORDER.size)


def test_where_a_solid_is_its_colour_is_the_one_in_the_caption(pictures: Renderings) -> None:
    for number, image in enumerate(pictures.images):
        scene = draw(ORDER.seed, number, held_out=False)
        for solid in scene.solids:
            row, column = pixel_of(scene, solid.position)
            seen = image[row - 1 : row + 2, column - 1 : column + 2].reshape(-1, 3).astype(float).mean(0)
            likeness = [seen @ colour / np.linalg.norm(colour) for colour in np.array(list(COLOURS.values()))]
            assert int(np.argmax(likeness)) == solid.kind.colour, (number, caption(scene.labels))


def test_the_first_solid_is_where_the_caption_says(pictures: Renderings) -> None:
    for number in range(ORDER.count):
        scene = draw(ORDER.seed, number, held_out=False)
        (row, column), (other_row, other_column) = (pixel_of(scene, solid.position) for solid in scene.solids)
        distance = other_row - row if RELATIONS[scene.labels.relation] == "above" else other_column - column
        assert distance > ORDER.size // 5


def test_a_cube_fills_more_of_its_square_than_a_sphere_and_a_sphere_more_than_a_cone(pictures: Renderings) -> None:
    filled: dict[str, list[int]] = {shape: [] for shape in SHAPES}
    for number, image in enumerate(pictures.images):
        scene = draw(ORDER.seed, number, held_out=False)
        coloured = image.max(-1).astype(int) - image.min(-1) > 20  # the background is grey
        if scene.labels.first.shape == scene.labels.second.shape:
            filled[SHAPES[scene.labels.first.shape]].append(int(coloured.sum()))
    means = {shape: np.mean(counts) for shape, counts in filled.items() if counts}
    assert means["cone"] < min(means["sphere"], means["cube"])


def test_labels_are_those_of_the_scenes(pictures: Renderings) -> None:
    captions = [caption_of(row) for row in pictures.labels]

    assert captions == [caption(draw(ORDER.seed, number, held_out=False).labels) for number in range(ORDER.count)]
    assert caption(Labels(Kind(0, 0), 0, Kind(2, 1))) == "a red cube left of a blue sphere"
    assert pictures.renderer == "Panda3D 1.10.16 p3tinydisplay"


def test_the_same_seed_renders_the_same_bytes_and_another_one_others(pictures: Renderings, tmp_path: Path) -> None:
    assert rendered(ORDER, tmp_path, quiet).hash == pictures.hash
    assert rendered(Order(seed=6, count=40, size=32, held_out=False), tmp_path, quiet).hash != pictures.hash


def test_training_has_no_caption_that_is_held_out_and_all_of_its_words() -> None:
    def drawn(held_out: bool) -> set[str]:
        return {caption(draw(3, number, held_out).labels) for number in range(600)}

    def words(captions: set[str]) -> set[str]:
        return {word for each in captions for word in each.split()}

    assert drawn(True).isdisjoint(drawn(False))
    assert words(drawn(True)) == words(drawn(False))


def test_captions_are_counted_by_what_may_be_drawn() -> None:
    captions = [Labels(a, relation, b) for a in KINDS for b in KINDS if a != b for relation in range(len(RELATIONS))]

    assert CAPTIONS == len({caption(each) for each in captions}) == 612
    assert sum(map(is_held_out, captions)) == pytest.approx(CAPTIONS / HELD_OUT, rel=0.1)


def test_kept_pictures_are_not_rendered_again(pictures: Renderings, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderings, "_render", lambda *_: pytest.fail("rendered again"))

    assert rendered(ORDER, cache, quiet).hash == pictures.hash
    assert sorted(path.name for path in cache.iterdir()) == [".lock", ORDER.key]


@pytest.mark.parametrize("damage", ["images.npy", "labels.npy", "renderer.txt"])
def test_kept_pictures_that_have_changed_are_rendered_again(tmp_path: Path, pictures: Renderings, damage: str) -> None:
    rendered(ORDER, tmp_path, quiet)
    file = tmp_path / ORDER.key / damage
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)

    assert rendered(ORDER, tmp_path, quiet).hash == pictures.hash


def test_a_renderer_that_fails_or_hangs_is_said_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RenderingFailed, match="the renderer ended with 1: "):
        rendered(Order(seed=-1, count=1, size=32, held_out=False), tmp_path, quiet)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    monkeypatch.setattr(renderings, "PATIENCE", 0.01)
    with pytest.raises(RenderingFailed, match="made no 40 pictures in"):
        rendered(ORDER, tmp_path, quiet)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((40, 32, 32, 2), np.uint8), "bytes: want"),
        (np.zeros((40, 32, 3, 32), np.uint8), "holds uint8"),
        (np.zeros((40, 5, 4), np.uint8), "bytes: want"),
    ],
)
def test_what_the_renderer_leaves_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: np.ndarray, reason: str) -> None:
    def badly(order: Order, folder: Path, report: Report) -> None:
        np.save(folder / "images.npy", array)
        np.save(folder / "labels.npy", np.zeros((40, 5), np.uint8))
        (folder / "renderer.txt").write_text("none")

    monkeypatch.setattr(renderings, "_render", badly)
    with pytest.raises(RenderingFailed, match=reason):
        rendered(ORDER, tmp_path, quiet)


def test_labels_that_name_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def badly(order: Order, folder: Path, report: Report) -> None:
        np.save(folder / "images.npy", np.zeros((40, 32, 32, 3), np.uint8))
        np.save(folder / "labels.npy", np.full((40, 5), 9, np.uint8))
        (folder / "renderer.txt").write_text("none")

    monkeypatch.setattr(renderings, "_render", badly)
    with pytest.raises(RenderingFailed, match="names what no caption can"):
        rendered(ORDER, tmp_path, quiet)


def test_who_renders_can_be_ended_and_leaves_nothing(tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        raise InterruptedError(progress.stage)

    with pytest.raises(InterruptedError, match="rendering"):
        rendered(ORDER, tmp_path, stop)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_what_a_killed_process_left_or_stands_in_the_way_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".rendering-left" / "pictures").mkdir(parents=True)
    (tmp_path / ORDER.key).write_text("no folder")

    rendered(ORDER, tmp_path, quiet)

    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ORDER.key]


def test_pictures_that_cannot_be_read_for_now_are_kept(tmp_path: Path, pictures: Renderings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(path: Path, shape: tuple[int, ...]) -> None:
        raise OSError(5, "Input/output error")

    rendered(ORDER, tmp_path, quiet)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output"):
        patch.setattr(renderings, "_load", fails)
        rendered(ORDER, tmp_path, quiet)

    assert (tmp_path / ORDER.key / "images.npy").exists()


def test_the_renderer_ends_with_who_started_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "agents.trainer.data.render", str(tmp_path), "5", "100000000", "32"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(timeout=30) == 1
