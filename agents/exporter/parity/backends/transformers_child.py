"""The folder in transformers, where it is installed: in a process of its own, since PyTorch is no part of this project."""

from __future__ import annotations

import importlib.metadata
import os
import signal
import site
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.exporter.parity.measures import Floats, Nats
from agents.exporter.parity.prompts import Examples, Inputs
from agents.exporter.parity.readings import Backend, Broke, DidNotRun, Reading
from agents.parts import safetensors
from schemas.export import Precision

SCRIPT = Path(__file__).parent / "transformers_run.py"
NEEDED = ("transformers", "torch", "safetensors")
PATIENCE = 600.0
"""Seconds that it may take."""
LAST_WORDS = 400
"""Bytes of a failed child's messages that are repeated."""
RESULT_LIMIT = 512 << 20
"""Bytes of a result that are read at most: logits twice, each no more than a batch may have."""

Features = Callable[[Examples, Inputs], Floats]
"""What the decoder reads [n, patches, width] of the images of examples, whose batches are those of the inputs."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that has what is NEEDED, in these versions."""

    python: Path
    versions: dict[str, str]


def backend(folder: Path, precision: Precision, checkout: Path, features: Features | None) -> Backend:
    """An export's folder, read by the first Python that can: this one, else that of `.venvs/judge` in the checkout.

    For a model that sees `features` are what stands before a text: transformers has no encoder such as ours.
    """
    found = find_interpreter(checkout)

    def run(inputs: Inputs) -> Reading:
        if precision in ("int8", "int4"):
            raise DidNotRun(f"the folder's safetensors hold the checkpoint's own weights: only the ONNX files are {precision}")
        if found is None:
            raise DidNotRun("not installed: ./dev judge installs it")
        return _run(found.python, folder, inputs, features)

    version = "{transformers}, PyTorch {torch}".format_map(found.versions) if found else None
    return Backend(name="transformers", reads="safetensors", version=version, run=run)


def find_interpreter(checkout: Path) -> Interpreter | None:
    """None where no environment is whole and has all that is NEEDED."""
    if versions := _versions(site.getsitepackages()):  # all that it has under -I
        return Interpreter(Path(sys.executable), versions)
    judge = checkout / ".venvs" / "judge"
    if (judge / "unfinished").exists():
        return None
    versions = _versions([str(path) for path in judge.glob("lib/python*/site-packages")])
    return Interpreter(judge / "bin" / "python", versions) if versions else None


def _versions(paths: list[str]) -> dict[str, str] | None:
    found = {name: next(iter(importlib.metadata.distributions(name=name, path=paths)), None) for name in NEEDED}
    versions = {name: each.version for name, each in found.items() if each}
    return versions if len(versions) == len(NEEDED) else None


def _run(python: Path, folder: Path, inputs: Inputs, features: Features | None) -> Reading:
    if not (folder / "config.json").is_file():  # transformers would make a model of Llama 7B's size, and run out of memory
        raise Broke(f"{folder.name} has no config.json")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".parity-") as exchange:  # goes with the folder where a kill leaves it
        given, found = (Path(exchange) / name for name in ("given.safetensors", "found.safetensors"))
        metadata = {"continued": str(inputs.size.continued), "rows": str(inputs.size.rows)}
        given.write_bytes(safetensors.encode(_given(inputs, features), metadata))
        # -I: a PYTHONPATH is ours, and none of the packages there are the child's.
        _wait_for([str(python), "-I", str(SCRIPT), *map(str, (folder, given, found))])
        return _reading(found, None if features is None else "the features of pictures are the reference's")


def _given(inputs: Inputs, features: Features | None) -> dict[str, NDArray[Any]]:  # Any: integers and floats
    read = {"prompts": inputs.prompts} if inputs.heldout is None else {"prompts": inputs.prompts, "heldout": inputs.heldout}
    tensors: dict[str, NDArray[Any]] = {name: examples.tokens for name, examples in read.items()}
    if inputs.targets is not None:
        tensors["targets"] = inputs.targets
    if features is not None:
        tensors |= {f"{name}_features": features(examples, inputs) for name, examples in read.items()}
    return tensors


def _wait_for(command: list[str]) -> None:
    """Run to the end, which comes with ours: its input is a pipe that says nothing. Raises DidNotRun, Broke."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, env=os.environ | offline, stdin=subprocess.PIPE, stdout=said, stderr=said) as child,
    ):
        try:
            child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise DidNotRun(f"transformers was not done in {PATIENCE:.0f} s") from None
        finally:
            child.kill()
        said.seek(max(0, said.seek(0, 2) - LAST_WORDS))
        if child.returncode == -signal.SIGKILL:
            raise DidNotRun("transformers was killed: is there too little memory?")
        if child.returncode:
            raise Broke(f"the process ended with {child.returncode}: {said.read().decode(errors='replace').strip()}")


def _reading(file: Path, note: str | None) -> Reading:
    if (size := file.stat().st_size) > RESULT_LIMIT:
        raise Broke(f"its result has {size} bytes: at most {RESULT_LIMIT} are read")
    found, _ = safetensors.decode(file.read_bytes())
    return Reading(
        logits=found["logits"],
        continuations=found["continuations"].astype(np.int32),
        cached=True,
        heldout=Nats(float(found["nats"]), int(found["counted"])) if "nats" in found else None,
        behind_cache=found["behind_cache"],
        note=note,
    )
