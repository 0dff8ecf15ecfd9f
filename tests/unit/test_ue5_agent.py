"""The bridge without an engine: what it says, refuses and takes as settings. With one: tests/integration/test_ue5_bridge.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from test_ue5_load import Driver

from agents.ue5.agent import MOST_TOLD, Ue5
from agents.ue5.connection import link
from agents.ue5.connection.discovery import UNREAL, BadAddress, Candidate
from agents.ue5.measures.gpu import Cards
from agents.ue5.remote.wire import Lost, RemoteError
from agents.ue5.settings import Ue5Settings
from bus.errors import CommandRefused
from bus.settings import BadSettings
from bus.testing import Harness, run
from bus.topic import Command, Nothing
from bus.wire import encode_data
from schemas import engine, scene, ue5


@pytest.fixture(autouse=True)
def nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """No sockets here: every address is one where nothing listens."""

    async def refused(place: Candidate, passphrase: str | None) -> None:
        raise Lost(f"no HTTP at {place.address}: refused")

    monkeypatch.setattr(link, "open_session", refused)
    monkeypatch.setattr("agents.ue5.preflight.looking.open_session", refused)


def with_agent(artifacts: Path, body: Callable[[Harness[Ue5]], Awaitable[None]], **settings: Any) -> None:  # Any: each setting's own
    """Start the bridge, do `body`, stop it."""

    async def live() -> None:
        harness = Harness(Ue5, artifacts, Ue5Settings(**settings))
        await harness.start()
        try:
            await asyncio.sleep(0.01)
            await body(harness)
        finally:
            await harness.stop()

    run(live())


def test_a_bridge_without_engine_waits_and_says_how_to_get_one(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        state, reason = harness.bus.states[-1]
        assert state == "waiting"
        assert "bus call ue5.preflight" in (reason or "")
        (reachable,) = (await harness.call(ue5.PREFLIGHT, Nothing())).findings
        assert "bus run engine" in (reachable.mend or "")
        assert "WebControl.StartServer" in (reachable.mend or "")
        status = await harness.call(ue5.STATUS, Nothing())
        assert (status.connected, status.reason) == (None, reason)

    with_agent(tmp_path, body)


@pytest.mark.parametrize(
    ("command", "request_"),
    [
        (ue5.SPAWN, ue5.Spawn(label="crate")),
        (ue5.REMOVE, ue5.Remove(label="crate")),
        (ue5.SCREENSHOT, ue5.Screenshot()),
        (ue5.EXPORT, Nothing()),
    ],
)
def test_what_needs_an_engine_is_refused_by_one_code(tmp_path: Path, command: Command[Any, Any], request_: Any) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        with pytest.raises(CommandRefused) as refused:
            await harness.call(command, request_)
        assert refused.value.code == "not_connected"

    with_agent(tmp_path, body)


def test_the_preflight_of_no_engine_is_a_finding_and_no_refusal(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        found = await harness.call(ue5.PREFLIGHT, Nothing())
        assert (found.ok, [each.name for each in found.findings]) == (False, ["reachable"])
        assert harness.published(ue5.PREFLIGHT_DONE) == [found]

    with_agent(tmp_path, body)


def test_an_address_that_is_none_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        with pytest.raises(CommandRefused) as refused:
            await harness.call(ue5.CONNECT, ue5.Connect(address="my workstation"))
        assert refused.value.code == "bad_address"
        assert harness.agent.link.configured is None

    with_agent(tmp_path, body)


def test_connecting_to_where_nothing_answers_says_so(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        status = await harness.call(ue5.CONNECT, ue5.Connect(address="127.0.0.1:4"))
        assert status.connected is None
        assert "127.0.0.1:4" in (status.reason or "")

    with_agent(tmp_path, body)


def test_moves_without_engine_are_kept_for_when_there_is_one(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        for x in (1.0, 2.0):
            await harness.feed(scene.ACTOR_POSE, scene.ActorPoses(actors=[scene.Placed(actor="crate", position=(x, 0, 0))]))
        await harness.tick("measure")
        assert harness.agent.outbox.pending["crate"].position == (2.0, 0.0, 0.0)

    with_agent(tmp_path, body)


def test_the_status_of_many_strangers_fits_an_event(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        labels = [f"{number:04}".ljust(128, "\U0001f600") for number in range(900)]
        for start in range(0, len(labels), 300):
            actors = [scene.Placed(actor=label, position=(0.0, 0.0, 0.0)) for label in labels[start : start + 300]]
            await harness.feed(scene.ACTOR_POSE, scene.ActorPoses(actors=actors))
        harness.agent.outbox.take({})
        status = await harness.call(ue5.STATUS, Nothing())
        assert len(status.unknown) == MOST_TOLD
        assert len(encode_data(status)) < 60 << 10

    with_agent(tmp_path, body)


def test_the_project_is_written_without_an_engine(tmp_path: Path) -> None:
    async def body(harness: Harness[Ue5]) -> None:
        project = await harness.call(ue5.PROJECT, Nothing())
        assert project.folder == "wondercraft/unreal"
        assert all((tmp_path / project.folder / file).is_file() for file in project.files)

    with_agent(tmp_path, body)


def test_a_fault_in_one_look_does_not_end_the_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[RemoteError | ValueError] = [ValueError("a fault of ours"), Lost("refused")]

    async def faulty(place: object, passphrase: str | None) -> None:
        raise looks.pop(0) if looks else Lost("refused")

    monkeypatch.setattr(link, "open_session", faulty)

    async def body(harness: Harness[Ue5]) -> None:
        assert any("ValueError: a fault of ours" in (reason or "") for _, reason in harness.bus.states)
        await asyncio.sleep(0.5)
        assert not looks

    with_agent(tmp_path, body)


def test_an_engine_that_serves_at_no_address_is_not_looked_for(tmp_path: Path) -> None:
    serving = engine.Serving(engine="x", version="1", renderer="gl", driver="none", http="somewhere", websocket="ws://127.0.0.1:1")

    async def body(harness: Harness[Ue5]) -> None:
        with pytest.raises(BadAddress, match="somewhere"):
            await harness.feed(engine.SERVING, serving)
        assert [each.address for each in harness.agent.link.places] == [UNREAL]

    with_agent(tmp_path, body)


@pytest.mark.parametrize("settings", [{"address": "here"}, {"passphrase_file": "/nowhere/at/all"}, {"osc": "127.0.0.1"}])
def test_settings_that_make_no_sense_end_the_agent_before_it_begins(tmp_path: Path, settings: dict[str, str]) -> None:
    (name,) = settings
    with pytest.raises(BadSettings, match=f"ue5.{name}"):
        with_agent(tmp_path, lambda harness: asyncio.sleep(0), **settings)


def test_a_passphrase_is_what_its_file_says_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("open sesame\n")
    settings = Ue5Settings(passphrase_file=str(file))
    assert settings.passphrase == "open sesame"
    assert str(file) not in str(settings.described)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", b"\xff\xfe", b"x" * 5000])
def test_a_file_that_is_no_passphrase_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(BadSettings, match=r"ue5\.passphrase_file"):
        _ = Ue5Settings(passphrase_file=str(file)).passphrase


def test_a_bridge_that_ends_lets_go_of_the_graphics_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver()
    monkeypatch.setattr("agents.ue5.agent.open_cards", lambda: Cards(driver))

    async def body(harness: Harness[Ue5]) -> None:
        assert driver.is_open

    with_agent(tmp_path, body)
    assert not driver.is_open
