"""The benchmark of poses, where it cannot run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import pose
from benchmarks._trajectories import NoTrajectories


def test_without_a_network_the_benchmark_of_poses_ends_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(cache: Path) -> Path:
        raise NoTrajectories("pip could not fetch evo")

    monkeypatch.setattr(pose, "find_trajectories", find)
    monkeypatch.setattr("sys.argv", ["pose", "--quick"])

    with pytest.raises(SystemExit, match=r"^pose: pip could not fetch evo$"):
        pose.main()
