"""What draws is chosen by trial, and the choice says its reason."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from drawn import trouble

from agents.engine.render import pipes
from agents.engine.render.pipes import Choice, NoRenderer, choose

GOING_ON = threading.Event()
PATIENCE = 60.0


def test_opengl_is_taken_where_it_works() -> None:
    if (reason := trouble()) is not None:
        pytest.skip(f"this needs libegl1, libegl-mesa0 and libgl1-mesa-dri: {reason}")
    assert choose("auto", GOING_ON) == choose("gl", GOING_ON) == Choice(renderer="gl")


def test_software_is_taken_where_opengl_s_trial_fails_and_the_note_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "PROBE", "agents.engine.render.absent")
    choice = choose("auto", GOING_ON)
    assert choice.renderer == "software"
    assert "OpenGL's trial ended with 1: " in (choice.note or "")
    assert "No module named agents.engine.render.absent" in (choice.note or "")


def test_a_driver_that_hangs_is_given_up() -> None:
    assert choose("auto", GOING_ON, timeout=0.001) == Choice(renderer="software", note="OpenGL drew nothing in 0.001 s")


def test_who_insists_on_opengl_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "PROBE", "agents.engine.render.absent")
    with pytest.raises(NoRenderer, match="install libegl1, libegl-mesa0 and libgl1-mesa-dri"):
        choose("gl", GOING_ON)


def test_who_asks_for_software_gets_it_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "probe", lambda timeout, stopping: pytest.fail("tried"))
    assert choose("software", GOING_ON).renderer == "software"


def test_a_trial_that_hangs_ends_with_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "hanging.py").write_text("import os, pathlib, time; pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipes, "PROBE", "hanging")
    stopping, started = threading.Event(), tmp_path / "pid"
    threading.Thread(target=lambda: (wait_for_file(started), stopping.set()), daemon=True).start()

    with pytest.raises(NoRenderer, match="the engine is to stop"):
        choose("auto", stopping, PATIENCE)

    assert not psutil.pid_exists(int(started.read_text()))


def test_a_trial_that_hangs_ends_by_itself_where_nobody_is_left_to_end_it() -> None:
    hang = "probe.PROBE_SECONDS = 1; probe.try_opengl = lambda: time.sleep(600)"
    program = f"import time; from agents.engine.render import probe; {hang}; probe.main()"

    done = subprocess.run([sys.executable, "-c", program], timeout=PATIENCE, check=False)

    assert done.returncode == -signal.SIGALRM


def wait_for_file(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
