"""Views from a folder: read as they are, bounded before they are decoded, and what is wrong is named."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.xr.calibration import files
from agents.xr.calibration.errors import BadViews
from agents.xr.calibration.files import POSES, read_folder
from agents.xr.calibration.view import View


def put(folder: Path, name: str, value: int, width: int = 32) -> None:
    assert cv2.imwrite(str(folder / name), np.full((24, width, 3), value, np.uint8))


def read(folder: Path) -> list[View]:
    async def all_of_them() -> list[View]:
        return [view async for view in read_folder(folder)]

    return asyncio.run(all_of_them())


def test_pictures_come_in_the_order_of_their_names_with_the_trackers_poses(tmp_path: Path) -> None:
    for name, value in (("b.png", 20), ("a.png", 10), ("c.PNG", 30)):
        put(tmp_path, name, value)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / POSES).write_text("# name, x, y, z, qx, qy, qz, qw\na.png, 1, 2, 3, 0, 0, 0, 1\n\nc.PNG 4 5 6 0 0.6 0 0.8\n")

    views = read(tmp_path)

    assert [(view.name, int(view.picture[0, 0, 0])) for view in views] == [("a.png", 10), ("b.png", 20), ("c.PNG", 30)]
    trackers = [view.tracker for view in views]
    assert trackers[1] is None
    assert [tracker.position for tracker in trackers if tracker] == [(1, 2, 3), (4, 5, 6)]


def test_a_picture_that_says_it_is_huge_is_not_decoded(tmp_path: Path) -> None:
    put(tmp_path, "a.png", 1)
    png = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(png[:16] + struct.pack(">II", 60_000, 60_000) + png[24:])

    with pytest.raises(BadViews, match="60000x60000 pixels"):
        read(tmp_path)


def test_a_file_with_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(files.MOST_BYTES + 1)

    with pytest.raises(BadViews, match="more than the"):
        read(tmp_path)


def test_a_picture_is_not_turned_as_its_exif_data_say(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", 90, width=48)
    turned = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    jpeg = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(turned) + 2) + turned + jpeg[2:])

    assert cv2.imread(str(tmp_path / "a.jpg")).shape == (48, 24, 3)
    assert read(tmp_path)[0].picture.shape == (24, 48, 3)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"", "neither JPEG nor PNG"),
        ("a.jpg", b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10\x03", "damaged"),
        (POSES, b"a.png 1 2 3 0 0 0\n", "line 1"),
        (POSES, b"\na.png 1 2 nan 0 0 0 1\n", "line 2"),
        (POSES, b"a.png 1 2 3 0 0 0 2\n", "length 1"),
        (POSES, b"\xff\xfe", "UTF-8"),
    ],
)
def test_what_is_wrong_in_the_folder_is_named(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    put(tmp_path, "z.png", 1)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(BadViews, match=reason) as raised:
        read(tmp_path)
    assert raised.value.mend


@pytest.mark.parametrize("folder", ["empty", "missing", "nul\0"])
def test_a_folder_without_pictures_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(BadViews, match=r"has 0 pictures|cannot be read"):
        read(tmp_path / folder)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_poses_or_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("poses")
    put(folder, "a.png", 1)
    (folder / POSES).write_bytes(content)

    try:
        assert len(read(folder)) == 1
    except BadViews as refused:
        assert POSES in refused.reason
