"""What draws: OpenGL without a screen where it works, else Panda3D's own rasterizer, which needs nothing of the system."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

from msgspec import Struct
from panda3d.core import GraphicsPipe, GraphicsPipeSelection, PandaSystem, load_prc_file_data

from schemas.engine import Renderer

PIPES: dict[Renderer, tuple[str, str]] = {
    "gl": ("eglGraphicsPipe", "p3headlessgl"),
    "software": ("TinyOffscreenGraphicsPipe", "p3tinydisplay"),
}
"""The pipe of each renderer, and the module of Panda3D that has it."""
PROBE = "agents.engine.render.probe"
PROBE_SECONDS = 20.0
"""What OpenGL may take to show that it works: a driver that hangs takes for ever."""
LAST_WORDS = 300
"""Characters of a failed probe that are repeated."""
# Panda3D's display modules complain of the screens and cards that they do not find, which is why they were chosen.
CONFIGURATION = "audio-library-name null\nnotify-level-x11display fatal\nnotify-level-egldisplay fatal\n"

VERSION: str = PandaSystem.get_version_string()

Wanted = Literal["auto", "gl", "software"]


class NoRenderer(RuntimeError):
    """Nothing draws; the message says what was tried."""


class Choice(Struct, frozen=True, kw_only=True):
    """What is to draw. `note` says why it is not OpenGL, where it is not."""

    renderer: Renderer
    note: str | None = None


def choose(wanted: Wanted, timeout: float = PROBE_SECONDS) -> Choice:
    """Take OpenGL if a process of its own has shown within `timeout` seconds that it works here. Raises NoRenderer."""
    if wanted == "software":
        return Choice(renderer="software", note="the settings ask for the software renderer")
    trouble = probe(timeout)
    if trouble is None:
        return Choice(renderer="gl")
    if wanted == "gl":
        raise NoRenderer(f"the settings ask for OpenGL, and {trouble}: install libegl1, libegl-mesa0 and libgl1-mesa-dri, or take `auto`")
    return Choice(renderer="software", note=trouble)


def probe(timeout: float) -> str | None:
    """Why OpenGL cannot be used; None: it can. A driver may crash or hang, so another process tries it first."""
    try:
        command = [sys.executable, "-m", PROBE]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return f"OpenGL drew nothing in {timeout:g} s"
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
    return f"OpenGL's trial ended with {done.returncode}: {lines[-1][:LAST_WORDS]}"


def open_pipe(renderer: Renderer) -> GraphicsPipe:
    """Open what draws. Raises NoRenderer."""
    load_prc_file_data("", CONFIGURATION)
    pipe = GraphicsPipeSelection.get_global_ptr().make_pipe(*PIPES[renderer])
    if not pipe:
        raise NoRenderer(f"Panda3D {VERSION} opens no {PIPES[renderer][0]} of {PIPES[renderer][1]}")
    return pipe
