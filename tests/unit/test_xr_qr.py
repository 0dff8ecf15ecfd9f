"""OpenCV reads the address that is drawn on a terminal."""

import cv2
import numpy as np
import pytest

from agents.xr.door.qr import qr_lines

PIXELS = 4
LIT = {" ": (0, 0), "█": (255, 255), "▀": (255, 0), "▄": (0, 255)}
"""The halves of a character on a dark terminal."""
URL = "https://192.168.1.5:8481/#pair=" + "aB3_-" * 8 + "xyz"


def photograph(lines: list[str]) -> np.ndarray:
    rows = [[LIT[character][half] for character in line] for line in lines for half in (0, 1)]
    picture = np.pad(np.array(rows, np.uint8), 8)  # the terminal around it
    return np.kron(picture, np.ones((PIXELS, PIXELS), np.uint8))


@pytest.mark.parametrize("text", [URL, "https://10.0.0.1/", URL + "a" * 60])
def test_a_camera_reads_the_address_from_a_dark_terminal(text: str) -> None:
    read, _, _ = cv2.QRCodeDetector().detectAndDecode(photograph(qr_lines(text)))

    assert read == text


def test_it_fits_on_a_terminal() -> None:
    lines = qr_lines(URL)

    assert len(lines) <= 24 and {len(line) for line in lines} == {len(lines[0])} and len(lines[0]) <= 80


def test_light_surrounds_it() -> None:
    lines = qr_lines(URL)

    assert all(line.startswith("████") and line.endswith("████") for line in lines[:-1])
    assert set(lines[0] + lines[1]) == {"█"}
