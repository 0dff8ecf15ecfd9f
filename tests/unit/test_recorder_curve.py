"""The picture of a run is drawn from its files alone, the same each time, in a process that troubles nobody."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from recorded import STARTED, Recording, checkpoint_data, completed_data, step_data
from structlog.testing import capture_logs

os.environ.setdefault("MPLCONFIGDIR", str(Path(tempfile.gettempdir()) / f"zeropoint-tests-{os.getuid()}-matplotlib"))

# matplotlib reads its environment when it is imported
from agents.recorder import drawing
from agents.recorder.curve import conclude, describe, read, smooth
from agents.recorder.drawing import Drawer, draw
from agents.recorder.projections import project
from schemas import train

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


def a_run(recording: Recording, run: str, steps: int) -> None:
    recording.add(train.RUN_STARTED, STARTED, run=run)
    for step in range(1, steps + 1):
        recording.add(train.STEP, replace(step_data(step), loss=1.0 + 1.0 / step), run=run)
    if steps:
        recording.add(train.EVAL, train.Eval(step=steps, loss=1.5, bits_per_byte=2.164, tokens=4096), run=run)
        recording.add(train.CHECKPOINT, checkpoint_data(steps), run=run)
    recording.add(train.RUN_COMPLETED, completed_data(steps), run=run)


def chunks(png: bytes) -> list[bytes]:
    """The names of its chunks (PNG specification, section 5)."""
    names, at = [], len(PNG)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        names.append(png[at + 4 : at + 8])
        at += length + 12
    return names


def test_the_same_run_is_drawn_the_same_to_the_byte(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1", 30)
    (folder,) = project(tmp_path)
    first = (folder / "loss_curve.png").read_bytes()
    (folder / "loss_curve.png").unlink()

    project(tmp_path)
    assert (tmp_path / "train" / "loss_curve.png").read_bytes() == first
    assert first.startswith(PNG)
    assert set(chunks(first)) == {b"IHDR", b"pHYs", b"IDAT", b"IEND"}, "a chunk that says who drew it, or when"


def test_a_run_without_a_step_has_no_picture_and_the_next_one_has(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1", 0)
    a_run(recording, "r2", 1)

    with capture_logs() as logs:
        first, second = project(tmp_path)
    assert not (first / "loss_curve.png").exists() and (second / "loss_curve.png").exists()
    assert logs == []


def test_it_says_what_ran_where_and_how_far_it_came(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1", 3)
    (folder,) = project(tmp_path)
    run = read(folder)

    assert describe(run.summary) == "micro, 1k parameters  ·  batch 2 x 8 tokens  ·  seed 7  ·  CPU"
    said = conclude(run)
    for part in ("finished, step 3 of 3", "training loss 1.333 (smoothed)", "held-out loss 1.500 (2.164 bits per byte)", "48 tokens"):
        assert part in said


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path, recording: Recording) -> None:
    a_run(recording, "r1", 3)
    (folder,) = project(tmp_path)
    with (folder / "loss_curve.csv").open("a") as file:
        file.write("4,1.")

    assert read(folder).steps.tolist() == [1, 2, 3]


def test_the_smoothed_loss_follows_a_fall_at_once_and_noise_hardly() -> None:
    falling = np.linspace(5.0, 3.0, 20)
    noisy = 2.0 + np.random.default_rng(0).standard_normal(1000) / 10

    assert np.abs(smooth(falling) - falling).max() < 0.2
    assert smooth(noisy)[500:].std() < 0.3 * noisy.std()
    assert smooth(np.full(10, 2.0)).tolist() == [2.0] * 10


def test_what_cannot_be_drawn_is_said_and_raises_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "r1"
    folder.mkdir(parents=True)

    with capture_logs() as logs:
        draw(tmp_path, [folder])
    (line,) = logs
    assert line["runs"] == ["r1"] and "run.json" in line["reason"]


def stuck(artifacts: Path) -> Path:
    """A run whose drawing never ends."""
    folder = artifacts / "runs" / "r1"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "run.json")
    return folder


def test_a_drawing_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(drawing, "MORE_SECONDS", 0.0)

    with capture_logs() as logs:
        draw(tmp_path, [stuck(tmp_path)])
    assert [line["reason"] for line in logs] == ["drawing took more than 0.1 s"]


def test_closing_ends_a_drawing_that_is_not_ready(tmp_path: Path) -> None:
    drawer = Drawer(tmp_path)
    drawer.ask(stuck(tmp_path))

    began = time.monotonic()
    drawer.close()
    assert drawing.CLOSE_SECONDS <= time.monotonic() - began < drawing.CLOSE_SECONDS + 2


def test_what_was_asked_for_is_drawn_before_closing(tmp_path: Path, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "CLOSE_SECONDS", 60.0)
    a_run(recording, "r1", 3)
    (folder,) = project(tmp_path)
    (folder / "loss_curve.png").unlink()
    drawer = Drawer(tmp_path)
    drawer.ask(folder)
    drawer.ask(folder)
    drawer.close()

    assert (folder / "loss_curve.png").exists()


def test_a_drawing_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    folder = stuck(tmp_path)
    child = subprocess.Popen([sys.executable, "-m", "agents.recorder.curve", str(folder)], stdin=subprocess.PIPE)
    time.sleep(0.2)
    assert child.stdin is not None and child.poll() is None
    child.stdin.close()

    assert child.wait(20) == 1
