"""A package index on loopback with three small packages, which answers pip only once its gate is open."""

from __future__ import annotations

import io
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

GATE_TIMEOUT = 60.0
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
BACKEND = """
import pathlib, shutil

def build_wheel(folder, config_settings=None, metadata_directory=None):
    return pathlib.Path(shutil.copy(next(pathlib.Path().glob("*.whl")), folder)).name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class Index:
    """`gate` lets it answer; `asked` is set once somebody asked. `settings` are the environment variables with which pip knows no other."""

    def __init__(self, address: str) -> None:
        self.gate, self.asked = threading.Event(), threading.Event()
        others = dict.fromkeys(("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"), "")
        self.settings = {**others, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": address, "NO_PROXY": "*"}


@contextmanager
def serving(folder: Path) -> Iterator[Index]:
    """`left`, which needs `right`, and `right` as wheels; `built` as source alone. Each has the version 1.0."""
    for name, needs in (("left", "right"), ("right", None)):
        _write(folder / name / f"{name}-1.0-py3-none-any.whl", wheel(name, needs))
    _write(folder / "built" / "built-1.0.tar.gz", source("built"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    index = Index(f"http://127.0.0.1:{server.server_port}/")
    server.RequestHandlerClass = partial(Gated, index=index, directory=str(folder))  # type: ignore[assignment]  # it makes one
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield index
    finally:
        index.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Gated(SimpleHTTPRequestHandler):
    """The folders as they stand: a list of links for each package, as the simple repository API has it."""

    def __init__(self, *arguments: Any, index: Index, directory: str) -> None:
        self.index = index
        super().__init__(*arguments, directory=directory)

    def do_GET(self) -> None:
        self.index.asked.set()
        if self.index.gate.wait(GATE_TIMEOUT):
            super().do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def wheel(name: str, needs: str | None = None) -> bytes:
    """A module that is empty, as a wheel (the specification "Binary distribution format")."""
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + (f"Requires-Dist: {needs}\n" if needs else "")
    info = f"{name}-1.0.dist-info"
    files = {f"{name}.py": "", f"{info}/METADATA": metadata, f"{info}/WHEEL": WHEEL}
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return written.getvalue()


def source(name: str) -> bytes:
    """The same as a source distribution, which brings what builds it."""
    files = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        "pyproject.toml": PYPROJECT.encode(),
        "backend.py": BACKEND.encode(),
        f"{name}-1.0-py3-none-any.whl": wheel(name),
    }
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{path}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return written.getvalue()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
