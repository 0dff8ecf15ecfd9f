"""Starts the contenders of `benchmarks.petals` over one exported model, with the swarms that serve them, and lets them write in turns."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from agents.parts.recipes import Recipe
from benchmarks._generation import SEED, Entrant, Model, command, export, rounds
from benchmarks._memory import Memory, memory_of
from benchmarks._processes import Stage, stage
from benchmarks._swarm import Peer, addresses, hosted, surroundings
from benchmarks._training import THREADS
from benchmarks.generators.job import Job, SwarmJob, Turn
from bus.environment.place import Place

ONNX, PYTORCH = "local, ONNX", "local, PyTorch"
ONE, TWO, STOCK = "swarm, 1 peer", "swarm, 2 peers", "Petals' client, 2 peers"
MODULES = {
    ONNX: "benchmarks.generators.ours",
    PYTORCH: "benchmarks.generators.pytorch",
    ONE: "benchmarks.generators.swarm",
    TWO: "benchmarks.generators.swarm",
    STOCK: "benchmarks.generators.stock",
}
SWARM_PYTHON = Place("petals").python
PYTHONS = {name: str(SWARM_PYTHON) if name in (PYTORCH, STOCK) else sys.executable for name in MODULES}


@dataclass(frozen=True, slots=True)
class Case:
    """A model in float32. Half of its context is the prompt; `tokens` are written behind it. A peer fails `outages` times in each way."""

    recipe: Recipe
    tokens: int
    outages: int

    @property
    def prompt(self) -> int:
        return self.recipe.context // 2

    @property
    def prefix(self) -> str:
        """What the model is called in a swarm."""
        return f"bench-{self.recipe.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` in which each contender has a turn of about `seconds` with each model."""

    cases: tuple[Case, ...]
    rounds: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Field:
    """What there is to write with: a model in a folder, a swarm of `one` peer that hosts it, and one of `two` with half of it each."""

    case: Case
    job: Job
    one: list[Peer]
    two: list[Peer]

    def through(self, peers: Sequence[Peer], client: str) -> SwarmJob:
        """The same job through these peers, for a client with a folder of its own."""
        home = Path(self.job.folder).parent / client.replace(" ", "-")
        home.mkdir()
        more = {"python": str(SWARM_PYTHON), "prefix": self.case.prefix, "peers": addresses(peers), "home": str(home)}
        return msgspec.convert(msgspec.structs.asdict(self.job) | more, SwarmJob)


@dataclass(frozen=True, slots=True)
class Written:
    """What each contender answered in each round, and everybody's memory behind the last one."""

    turns: dict[str, list[Turn]]
    memory: list[Memory]


@contextmanager
def field_of(case: Case) -> Iterator[Field]:
    """Write the model, and have it hosted. Raises ChildFailed, OSError."""
    middle, last = case.recipe.layers // 2, case.recipe.layers
    with tempfile.TemporaryDirectory(prefix="zp-bench-") as folder, ExitStack() as opened:
        job = job_of(case, Path(folder))
        one, two = (
            opened.enter_context(hosted(SWARM_PYTHON, job.folder, case.prefix, spans, Path(folder) / name))
            for name, spans in (("one", [(0, last)]), ("two", [(0, middle), (middle, last)]))
        )
        yield Field(case, job, one, two)


def write_in_turns(field: Field, plan: Plan) -> Written:
    """Raises ChildFailed, OSError."""
    with stage(Path(field.job.folder).parent) as opened:
        entrants = dict(_enter(opened, field))
        turns = rounds(entrants, plan.rounds, plan.seconds, field.case.recipe.name)
        owners = {name: entrant.pid for name, entrant in entrants.items()}
        owners |= {f"host of blocks {peer.order.start} to {peer.order.end - 1}": peer.pid for peer in (*field.one, *field.two)}
        return Written(turns, [memory_of(name, pid) for name, pid in owners.items()])


def job_of(case: Case, folder: Path) -> Job:
    """Write the model into the folder, and say what is to be done with it."""
    model = folder / "model"
    model.mkdir()
    export(model, Model(case.recipe, "float32"))
    prompt = np.random.default_rng(SEED).integers(0, case.recipe.vocabulary, case.prompt).tolist()
    return Job(folder=str(model), prompt=prompt, tokens=case.tokens, threads=THREADS)


def _enter(opened: Stage, field: Field) -> Iterator[tuple[str, Entrant]]:
    """Start everybody, one after the other."""
    jobs = {ONE: field.one, TWO: field.two, STOCK: field.two}
    for name, module in MODULES.items():
        job = field.through(jobs[name], name) if name in jobs else field.job
        yield name, Entrant(opened, name, command(PYTHONS[name], module, job), surroundings(Path(field.job.folder).parent))
