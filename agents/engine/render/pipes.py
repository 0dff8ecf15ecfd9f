"""What draws: OpenGL without a screen where it works, else Panda3D's own rasterizer, which needs nothing of the system."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import suppress
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
PROBE_SECONDS = 20
"""What OpenGL may take to show that it works: a driver that hangs takes for ever."""
POLL_SECONDS = 0.1
"""Between two looks whether the probe is still wanted."""
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


def choose(wanted: Wanted, stopping: threading.Event, timeout: float = PROBE_SECONDS) -> Choice:
    """Take OpenGL if a process of its own has shown within `timeout` seconds that it works here.

    Raises NoRenderer, also where `stopping` is set meanwhile.
    """
    if wanted == "software":
        return Choice(renderer="software", note="the settings ask for the software renderer")
    trouble = probe(timeout, stopping)
    if stopping.is_set():
        raise NoRenderer("the engine is to stop")
    if trouble is None:
        return Choice(renderer="gl")
    if wanted == "gl":
        raise NoRenderer(f"the settings ask for OpenGL, and {trouble}: install libegl1, libegl-mesa0 and libgl1-mesa-dri, or take `auto`")
    return Choice(renderer="software", note=trouble)


def probe(timeout: float, stopping: threading.Event) -> str | None:
    """Why OpenGL cannot be used; None: it can. A driver may crash or hang, so another process tries it first, until `stopping` is set."""
    command = [sys.executable, "-m", PROBE]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = _await_end(process, time.monotonic() + timeout, stopping)
    if said is None:
        return f"OpenGL drew nothing in {timeout:g} s"
    if process.returncode == 0:
        return None
    lines = said.strip().splitlines() or ["no word"]
    return f"OpenGL's trial ended with {process.returncode}: {lines[-1][:LAST_WORDS]}"


def _await_end(process: subprocess.Popen[str], until: float, stopping: threading.Event) -> str | None:
    """What a process has said when it ends by itself. None: it was killed at the monotonic time `until`, or told to stop before."""
    while time.monotonic() < until and not stopping.is_set():
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=POLL_SECONDS)[0]
    process.kill()
    return None


def open_pipe(renderer: Renderer) -> GraphicsPipe:
    """Open what draws. Raises NoRenderer."""
    load_prc_file_data("", CONFIGURATION)
    pipe = GraphicsPipeSelection.get_global_ptr().make_pipe(*PIPES[renderer])
    if not pipe:
        raise NoRenderer(f"Panda3D {VERSION} opens no {PIPES[renderer][0]} of {PIPES[renderer][1]}")
    return pipe
