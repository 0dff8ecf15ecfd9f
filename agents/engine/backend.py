"""What Remote Control's server asks of the engine: its version, the size of its meshes, and pictures as files."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import structlog

from agents.engine.engine import Engine
from agents.engine.remote.context import NoShot
from agents.engine.world import Box
from bus.log.disk import make_folder, replace_file
from schemas.engine import ENGINE

WAITING = 8
"""Pictures that are not written yet, at most."""

_log = structlog.get_logger()


class EngineBackend:
    """The engine, for requests that come from the server's thread and wait for nothing."""

    def __init__(self, engine: Engine, version: str) -> None:
        self.version = f"{ENGINE} {version}"
        self._engine = engine
        self._room = threading.Semaphore(WAITING)
        self._writer = ThreadPoolExecutor(1, "shots")

    def shoot(self, camera: str | None, width: int, height: int, file: Path) -> None:
        """Have a picture taken, and written whole under its name. Raises NoShot."""
        if not self._room.acquire(blocking=False):
            raise NoShot(f"{WAITING} pictures are waiting to be written")
        shot = self._engine.screenshot(camera, width, height)
        shot.add_done_callback(lambda taken: self._writer.submit(self._write, taken, file))

    def bounds(self, mesh: str) -> Box | None:
        return self._engine.boxes.get(mesh)

    def _write(self, taken: Future[bytes], file: Path) -> None:
        try:
            make_folder(file.parent)
            replace_file(file, taken.result())
        except Exception as error:  # whoever asked has its answer already, and waits for a file
            _log.error("a picture was not written", file=str(file), reason=str(error))
        finally:
            self._room.release()
