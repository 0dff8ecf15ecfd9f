"""An export is there whole or not at all, names the engine in every file, and does without its picture."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from msgspec import json
from msgspec.structs import replace

os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / f"zeropoint-tests-{os.getuid()}-matplotlib"))

from snapshots import ENGINE, EVERYTHING, PLACE, actor, basic, snapshots

from agents.engine.scenes.description import Camera, Mesh, decode
from agents.ue5.exports import description, glb, performance
from agents.ue5.exports.patience import GivenUp, Patience
from agents.ue5.exports.performance import Line, Performance, Spread, summarise
from agents.ue5.exports.shapes import shape
from agents.ue5.exports.snapshot import MetricsRow, Snapshot, Unexportable
from agents.ue5.exports.writing import FILES, Configuration, export

NO_PICTURE, DRAWING = 0.0, 60.0
"""Seconds for the picture, where a test does not look at it."""


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def described(snapshot: Snapshot) -> dict[str, Mesh | Camera]:
    """What the embedded engine reads of the snapshot, by label."""
    with tempfile.TemporaryDirectory() as folder:
        description.write(snapshot, Path(folder) / "scene.json")
        return {actor.label: actor for actor in decode((Path(folder) / "scene.json").read_bytes()).actors}


def test_all_files_are_there_and_each_names_the_engine(tmp_path: Path) -> None:
    files = export(EVERYTHING, tmp_path, Patience(DRAWING))

    assert files == [tmp_path / name for name in FILES] and sorted(content(tmp_path)) == sorted(FILES)
    said = {**content(tmp_path), "scene.json": content(tmp_path)["scene.json"].replace(b"embedded-panda3d-1-10-16", ENGINE.encode())}
    assert [name for name, data in said.items() if ENGINE.encode() not in data] == []


def test_the_configuration_has_the_hash_of_every_other_file(tmp_path: Path) -> None:
    export(EVERYTHING, tmp_path, Patience(DRAWING))
    files = content(tmp_path)
    configuration = json.decode(files.pop("configuration.json"), type=Configuration)

    assert configuration.files == {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    assert configuration.settings == {"hz": "60"} and configuration.versions["usd-core"]


def test_an_export_that_fails_leaves_the_one_before_it_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(EVERYTHING, tmp_path, Patience(NO_PICTURE))
    before = content(tmp_path)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(glb, "write", full)
    with pytest.raises(OSError, match="no space left"):
        export(replace(EVERYTHING, actors=[]), tmp_path, Patience(NO_PICTURE))
    assert content(tmp_path) == before


def test_a_picture_of_an_earlier_export_does_not_stay_beside_a_new_one_without(tmp_path: Path) -> None:
    export(EVERYTHING, tmp_path, Patience(DRAWING))
    files = export(EVERYTHING, tmp_path, Patience(NO_PICTURE))
    said = json.decode((tmp_path / "performance.json").read_bytes(), type=Performance)

    assert tmp_path / "performance.png" not in files and not (tmp_path / "performance.png").exists()
    assert (said.picture, said.reason) == (None, "there was no time to draw it")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (replace(basic("Cube"), position=(math.nan, 0, 0)), "position"),
        (replace(basic("Cube"), position=(1e30, 0, 0)), "position"),
        (replace(basic("Cube"), scale=(1, math.inf, 1)), "scale"),
        (replace(basic("Cube"), orientation=(0, 0, 0, 0)), "orientation"),
        (replace(basic("Cube"), label="Cu\0be"), "NUL"),
    ],
)
def test_what_no_file_can_hold_is_refused_by_name(tmp_path: Path, broken: object, said: str) -> None:
    with pytest.raises(Unexportable, match=rf"actor '(Cube|Cu\\x00be)' has .*{said}"):
        export(replace(EVERYTHING, actors=[broken]), tmp_path, Patience(NO_PICTURE))
    assert content(tmp_path) == {}


def test_a_camera_that_sees_everything_and_bounds_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unexportable, match="main"):
        export(replace(EVERYTHING, cameras={PLACE.format("main"): math.pi}), tmp_path, Patience(NO_PICTURE))
    with pytest.raises(Unexportable, match=r"bounds of .*chair"):
        export(replace(EVERYTHING, bounds={PLACE.format("chair"): ((0, 0, 0), (math.inf, 1, 1))}), tmp_path, Patience(NO_PICTURE))


def test_the_embedded_engine_reads_the_scene_as_it_was() -> None:
    scene = described(EVERYTHING)
    cube, camera = scene["Cube"], scene["main"]

    assert isinstance(cube, Mesh) and (cube.position, cube.scale) == ((1.0, 2.0, 3.0), (1.0, 2.0, 0.5))
    assert cube.mesh == "/Engine/BasicShapes/Cube.Cube" and cube.orientation == pytest.approx((0.0, 0.6, 0.0, 0.8))
    assert isinstance(camera, Camera) and camera.field_of_view == EVERYTHING.cameras[PLACE.format("main")]
    assert {"PointLight", "DirectionalLight"} <= set(scene) and not {"SkyLight", "start"} & set(scene)


@settings(max_examples=60, deadline=None)
@given(snapshots())
def test_the_embedded_engine_reads_whatever_was_written(snapshot: Snapshot) -> None:
    assert set(described(snapshot)) <= {actor.label for actor in snapshot.actors}


def test_of_two_actors_with_one_label_the_first_is_described() -> None:
    first, second = basic("Cube"), replace(basic("Cube"), position=(9.0, 9.0, 9.0))

    assert described(replace(EVERYTHING, actors=[first, second]))["Cube"].position == first.position


def test_of_two_actors_with_one_label_each_has_its_own_box_and_only_one_is_a_camera() -> None:
    rock, camera = actor("Rock", "/Game/Rock.Rock"), replace(actor("Rock", kind="CameraActor"), path=PLACE.format("Camera"))
    other = replace(rock, path=PLACE.format("Other"), position=(50.0, 2.0, 3.0))
    boxes = {rock.path: (rock.position, (0.5, 0.5, 0.5)), other.path: (other.position, (0.5, 0.5, 0.5))}
    snapshot = replace(EVERYTHING, actors=[rock, other, camera], bounds=boxes, cameras={camera.path: 1.0})

    first, second, none = (shape(snapshot, each) for each in snapshot.actors)
    assert isinstance(first, list) and isinstance(second, list) and none is None
    assert np.allclose(first, second)


def test_an_export_without_time_leaves_the_one_before_it_untouched(tmp_path: Path) -> None:
    export(EVERYTHING, tmp_path, Patience(NO_PICTURE))
    before = content(tmp_path)

    with pytest.raises(GivenUp):
        export(replace(EVERYTHING, actors=[]), tmp_path, Patience(NO_PICTURE, end=0.0))
    assert content(tmp_path) == before


def test_a_mirrored_actor_and_one_without_a_mesh_are_not_described() -> None:
    mirrored = replace(basic("Cube"), scale=(-1.0, 1.0, 1.0))

    assert described(replace(EVERYTHING, actors=[mirrored, actor("start", kind="PlayerStart")])) == {}


def test_the_figures_of_a_session_leave_out_the_seconds_of_which_nothing_is_known() -> None:
    said = summarise(ENGINE, EVERYTHING.metrics, None)

    assert (said.seconds, said.picture) == (3, "performance.png")
    assert said.rate == Spread(least=59.0, median=60.0, most=61.0)
    assert summarise(ENGINE, [MetricsRow(time_ns=1)], None).round_trip_p50 is None


def test_every_measured_second_is_a_line(tmp_path: Path) -> None:
    export(EVERYTHING, tmp_path, Patience(NO_PICTURE))
    lines = json.Decoder(Line).decode_lines((tmp_path / "metrics.jsonl").read_bytes())

    assert [line.time_ns for line in lines] == [1_000_000_000, 2_000_000_000, 3_000_000_000]
    assert (lines[0].rate, lines[1].rate, lines[0].engine) == (59.0, None, ENGINE)


def test_the_same_session_is_drawn_the_same_to_the_byte(tmp_path: Path) -> None:
    for name in ("one", "other"):
        export(EVERYTHING, tmp_path / name, Patience(DRAWING))

    one, other = ((tmp_path / name / "performance.png").read_bytes() for name in ("one", "other"))
    assert one == other and one.startswith(b"\x89PNG\r\n")


def test_a_session_that_measured_nothing_has_no_picture_and_says_so(tmp_path: Path) -> None:
    export(replace(EVERYTHING, metrics=[]), tmp_path, Patience(DRAWING))

    assert json.decode((tmp_path / "performance.json").read_bytes(), type=Performance).reason == "nothing has been measured yet"


def test_an_engine_whose_name_looks_like_mathematics_is_drawn(tmp_path: Path) -> None:
    export(replace(EVERYTHING, engine="$\\frac{$"), tmp_path, Patience(DRAWING))

    assert json.decode((tmp_path / "performance.json").read_bytes(), type=Performance).reason is None


def test_a_drawing_that_hangs_is_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.jsonl")

    assert performance.draw(tmp_path / "metrics.jsonl", tmp_path / "performance.png", Patience(0.5)) == "drawing it took more than 0.5 s"


def test_a_drawing_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("no JSON")

    reason = performance.draw(tmp_path / "metrics.jsonl", tmp_path / "performance.png", Patience(DRAWING))
    assert reason is not None and reason.startswith("DecodeError: ")


def test_who_exports_has_nothing_heavy_to_import_until_then() -> None:
    asked = "import sys, agents.ue5.exports.writing; print({'pxr', 'trimesh', 'matplotlib', 'numpy'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, timeout=60, check=True).stdout == "set()\n"
