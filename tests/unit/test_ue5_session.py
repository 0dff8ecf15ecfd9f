"""What the bridge makes of an engine's answers, over a connection that a test answers by hand."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.ue5.commands import Commands
from agents.ue5.connection import session as session_module
from agents.ue5.connection.discovery import UNREAL, Address, Candidate
from agents.ue5.connection.session import Session
from agents.ue5.level import changes
from agents.ue5.level.roster import Known, Roster
from agents.ue5.moving.mover import Mover
from agents.ue5.moving.outbox import IN_FLIGHT, Outbox, Wish, filmed
from agents.ue5.remote.requests import Ask, encoded
from agents.ue5.remote.wire import Answer, Late, Refused, accepted
from agents.ue5.watch import Watch
from bus.testing import FakeBus, run
from schemas import scene, ue5
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


async def watching(session: Session, bus: FakeBus, said: list[str]) -> Watch:
    outbox = Outbox()
    watch = Watch(session, outbox, bus.publish, lambda state, reason: said.append(state))
    await watch.begin("no cards", 60.0)
    outbox.put("crate", Wish(1, position=(1.0, 0.0, 0.0)))
    session.nudge()
    await asyncio.sleep(0.02)
    return watch


@pytest.mark.parametrize("name", ["K2_SetActorTransform", "DestroyActor", "GetActorBounds", "GetAllLevelActors", "GetFrameCount"])
def test_a_function_that_is_not_allowed_is_found_wherever_it_is_first_called(name: str) -> None:
    async def body() -> None:
        bus, said = FakeBus("ue5"), list[str]()
        watch = await watching(open_with(forbidding(name)), bus, said)
        found = await watch.check()
        (functions,) = [each for each in found.findings if each.name == "functions"]
        assert f'("{name}")' in (functions.mend or "")
        assert said[-1] == "degraded"

    run(body())


def test_an_engine_that_says_nothing_more_is_given_up() -> None:
    async def body() -> None:
        deaf = False

        def sometimes(asked: dict[str, Any]) -> Answer:
            if deaf:
                raise Late("no answer in 5 s")
            return answered(asked)

        session = open_with(sometimes)
        watch = await watching(session, FakeBus("ue5"), [])
        deaf = True
        await watch.measure()
        assert await asyncio.wait_for(session.ended, 1) == "no answer in 5 s"

    run(body())


def test_an_engine_that_lets_nothing_be_read_has_an_empty_level_and_is_kept() -> None:
    async def body() -> None:
        session = open_with(forbidding("GetAllLevelActors"))
        await watching(session, FakeBus("ue5"), [])
        assert len(session.roster) == 0
        assert not session.ended.done()

    run(body())


def test_the_preflight_is_told_once_the_frame_rate_is_known_and_not_each_second() -> None:
    async def body() -> None:
        bus = FakeBus("ue5")
        session = open_with(answered)
        watch = await watching(session, bus, [])
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

    async def frame(self, mover: Mover, outbox: Outbox, number: int, poses: int = 10) -> int:
        """Ten poses come while a frame of 50 ms is drawn, then all that waits is answered. Returns how many batches that was."""
        for x in range(poses):
            outbox.put("crate", Wish(1, position=(float(10 * number + x), 0.0, 0.0)))
            mover.nudge()
            await asyncio.sleep(0.005)
        came = [held for _, held in self.waiting if not held.done()]
        for held in came:
            held.set_result(None)
        await asyncio.sleep(0.03)
        return len(came)

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        moved = [each["Body"]["parameters"]["NewTransform"]["Translation"]["Y"] / 100 for each in json.loads(body)["Requests"]]
        held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((moved, held))
        await held
        return await super().request(verb, url, body)


@pytest.mark.parametrize("hz", [0.01, 60.0, 1000.0])
def test_an_engine_that_answers_once_a_frame_is_sent_at_most_two_batches_a_frame_and_the_newest(hz: float) -> None:
    async def body() -> tuple[list[int], list[float]]:
        session, held, outbox = open_with(answered), Held(), Outbox()
        await session.learn()
        mover = Mover(held, outbox, session.roster, session.window, hz, [].append, lambda batch, said: None)
        frames = [await held.frame(mover, outbox, frame) for frame in range(4)]
        await held.frame(mover, outbox, 4, poses=0)
        await mover.close()
        return frames, held.waiting[-1][0]

    sent, newest = run(body())
    assert min(sent) >= 1 and max(sent) <= 2
    assert newest == [39.0]


def test_an_engine_that_hangs_is_not_flooded() -> None:
    async def body() -> int:
        session, held, outbox = open_with(answered), Held(), Outbox()
        await session.learn()
        mover = Mover(held, outbox, session.roster, session.window, 1000.0, [].append, lambda batch, said: None)
        for x in range(50):
            outbox.put("crate", Wish(1, position=(float(x), 0.0, 0.0)))
            mover.nudge()
            await asyncio.sleep(0.002)
        await mover.close()
        return len(held.waiting)

    assert run(body()) == IN_FLIGHT


def applied_by(engine: Callable[[dict[str, Any]], Answer], move: Callable[[Outbox, Session], None]) -> list[ue5.Applied]:
    """What is said of cameras while `move` wants something of an engine's level."""

    async def body() -> list[ue5.Applied]:
        said: list[ue5.Applied] = []
        session, outbox = open_with(engine), Outbox()
        await session.learn()
        session.begin(outbox, 60.0, said.append)
        move(outbox, session)
        session.nudge()
        await asyncio.sleep(0.05)
        await session.close()
        return said

    return run(body())


def film(x: float, at: int) -> Wish:
    return filmed(scene.CameraPose(camera="crate", position=(x, 0.0, 0.0), orientation=(0.0, 0.0, 0.0, 1.0)), at)


def test_of_a_camera_it_is_said_which_pose_the_engine_has_and_since_when() -> None:
    began = time.time_ns()
    (applied,) = applied_by(answered, lambda outbox, session: outbox.put("crate", film(1.0, at=7)))

    assert applied.cameras == {"crate": 7}
    assert began < applied.applied <= time.time_ns()


def test_a_pose_that_was_overtaken_is_not_said_to_be_there() -> None:
    def move(outbox: Outbox, session: Session) -> None:
        for at in (7, 8):
            outbox.put("crate", film(float(at), at))

    assert [applied.cameras for applied in applied_by(answered, move)] == [{"crate": 8}]


def test_of_what_is_no_camera_nothing_is_said() -> None:
    assert applied_by(answered, lambda outbox, session: outbox.put("crate", Wish(7, position=(1.0, 0.0, 0.0)))) == []


def test_a_camera_that_the_engine_did_not_move_is_not_said_to_be_there() -> None:
    assert applied_by(forbidding("K2_SetActorTransform"), lambda outbox, session: outbox.put("crate", film(1.0, at=7))) == []


class Changing:
    """An engine whose one actor has another path from now on: its level was loaded anew."""

    def __init__(self) -> None:
        self.path = "/L.Cube_1"
        self.moved: list[tuple[str, float]] = []

    def __call__(self, asked: dict[str, Any]) -> Answer:
        name, target = asked.get("functionName"), asked["objectPath"]
        if name == "GetAllLevelActors":
            return returned([self.path])
        if target.startswith("/L.") and not target.startswith(self.path):
            return Answer(404, b'{"errorMessage": "no such object"}')
        if name == "K2_SetActorTransform":
            self.moved.append((target, asked["parameters"]["NewTransform"]["Translation"]["Y"] / 100))
        return answered(asked)


def returned(value: object) -> Answer:
    return Answer(200, json.dumps({"ReturnValue": value}).encode())


def test_a_pose_that_meets_an_actor_of_before_is_sent_to_the_one_of_now() -> None:
    async def body() -> list[tuple[str, float]]:
        engine, outbox = Changing(), Outbox()
        session = open_with(engine)
        await session.learn()
        session.begin(outbox, 60.0, [].append)
        engine.path = "/L.Cube_2"
        outbox.put("crate", Wish(1, position=(7.0, 0.0, 0.0)))
        session.nudge()
        await asyncio.sleep(0.05)
        assert session.stale
        await session.learn()
        await asyncio.sleep(0.05)
        await session.close()
        return engine.moved

    assert run(body()) == [("/L.Cube_2", 7.0)]


def test_what_is_refused_again_after_the_level_was_read_does_not_have_it_read_for_ever() -> None:
    async def body() -> bool:
        outbox = Outbox()
        session = open_with(forbidding("K2_SetActorTransform"))
        await session.learn()
        session.begin(outbox, 60.0, [].append)
        outbox.put("crate", Wish(1, position=(7.0, 0.0, 0.0)))
        session.nudge()
        await asyncio.sleep(0.02)
        assert session.stale
        await session.learn()
        await asyncio.sleep(0.05)
        await session.close()
        return session.stale

    assert not run(body())


def test_a_light_whose_batch_has_no_answer_is_sent_again() -> None:
    async def body() -> list[float]:
        told: list[float] = []

        def deaf_once(asked: dict[str, Any]) -> Answer:
            if asked.get("propertyName") == "Intensity":
                told.append(asked["propertyValue"]["Intensity"])
                if len(told) == 1:
                    raise Late("no answer in 5 s")
            return answered(asked)

        session, outbox = open_with(deaf_once), Outbox()
        await session.learn()
        session.begin(outbox, 60.0, [].append)
        outbox.put("crate", Wish(1, intensity=3.0))
        session.nudge()
        await asyncio.sleep(0.1)
        await session.close()
        return told

    assert run(body()) == [3.0, 3.0]


def test_what_was_wanted_before_the_engine_came_is_no_latency() -> None:
    async def body() -> ue5.Latency:
        session, outbox = open_with(answered), Outbox()
        await session.learn()
        outbox.put("crate", Wish(1, position=(1.0, 0.0, 0.0)))
        session.begin(outbox, 60.0, [].append)
        await asyncio.sleep(0.05)
        await session.close()
        return session.latency()

    latency = run(body())
    assert (latency.moves, latency.event_p50) == (1, None)


def test_of_an_embedded_engine_no_frame_is_taken_off() -> None:
    async def body() -> ue5.Latency:
        session = Session("embedded-panda3d 1.10.16", Address("127.0.0.1", 1, 2), Scripted(answered), None)
        for _ in range(2):
            await session.read_frame()
        return session.latency()

    latency = run(body())
    assert latency.round_trip_p50 is not None
    assert latency.beyond_frame_p50 is None


class Gated(Scripted):
    """An engine that has its list of actors made and does not hand it out before its gate opens; it can spawn one."""

    def __init__(self) -> None:
        super().__init__(answered)
        self.paths = ["/L.Cube_1"]
        self.gate = asyncio.Event()
        self.asked: list[str | None] = []

    async def request(self, verb: str, url: str, body: bytes) -> Answer:
        asked = json.loads(body)
        self.asked.append(asked.get("functionName"))
        if asked.get("functionName") == "GetAllLevelActors":
            listed = returned(list(self.paths))
            await self.gate.wait()
            return listed
        if asked.get("functionName") == "SpawnActorFromObject":
            self.paths.append("/L.Cube_2")
            return returned("/L.Cube_2")
        if asked.get("functionName") == "DestroyActor":
            self.paths.remove(asked["parameters"]["ActorToDestroy"])
            return returned(True)
        return await super().request(verb, url, body)


def test_an_actor_that_is_spawned_while_the_level_is_read_stays_known_and_is_put_where_it_was_wanted(tmp_path: Path) -> None:
    async def body() -> Known | None:
        engine, outbox = Gated(), Outbox()
        session = Session("5.8.0-1", Address("192.0.2.1", 1, 2), engine, None)
        session.begin(outbox, 60.0, [].append)
        outbox.put("new", Wish(1, position=(1.0, 0.0, 0.0)))
        outbox.take({})
        learning = asyncio.ensure_future(session.learn())
        await asyncio.sleep(0.01)
        spawning = asyncio.ensure_future(Commands(session, FakeBus("ue5").publish, tmp_path).spawn(ue5.Spawn(label="new")))
        await asyncio.sleep(0.01)
        engine.gate.set()
        await asyncio.gather(learning, spawning)
        await asyncio.sleep(0.01)
        await session.close()
        return session.roster.get("new")

    spawned = run(body())
    assert spawned is not None
    assert spawned.position == (1.0, 0.0, 0.0)


def test_a_spawn_whose_caller_has_no_more_time_leaves_no_actor_without_a_label() -> None:
    async def body() -> list[str]:
        engine = Gated()

        async def ask(one: Ask) -> bytes:
            if one.what == "SetActorLabel":
                await asyncio.sleep(60)
            return accepted(await engine.request("PUT", one.url, encoded(one)))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await changes.spawn(ask, Roster(), ue5.Spawn(label="new"))
        return engine.paths

    assert run(body()) == ["/L.Cube_1"]


def test_a_spawn_that_fails_says_why_also_where_what_is_half_made_cannot_be_removed() -> None:
    async def ask(one: Ask) -> bytes:
        if one.what == "SpawnActorFromObject":
            return b'{"ReturnValue": "/L.Cube_2"}'
        raise Late(f"no answer to {one.what}")

    with pytest.raises(Late, match="SetActorLabel"):
        run(changes.spawn(ask, Roster(), ue5.Spawn(label="new")))


@pytest.mark.parametrize(("code", "told"), [(200, [None]), (401, [None, "sesame"]), (403, [None, "sesame"]), (404, [None])])
def test_a_passphrase_is_told_unasked_only_where_a_person_gave_the_address(
    code: int, told: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str | None] = []

    async def opened(address: Address, passphrase: str | None) -> Session:
        heard.append(passphrase)
        if code != 200 and passphrase is None:
            raise Refused(code, "no")
        return open_with(answered)

    async def body(place: Candidate) -> None:
        with contextlib.suppress(Refused):
            await session_module.open_session(place, "sesame")

    monkeypatch.setattr(session_module, "_open", opened)
    run(body(Candidate(UNREAL, unreal_only=True)))
    assert heard == told
    run(body(Candidate(UNREAL, given=True)))
    assert heard[len(told) :] == ["sesame"]
