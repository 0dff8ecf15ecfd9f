"""Real trajectories for tests, which skip where no package index can be reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._trajectories import NoTrajectories, find_trajectories
from bus.home import CHECKOUT, Home


def real_trajectories() -> Path:
    """The folder with those of evo, by the names that benchmarks._trajectories gives them. Skips the test where they cannot be fetched."""
    try:
        return find_trajectories(Home(CHECKOUT).cache)
    except NoTrajectories as reason:
        pytest.skip(str(reason))
