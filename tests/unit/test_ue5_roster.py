"""What the bridge knows of a level, and how it is cut into events."""

from __future__ import annotations

import json
import re
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.ue5.level import learning
from agents.ue5.level.learning import learn
from agents.ue5.level.roster import PAGE_ACTORS, Known, Roster, kind_of, pages
from agents.ue5.remote.requests import Ask
from agents.ue5.remote.wire import Answer
from bus.testing import run

FRAME_LIMIT = 64 << 10


def actor(path: str, label: str) -> Known:
    return Known(path, label, kind_of(path), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("StaticMeshActor_12", "StaticMeshActor"),
        ("PointLight", "PointLight"),
        ("StaticMeshActor_UAID_E04F43E60E1C5CBA01_1403911228", "StaticMeshActor"),
        ("BP_Lamp_C_3", "BP_Lamp_C"),
        ("CameraActor_1_2", "CameraActor"),
        ("_7", "_7"),
    ],
)
def test_an_actors_class_is_what_its_name_begins_with(name: str, kind: str) -> None:
    assert kind_of(f"/Game/Map.Map:PersistentLevel.{name}") == kind


@given(st.text("_1A.x", max_size=60) | st.text("_UAID09F", max_size=40))
def test_a_class_is_the_shortest_beginning_that_unique_parts_follow(name: str) -> None:
    last = name.rpartition(".")[2]
    slowly = re.fullmatch(r"(.+?)(?:_UAID_[0-9A-F]+)?(?:_\d+)*", last)
    kind = kind_of(name)
    assert last.startswith(kind)
    assert slowly is not None and kind in (slowly[1], last) if last else kind == ""


def test_no_name_takes_long_to_find_its_class() -> None:
    began = time.process_time()
    kind_of("/L." + "_1" * 20_000 + "x")
    assert time.process_time() - began < 0.2


def test_a_box_goes_along_with_an_actor_that_moves_and_is_unknown_once_that_is_turned_or_scaled() -> None:
    moved, turned, scaled = (boxed() for _ in range(3))
    moved.place((10.0, 0.0, 0.0), (0.0, 0.0, 1e-9, 1.0), (1.0, 1.0, 1.0))
    turned.place((0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    scaled.place((0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), (1.0, 2.0, 1.0))
    assert (moved.centre, moved.extent) == ((10.0, 0.5, 0.0), (0.5, 0.5, 0.5))
    assert [(each.centre, each.extent) for each in (turned, scaled)] == [(None, None)] * 2


def boxed() -> Known:
    known = actor("/L.Rock_1", "rock")
    known.centre, known.extent = (0.0, 0.5, 0.0), (0.5, 0.5, 0.5)
    return known


def test_a_label_means_the_first_actor_and_the_next_one_once_that_is_gone() -> None:
    roster = Roster()
    first, second = actor("/L.A_1", "crate"), actor("/L.A_2", "crate")
    roster.replace([first, second])
    assert roster.get("crate") is first
    roster.remove(first)
    assert roster.get("crate") is second
    roster.remove(second)
    assert roster.get("crate") is None


def test_a_change_is_told_once() -> None:
    roster = Roster()
    roster.add(actor("/L.A_1", "crate"))
    assert (roster.take_change(), roster.take_change()) == (True, False)


def test_a_level_without_actors_is_a_page_too() -> None:
    (page,) = pages("engine", [])
    assert (page.count, page.page, page.pages, page.actors) == (0, 0, 1, [])


@given(st.lists(st.text(min_size=1, max_size=128), max_size=250), st.integers(1, 4000))
def test_every_page_fits_into_an_event_and_none_loses_an_actor(labels: list[str], length: int) -> None:
    actors = [actor(f"/L.{'x' * length}_{number}", label).actor for number, label in enumerate(labels)]
    cut = pages("engine", actors)
    assert [each for page in cut for each in page.actors] == actors
    assert all(len(msgspec.msgpack.encode(page)) < FRAME_LIMIT and len(page.actors) <= PAGE_ACTORS for page in cut)
    assert [(page.page, page.pages) for page in cut] == [(number, len(cut)) for number in range(len(cut))]


def test_an_actor_that_goes_while_the_level_is_read_is_left_out() -> None:
    async def ask(one: Ask) -> bytes:
        return b'{"ReturnValue": ["/L.Cube_1", "/L.Gone_1"]}'

    async def ask_all(asks: list[Ask]) -> list[Answer]:
        return [answered(each) for each in asks]

    found = run(learn(ask, ask_all))
    assert [(each.label, each.mesh, each.centre) for each in found] == [("crate", None, None)]


def test_names_without_end_are_left_out_and_not_the_level_with_them() -> None:
    long = "x" * 100_000

    async def ask(one: Ask) -> bytes:
        return json.dumps({"ReturnValue": ["/L.Cube_1", "/L.Cube_2", f"/L.{long}"]}).encode()

    async def ask_all(asks: list[Ask]) -> list[Answer]:
        return [Answer(200, json.dumps({"ReturnValue": long}).encode()) if told(each) else answered(each) for each in asks]

    def told(one: Ask) -> bool:
        return one.subject == "/L.Cube_2" and one.what == "GetActorLabel"

    assert [each.path for each in run(learn(ask, ask_all))] == ["/L.Cube_1"]


def test_a_level_of_too_many_actors_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "MOST_ACTORS", 3)
    asked: list[str] = []

    async def ask(one: Ask) -> bytes:
        return json.dumps({"ReturnValue": [f"/L.Cube_{number}" for number in range(9)]}).encode()

    async def ask_all(asks: list[Ask]) -> list[Answer]:
        asked.extend(each.subject for each in asks if each.what == "GetActorLabel")
        return [answered(each) for each in asks]

    run(learn(ask, ask_all))
    assert asked == ["/L.Cube_0", "/L.Cube_1", "/L.Cube_2"]


def answered(ask: Ask) -> Answer:
    """An engine that knows of one actor where it is and what it is called, and nothing else."""
    place = b'{"ReturnValue": {"Rotation": {"X":0,"Y":0,"Z":0,"W":1}, "Translation": {"X":0,"Y":0,"Z":0}, "Scale3D": {"X":1,"Y":1,"Z":1}}}'
    known = {"GetActorLabel": b'{"ReturnValue": "crate"}', "GetTransform": place}
    if ask.subject == "/L.Cube_1" and ask.what in known:
        return Answer(200, known[ask.what])
    return Answer(400, b'{"errorMessage": "Object does not exist."}')
