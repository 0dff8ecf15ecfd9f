"""What the bridge makes of an engine's answers, over a connection that a test answers by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.ue5.discovery import Address
from agents.ue5.mover import Mover
from agents.ue5.moves import IN_FLIGHT, Outbox, Wish
from agents.ue5.remote.wire import Answer, Late
from agents.ue5.saving import Exporter
from agents.ue5.session import Session
from agents.ue5.watch import Watch
from bus.testing import FakeBus, run
from schemas import ue5
from schemas.ue5 import Transport

PLACE = {"Rotation": {"X": 0, "Y": 0, "Z": 0, "W": 1}, "Translation": {"X": 0, "Y": 0, "Z": 0}, "Scale3D": {"X": 1, "Y": 1, "Z": 1}}
VALUES: dict[str, Any] = {
    "GetAllLevelActors": ["/L.Cube_1"],
    "GetActorLabel": "crate",
    "GetTransform": PLACE,
    "GetFrameCount": 7,
}  # Any: JSON


class Scripted:
    """A connection on which each request is answered by `answer`; a batch is answered request by request."""

    transport: Transport = "websocket"

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:  # Any: JSON
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._answer = answer

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        asked = json.loads(body)
        if "Requests" not in asked:
            return self._answer(asked)
        parts = [(each["RequestId"], self._answer(each["Body"])) for each in asked["Requests"]]
        said = [
            {"RequestId": number, "ResponseCode": part.code, "ResponseBody": json.loads(part.body or b"null")} for number, part in parts
        ]
        return Answer(200, json.dumps({"Responses": said}).encode())

    async def close(self) -> None: ...


def answered(asked: dict[str, Any]) -> Answer:
    """An engine with one actor, which does all that it is asked."""
    return Answer(200, json.dumps({"ReturnValue": VALUES.get(asked.get("functionName", ""))}).encode())


def forbidding(*names: str) -> Callable[[dict[str, Any]], Answer]:
    """The same one, which does not let these be called, as Unreal 5.8 says it."""

    def answer(asked: dict[str, Any]) -> Answer:
        name = asked.get("functionName")
        if name in names:
            return Answer(400, json.dumps({"errorMessage": f"Executing function '{name}' is not allowed"}).encode())
        return answered(asked)

    return answer


def open_with(answer: Callable[[dict[str, Any]], Answer]) -> Session:
    return Session("5.8.0-1", Address("192.0.2.1", 30010, 30020), Scripted(answer), None)


async def watching(session: Session, bus: FakeBus, said: list[str], artifacts: Path) -> Watch:
    outbox = Outbox()
    watch = Watch(session, outbox, Exporter(bus.publish, artifacts, {}), bus.publish, lambda state, reason: said.append(state))
    await watch.begin("no cards", 60.0)
    outbox.put("crate", Wish(1, position=(1.0, 0.0, 0.0)))
    session.nudge()
    await asyncio.sleep(0.02)
    return watch


@pytest.mark.parametrize("name", ["K2_SetActorTransform", "DestroyActor", "GetActorBounds", "GetAllLevelActors", "GetFrameCount"])
def test_a_function_that_is_not_allowed_is_found_wherever_it_is_first_called(name: str, tmp_path: Path) -> None:
    async def body() -> None:
        bus, said = FakeBus("ue5"), list[str]()
        watch = await watching(open_with(forbidding(name)), bus, said, tmp_path)
        found = await watch.check()
        (functions,) = [each for each in found.findings if each.name == "functions"]
        assert f'("{name}")' in (functions.mend or "")
        assert said[-1] == "degraded"

    run(body())


def test_an_engine_that_says_nothing_more_is_given_up(tmp_path: Path) -> None:
    async def body() -> None:
        deaf = False

        def sometimes(asked: dict[str, Any]) -> Answer:
            if deaf:
                raise Late("no answer in 5 s")
            return answered(asked)

        session = open_with(sometimes)
        watch = await watching(session, FakeBus("ue5"), [], tmp_path)
        deaf = True
        await watch.measure()
        assert await asyncio.wait_for(session.ended, 1) == "no answer in 5 s"

    run(body())


def test_an_engine_that_lets_nothing_be_read_has_an_empty_level_and_is_kept(tmp_path: Path) -> None:
    async def body() -> None:
        session = open_with(forbidding("GetAllLevelActors"))
        await watching(session, FakeBus("ue5"), [], tmp_path)
        assert len(session.roster) == 0
        assert not session.ended.done()

    run(body())


def test_the_preflight_is_told_once_the_frame_rate_is_known_and_not_each_second(tmp_path: Path) -> None:
    async def body() -> None:
        bus = FakeBus("ue5")
        session = open_with(answered)
        watch = await watching(session, bus, [], tmp_path)
        await watch.measure()
        assert not bus.published(ue5.PREFLIGHT_DONE)
        session.began -= 2.0
        for _ in range(3):
            await watch.measure()
        assert len(bus.published(ue5.PREFLIGHT_DONE)) == 1

    run(body())


class Held(Scripted):
    """An engine that answers when it is told to."""

    def __init__(self) -> None:
        super().__init__(answered)
        self.waiting: list[tuple[list[float], asyncio.Future[None]]] = []

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        moved = [each["Body"]["parameters"]["NewTransform"]["Translation"]["Y"] / 100 for each in json.loads(body)["Requests"]]
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((moved, held))
        await held
        return await super().request(verb, url, body)


def test_an_engine_that_answers_once_a_frame_is_sent_the_newest_once_a_frame() -> None:
    async def body() -> list[list[float]]:
        session, held, outbox = open_with(answered), Held(), Outbox()
        await session.learn()
        mover = Mover(held, outbox, session.roster, session.window, 0.01, lambda asks, said: None)
        for frame in range(3):
            for x in range(10):
                outbox.put("crate", Wish(1, position=(float(10 * frame + x), 0.0, 0.0)))
                mover.nudge()
                await asyncio.sleep(0)
            held.waiting[-1][1].set_result(None)
            await asyncio.sleep(0.01)
        await mover.close()
        return [moved for moved, _ in held.waiting]

    first, *rest = run(body())
    assert len(first) == 1
    assert rest == [[9.0], [19.0], [29.0]]


def test_an_engine_that_hangs_is_not_flooded() -> None:
    async def body() -> int:
        session, held, outbox = open_with(answered), Held(), Outbox()
        await session.learn()
        mover = Mover(held, outbox, session.roster, session.window, 1000.0, lambda asks, said: None)
        for x in range(50):
            outbox.put("crate", Wish(1, position=(float(x), 0.0, 0.0)))
            mover.nudge()
            await asyncio.sleep(0.002)
        await mover.close()
        return len(held.waiting)

    assert run(body()) == IN_FLIGHT
