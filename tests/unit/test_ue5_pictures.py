"""A picture counts once its writer has come to its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from agents.ue5.pictures import BadPicture, NoPicture, size_of, whole_picture
from bus.testing import run


@pytest.fixture
def picture(tmp_path: Path) -> bytes:
    file = tmp_path / "made.png"
    Image.new("RGB", (320, 200), (10, 200, 30)).save(file)
    return file.read_bytes()


def test_a_picture_is_read_once_its_end_is_there(tmp_path: Path, picture: bytes) -> None:
    file = tmp_path / "shot.png"

    async def write_slowly() -> None:
        for place in range(0, len(picture), 100):
            with file.open("ab") as opened:
                opened.write(picture[place : place + 100])
            await asyncio.sleep(0.01)

    async def both() -> bytes:
        writing = asyncio.create_task(write_slowly())
        read = await whole_picture(file, 10.0)
        await writing
        return read

    assert run(both()) == picture


def test_a_picture_that_never_ends_is_given_up_by_name(tmp_path: Path, picture: bytes) -> None:
    file = tmp_path / "shot.png"
    file.write_bytes(picture[:-1])
    with pytest.raises(NoPicture, match=r"shot\.png"):
        run(whole_picture(file, 0.2))


def test_a_file_of_another_kind_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "shot.png"
    Image.new("RGB", (320, 200)).save(file, "JPEG")
    with pytest.raises(BadPicture, match="no PNG"):
        run(whole_picture(file, 20.0))


def test_its_size_is_that_of_its_header(picture: bytes) -> None:
    assert size_of(picture) == (320, 200)


@given(st.binary(max_size=40))
def test_what_is_no_png_has_no_size(data: bytes) -> None:
    with pytest.raises(BadPicture):
        size_of(data)
