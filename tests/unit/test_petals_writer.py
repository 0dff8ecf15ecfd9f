"""Texts are written with the model that is there, counted, and said; without a swarm, by this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from exports import export, lively_weights

from agents.parts.generation.errors import BadRequest
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.text import Request, TextModel
from agents.parts.recipes import RECIPES
from agents.petals.errors import Busy, Closing, NoModel
from agents.petals.folder import BadFolder
from agents.petals.model import Model, open_model
from agents.petals.writer import AT_ONCE, Means, Writer, generated, request_of
from bus.testing import FakeBus
from schemas import petals

COUNTED: list[tuple[str, int, int, int]] = []
GREEDY = Request(prompt="abc", length=12, sampling=Sampling(temperature=0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "micro-0-float32.2"
    folder.mkdir()
    export(RECIPES["micro"], lively_weights(RECIPES["micro"]), "float32", folder)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return open_model(folder, None)


def test_without_a_swarm_this_machine_writes_and_says_why(model: Model, folder: Path) -> None:
    bus = FakeBus("petals")
    writer = Writer(bus.publish, 1.0, lambda *used: COUNTED.append(used), Means(model, None, "nobody has block 1"))
    alone = TextModel.open(folder).write(GREEDY)
    text = generated(writer.begin(GREEDY, "bus"))

    assert text.text == "".join(alone)
    assert (text.served, text.note) == ([petals.Stretch(route="local", tokens=12)], "nobody has block 1")
    (said,) = bus.published(petals.GENERATION)
    assert (said.generation, said.finish, said.tokens, said.prefix) == (text.generation, "length", 12, "micro-0-float32-2")
    assert COUNTED[-1] == (model.kept_as, 0, 2, 15)
    assert (writer.totals.generations, writer.totals.tokens, writer.writing) == (1, {"local": 12}, 0)


def test_what_cannot_be_written_is_said_before_and_in_the_event(model: Model) -> None:
    bus = FakeBus("petals")
    writer = Writer(bus.publish, 1.0, lambda *used: COUNTED.append(used))
    with pytest.raises(NoModel, match="wait for an export"):
        writer.begin(GREEDY, "bus")
    with pytest.raises(BadRequest, match="100001"):
        request_of(petals.Generate(prompt="a", length=100_001))

    writer.means = Means(Model(Path("nowhere"), "p", model.llama, None, model.tokenizer, model.kept_as))
    with pytest.raises(RuntimeError, match="no route"):
        generated(writer.begin(GREEDY, "http"))
    assert [(each.finish, each.client) for each in bus.published(petals.GENERATION)] == [("failed", "http")]


def test_only_so_many_texts_are_written_at_once_and_a_cancelled_one_makes_room(model: Model) -> None:
    bus = FakeBus("petals")
    writer = Writer(bus.publish, 1.0, lambda *used: COUNTED.append(used), Means(model))
    begun = [writer.begin(GREEDY, "bus") for _ in range(AT_ONCE)]
    with pytest.raises(Busy):
        writer.begin(GREEDY, "bus")
    pieces = iter(begun[0])
    next(pieces)
    begun[0].cancel()
    begun[1].cancel()
    list(pieces)

    assert list(begun[1]) == []  # a thread may come to it later
    assert writer.writing == AT_ONCE - 2
    assert [each.finish for each in bus.published(petals.GENERATION)] == ["cancelled", "cancelled"]
    writer.close()
    assert writer.writing == 0
    with pytest.raises(Closing):
        writer.begin(GREEDY, "bus")


def test_other_weights_under_the_same_name_are_kept_under_another(model: Model, tmp_path: Path) -> None:
    other = tmp_path / model.folder.name
    other.mkdir()
    export(RECIPES["micro"], lively_weights(RECIPES["micro"], seed=1), "float32", other)

    assert open_model(other, None).prefix == model.prefix
    assert open_model(other, None).kept_as != model.kept_as


def test_a_folder_without_weights_or_with_a_name_that_no_swarm_takes_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match="want letters"):
        open_model(folder, "a.b")
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(BadFolder, match="only safetensors"):
        open_model(tmp_path, "a")
