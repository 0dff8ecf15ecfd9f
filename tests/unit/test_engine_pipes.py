"""What draws is chosen by trial, and the choice says its reason."""

from __future__ import annotations

import pytest
from drawn import trouble

from agents.engine.render import pipes
from agents.engine.render.pipes import Choice, NoRenderer, choose


def test_opengl_is_taken_where_it_works() -> None:
    if (reason := trouble()) is not None:
        pytest.skip(f"this needs libegl1, libegl-mesa0 and libgl1-mesa-dri: {reason}")
    assert choose("auto") == choose("gl") == Choice(renderer="gl")


def test_software_is_taken_where_opengl_s_trial_fails_and_the_note_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "PROBE", "agents.engine.render.absent")
    choice = choose("auto")
    assert choice.renderer == "software"
    assert "OpenGL's trial ended with 1: " in (choice.note or "")
    assert "No module named agents.engine.render.absent" in (choice.note or "")


def test_a_driver_that_hangs_is_given_up() -> None:
    assert choose("auto", timeout=0.001) == Choice(renderer="software", note="OpenGL drew nothing in 0.001 s")


def test_who_insists_on_opengl_hears_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "PROBE", "agents.engine.render.absent")
    with pytest.raises(NoRenderer, match="install libegl1, libegl-mesa0 and libgl1-mesa-dri"):
        choose("gl")


def test_who_asks_for_software_gets_it_without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipes, "probe", lambda timeout: pytest.fail("tried"))
    assert choose("software").renderer == "software"
