"""What several unit tests train on."""

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sixty short files."""
    folder = tmp_path_factory.mktemp("text")
    for index in range(60):
        (folder / f"{index}.txt").write_text(f"{index} quick brown foxes jump over {index + 1} lazy dogs.\n" * 10)
    return folder
