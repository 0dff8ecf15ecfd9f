"""Real trajectories: motion capture of people with a camera in their hands, and of a drone, from the tests of the package `evo`.

They are the ground truth of the TUM RGB-D benchmark (Sturm and others, IROS 2012) and of EuRoC MAV (Burri and others, IJRR 2016).
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

EVO = "evo==1.38.1"
ARCHIVE = "evo-1.38.1.tar.gz"
TUM = ("fr2_desk_groundtruth.txt", "freiburg1_xyz-groundtruth.txt")
EUROC = ("V102_groundtruth.csv",)
FETCH_SECONDS = 60.0
"""For a package of 11 MB, and the metadata that pip makes of it."""


class NoTrajectories(Exception):
    """They are not here, and could not be fetched; the text says why."""


def find_trajectories(cache: Path) -> Path:
    """The folder of the files that TUM and EUROC name, below `cache`; fetched where they are not there yet. Raises NoTrajectories."""
    folder = cache / "trajectories"
    if not all((folder / name).is_file() for name in (*TUM, *EUROC)):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as fetched:
            _unpack(_fetch(Path(fetched)), folder)
    return folder


def _fetch(folder: Path) -> Path:
    """The source distribution, of which nothing is installed."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "evo", "--dest", str(folder), EVO]
    try:
        fetched = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NoTrajectories(f"pip could not fetch {EVO} in {FETCH_SECONDS:g} s") from None
    if fetched.returncode != 0:
        raise NoTrajectories(f"pip could not fetch {EVO}: {fetched.stderr.strip()[-500:]}")
    return folder / ARCHIVE


def _unpack(archive: Path, folder: Path) -> None:
    """Each file is whole, or not there."""
    with tarfile.open(archive) as opened:
        for name in (*TUM, *EUROC):
            member = opened.extractfile(f"{ARCHIVE.removesuffix('.tar.gz')}/test/data/{name}")
            if member is None:
                raise NoTrajectories(f"{ARCHIVE} has {name} as something else than a file")
            part = archive.with_name(name)
            part.write_bytes(member.read())
            part.replace(folder / name)
