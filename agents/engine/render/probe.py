"""Tries OpenGL in a process of its own, which a bad driver may crash or hang.

    python -m agents.engine.render.probe

prints the driver's name and ends with 0 if a picture that it draws has the colour that it must have.
"""

from __future__ import annotations

import signal
import sys

from panda3d.core import GraphicsEngine

from agents.engine.render.canvas import BACKGROUND, Canvas
from agents.engine.render.pipes import PROBE_SECONDS, NoRenderer, open_pipe

SIDE = 16
"""Pixels of the picture's edges."""
TOLERANCE = 2
"""Of 255: drivers round."""


def try_opengl() -> str:
    """The driver's name. Raises NoRenderer."""
    canvas = Canvas(GraphicsEngine(), open_pipe("gl"), SIDE, SIDE)
    canvas.draw(read=True)
    wrong = [int(colour) for colour in canvas.pixels()[SIDE // 2, SIDE // 2]]
    want = [round(255 * share) for share in BACKGROUND[2::-1]]
    if max(abs(is_ - want_) for is_, want_ in zip(wrong, want, strict=True)) > TOLERANCE:
        raise NoRenderer(f"OpenGL draws the colour {wrong} where {want} is")
    return canvas.driver("gl")


def main() -> None:
    signal.alarm(PROBE_SECONDS)  # its default action ends what hangs in a driver, also when nobody is left to do so
    try:
        driver = try_opengl()
    except NoRenderer as reason:
        raise SystemExit(str(reason)) from reason
    sys.stdout.write(f"{driver}\n")


if __name__ == "__main__":
    main()
