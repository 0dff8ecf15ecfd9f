"""Checked recipes are a file of their own, live and made again from the log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded import STARTED, Recording, completed_data

from agents.recorder.projections import Projector, project
from agents.recorder.recipe_results import NAME
from schemas import train


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    recording = Recording(tmp_path)
    yield recording
    recording.log.close()


def checked(recipe: str, loss: float | None = 5.5) -> train.RecipeChecked:
    return train.RecipeChecked(
        recipe=recipe,
        parameters=34976,
        flops_per_token=185280,
        device="CPU",
        memory=train.Memory(weights=1, gradients=1, moments=2, activations=3, checkpoint=3),
        needed=10,
        free=100,
        fits=loss is not None,
        reason=None if loss else "too large",
        loss=loss,
        seconds=loss and 2.0,
    )


def results(artifacts: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((artifacts / NAME).read_text())
    return found


def test_the_newest_check_of_each_recipe_is_in_the_file(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RECIPE_CHECKED, checked("micro", 6.0))
    recording.add(train.RECIPE_CHECKED, checked("llm_8B", None))
    again = recording.add(train.RECIPE_CHECKED, checked("micro", 5.0))
    recording.add(train.RECIPE_CHECKED, checked("tiny"), replay=True)
    recording.add(train.RECIPE_CHECKED, {"recipe": 1})

    assert project(tmp_path) == []

    found = results(tmp_path)
    assert list(found) == ["llm_8B", "micro"]
    assert (found["micro"]["loss"], found["micro"]["time"], found["micro"]["fits"]) == (5.0, again.envelope.time, True)
    assert (found["llm_8B"]["loss"], found["llm_8B"]["reason"]) == (None, "too large")


def test_live_the_file_follows_the_log_beside_runs_and_is_the_same_made_again(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RECIPE_CHECKED, checked("micro"))
    recording.add(train.RUN_STARTED, STARTED, run="r1")
    recording.add(train.RUN_COMPLETED, completed_data(1), run="r1")
    errors: list[Exception | None] = []
    projector = Projector(tmp_path, recording.log, lambda _: None, lambda _: None, errors.append)
    recording.add(train.RECIPE_CHECKED, checked("tiny"))
    projector.close()

    assert errors == [None]
    assert list(results(tmp_path)) == ["micro", "tiny"]
    before = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).unlink()
    project(tmp_path)
    assert (tmp_path / NAME).read_bytes() == before


def test_without_a_check_there_is_no_file(tmp_path: Path, recording: Recording) -> None:
    recording.add(train.RUN_STARTED, STARTED, run="r1")

    project(tmp_path)

    assert not (tmp_path / NAME).exists()
