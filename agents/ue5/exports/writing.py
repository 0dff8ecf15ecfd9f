"""The scene as files that other programs open, below `artifacts/wondercraft/exports/`, each of which says which engine had it.

scene.usda           for Blender, Omniverse, Houdini, Unreal's USD stage    (usd.py)
scene.glb            for everything that shows glTF                         (glb.py)
scene.json           for `engine.load`                                      (description.py)
metrics.jsonl, performance.json, performance.png                            (performance.py, plot.py)
configuration.json   settings, versions, and the hash of each other file
"""

from __future__ import annotations

import hashlib
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import msgspec
from msgspec import Struct

from agents.ue5.exports import description, performance
from agents.ue5.exports.patience import Patience
from agents.ue5.exports.snapshot import Snapshot, check

USD, GLB, SCENE, CONFIGURATION = "scene.usda", "scene.glb", "scene.json", "configuration.json"
FILES = (USD, GLB, SCENE, performance.METRICS, performance.SUMMARY, performance.PICTURE, CONFIGURATION)
"""In the order in which they take their places."""
_LIBRARIES = ("usd-core", "trimesh", "matplotlib")


class Configuration(Struct, frozen=True, kw_only=True):
    """What configuration.json says. `files` has the SHA-256 of each other file: where they match, the files are of one export."""

    engine: str
    actors: int
    settings: dict[str, str]
    versions: dict[str, str]
    files: dict[str, str]


def import_writers() -> None:
    """Import what writes the files, which else the first export waits for."""
    from agents.ue5.exports import glb, usd  # noqa: F401


def export(snapshot: Snapshot, folder: Path, patience: Patience) -> list[Path]:
    """Write all files, and return those that there are: a picture that cannot be drawn in its time is missing.

    They are made aside, and take the places of earlier ones once all are there. One export at a time.
    Raises Unexportable, GivenUp, OSError.
    """
    check(snapshot)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as name:
        made = Path(name)
        _write(snapshot, made, patience)
        patience.check()
        return _place(made, folder)


def _write(snapshot: Snapshot, made: Path, patience: Patience) -> None:
    from agents.ue5.exports import glb, usd  # pxr and trimesh take as long to import as the rest of the agent

    for name, write in ((USD, usd.write), (GLB, glb.write), (SCENE, description.write)):
        patience.check()
        write(snapshot, made / name)
    performance.write(snapshot, made, patience)
    configuration = msgspec.json.encode(_configuration(snapshot, made))
    (made / CONFIGURATION).write_bytes(msgspec.json.format(configuration, indent=1))


def _configuration(snapshot: Snapshot, made: Path) -> Configuration:
    return Configuration(
        engine=snapshot.engine,
        actors=len(snapshot.actors),
        settings=snapshot.settings,
        versions={"python": platform.python_version()} | {library: version(library) for library in _LIBRARIES},
        files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(made.iterdir())},
    )


def _place(made: Path, folder: Path) -> list[Path]:
    """Rename each file to its place. A reader finds every file whole, and by the hashes whether another export has come between."""
    placed = []
    for name in FILES:
        if (made / name).exists():
            placed.append((made / name).replace(folder / name))
        else:
            (folder / name).unlink(missing_ok=True)
    return placed
