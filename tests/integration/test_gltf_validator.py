"""The format's own judge, npm's gltf-validator, has nothing to say against a scene that was exported as glTF."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct, json
from msgspec.structs import replace
from snapshots import EVERYTHING, snapshots

from agents.ue5.exports import glb
from agents.ue5.exports.snapshot import Snapshot

VALIDATOR = "gltf-validator@2.0.0-dev.3.10"
SCRIPT = Path(__file__).parents[1] / "judge" / "gltf.js"
INSTALL_TIMEOUT, TIMEOUT = 100.0, 60.0
WARNING = 1
"""The severity up to which something is wrong: 0 are errors, 2 and 3 advice."""


class Message(Struct, frozen=True):
    code: str
    message: str
    severity: int
    pointer: str = ""


class Issues(Struct, frozen=True):
    messages: list[Message]


class Report(Struct, frozen=True):
    issues: Issues


Judge = Callable[[Sequence[bytes]], list[list[Message]]]


@pytest.fixture(scope="module")
def validator(tmp_path_factory: pytest.TempPathFactory) -> Judge:
    """What is wrong with each of some files. Skips the test where there is no Node.js with npm."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} not found: the validator of glTF needs Node.js and npm")
    folder = tmp_path_factory.mktemp("node")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), VALIDATOR]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    assert installed.returncode == 0, installed.stderr
    return lambda files: judged(folder / "node_modules", files)


def judged(modules: Path, files: Sequence[bytes]) -> list[list[Message]]:
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.glb" for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        command = ["node", str(SCRIPT), str(modules), *map(str, paths)]
        said = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=True).stdout
    reports = json.decode(said, type=list[Report])
    return [[message for message in report.issues.messages if message.severity <= WARNING] for report in reports]


def written(snapshot: Snapshot) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        glb.write(snapshot, Path(folder) / "scene.glb")
        return (Path(folder) / "scene.glb").read_bytes()


def test_a_scene_with_everything_and_one_with_nothing_are_right(validator: Judge) -> None:
    assert validator([written(EVERYTHING), written(replace(EVERYTHING, actors=[]))]) == [[], []]


@settings(max_examples=10, deadline=None)
@given(st.lists(snapshots(), min_size=5, max_size=20))
def test_any_scene_is_right(validator: Judge, scenes: list[Snapshot]) -> None:
    assert validator([written(scene) for scene in scenes]) == [[]] * len(scenes)


def test_a_file_that_is_wrong_is_found_out(validator: Judge) -> None:
    wrong = written(EVERYTHING).replace(b'"scene":0', b'"scene":7')

    assert [message.code for message in validator([wrong])[0]] == ["UNRESOLVED_REFERENCE"]
