"""transformers, where it is installed, runs the folder of an export as the model that it is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from compiled import MICRO, SEEING
from exports import export, held_out, lively_weights

from agents.exporter.parity.backends import transformers_child
from agents.exporter.parity.compare import agreement, backends, compare
from agents.exporter.parity.prompts import draw
from agents.exporter.parity.readings import Broke, DidNotRun
from agents.parts.recipes import Recipe

TIMEOUT = 60.0


@pytest.mark.parametrize("recipe", [MICRO, SEEING], ids=lambda recipe: recipe.name)
def test_transformers_agrees_with_the_reference(recipe: Recipe, judge: Path, tmp_path: Path) -> None:
    exported = export(recipe, lively_weights(recipe), "float32", tmp_path)
    inputs = draw(recipe, held_out(recipe), seed=0)
    reference, *_, transformers = backends(exported, judge.parents[3])

    found = agreement(transformers, transformers.run(inputs), reference.run(inputs), seconds=0.0)

    assert found.version is not None and "PyTorch" in found.version
    assert found.max_abs is not None and found.max_abs < 1e-4 and found.cached
    assert found.greedy_same == found.top1 == 1.0
    assert found.perplexity_change == pytest.approx(0.0, abs=1e-6)


def test_its_process_ends_with_who_started_it(judge: Path, tmp_path: Path) -> None:
    command = [judge, transformers_child.SCRIPT, tmp_path, tmp_path / "given", tmp_path / "found"]

    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False)

    assert done.returncode == 1 and not (tmp_path / "found").exists()


def of_another_width(folder: Path) -> None:
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 16}))


def without_its_end(folder: Path) -> None:
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.unlink()
    weights.write_bytes(data[:-1000])


@pytest.mark.parametrize("spoil", [of_another_width, without_its_end])
def test_a_folder_that_it_cannot_load_fails_the_export(spoil: Callable[[Path], None], judge: Path, tmp_path: Path) -> None:
    exported = export(MICRO, lively_weights(MICRO), "float32", tmp_path)
    spoil(tmp_path)

    parity = compare(exported, held_out(MICRO), 0, judge.parents[3], lambda done, total, what: None)

    failed = {gate.measure: gate.backend for gate in parity.gates if not gate.passed}
    assert not parity.passed and failed == {"broke": "transformers"}
    assert "the process ended with 1" in str(parity.agreements[-1].reason)


def test_a_folder_without_a_configuration_is_not_tried(judge: Path, tmp_path: Path) -> None:
    with pytest.raises(Broke, match=r"has no config\.json"):
        transformers_child.backend(tmp_path, "float32", judge.parents[3], None).run(draw(MICRO, None, seed=0))


def test_who_is_not_done_in_time_says_nothing_of_the_export(judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformers_child, "PATIENCE", 0.01)
    export(MICRO, lively_weights(MICRO), "float32", tmp_path)

    with pytest.raises(DidNotRun, match="was not done in"):
        transformers_child.backend(tmp_path, "float32", judge.parents[3], None).run(draw(MICRO, None, seed=0))


def test_without_an_environment_that_has_it_the_reason_says_what_installs_it(tmp_path: Path) -> None:
    if transformers_child.find_interpreter(tmp_path) is not None:
        pytest.skip("this environment has transformers itself")

    with pytest.raises(DidNotRun, match=r"\./dev judge"):
        transformers_child.backend(tmp_path, "float32", tmp_path, None).run(draw(MICRO, None, seed=0))


@pytest.mark.parametrize("precision", ["int8", "int4"])
def test_a_folder_whose_weights_are_not_the_rounded_ones_is_not_compared(precision: str, tmp_path: Path) -> None:
    with pytest.raises(DidNotRun, match=f"only the ONNX files are {precision}"):
        transformers_child.backend(tmp_path, precision, tmp_path, None).run(draw(MICRO, None, seed=0))  # type: ignore[arg-type]
