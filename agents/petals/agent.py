"""The Petals peer: hosts blocks of the newest model in a swarm, and writes texts through it, or without it where it fails."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

from agents.parts.external_data import BadModel
from agents.parts.generation.errors import BadRequest
from agents.parts.http.door import open_door
from agents.parts.http.serving import Serving
from agents.parts.safetensors import BadSafetensors
from agents.parts.secret import read_secret
from agents.parts.weights import BadWeights
from agents.petals.admission.policy import BadPolicy, published
from agents.petals.answering import Answering
from agents.petals.api.app import application
from agents.petals.errors import Busy, Closing, NoModel, Unanswered
from agents.petals.folder import BadFolder
from agents.petals.layers.keeping import Keeping
from agents.petals.membership import Membership, Standing
from agents.petals.model import Model, open_model
from agents.petals.settings import PetalsSettings
from agents.petals.writer import AT_ONCE, Means, Writer, generated, request_of
from bus.agent import Agent, Bus, answers, every, on
from bus.environment.place import ready
from bus.environment.progress import described
from bus.errors import CommandRefused
from bus.event import Event
from bus.lifecycle import ENVIRONMENT, AgentState, EnvironmentChanged
from bus.settings import BadSettings
from bus.topic import Nothing
from schemas import export, petals

WHOLE = ("float32", "float16", "bfloat16")
"""Precisions whose safetensors hold the numbers that the ONNX model computes with: both routes write the same text."""
REFUSALS: dict[type[Exception], str] = {
    BadRequest: "bad_request",
    NoModel: "no_model",
    Busy: "busy",
    Closing: "closing",
    BadModel: "bad_model",
    Unanswered: "no_route",
}
"""What `petals.generate` says where there is no text, by what was raised."""
STOP_PATIENCE = 0.9
"""Seconds that the agent waits for host and chain to leave the swarm."""


class Petals(Agent):
    """Hosts a model with others, uses it with them, and answers alone where they do not."""

    publishes = (
        petals.SERVING,
        petals.JOINED,
        petals.LEFT,
        petals.REQUEST,
        petals.GENERATION,
        petals.FALLBACK,
        petals.HEALTH,
        petals.POLICY,
    )
    Settings = PetalsSettings
    settings: PetalsSettings

    def __init__(self, bus: Bus, settings: PetalsSettings, artifacts: Path) -> None:
        super().__init__(bus, settings, artifacts)
        self.layers = Keeping(artifacts / "petals" / "cache", settings.cache_bytes)
        self.writer = Writer(self.publish, settings.patience, self.layers.count)
        self.membership = Membership(artifacts, settings, self.publish, self.layers.count, self.change)
        self.writers = ThreadPoolExecutor(AT_ONCE, "text")
        self.answering = Answering(self.writer, self.writers, lambda: self.status(Nothing()), lambda: self.peers(Nothing()))
        self.serving: Serving | None = None

    async def start(self) -> None:
        if self.settings.prefix is not None and self.settings.model is None:
            raise BadSettings("petals.prefix names the weights of one model: name its folder by petals.model, too")
        self.versions = {name: version(name) for name in ("onnxruntime", "starlette", "uvicorn")}
        await asyncio.to_thread(self.layers.open)
        self.membership.trusted.recall()
        self.membership.keeper.open()
        await self._open_door()
        self.change(self.membership.standing)
        if self.settings.model is not None:
            await asyncio.to_thread(self.use, Path(self.settings.model))

    async def stop(self) -> None:
        self.writer.close()
        self.layers.cancel()
        self.membership.keeper.close()
        ended = asyncio.to_thread(self.membership.keeper.join, STOP_PATIENCE)
        await asyncio.gather(ended, *([self.serving.close()] if self.serving is not None else []))

    def close(self) -> None:
        self.layers.close()

    @on(export.COMPLETED, last=True)
    async def follow(self, event: Event[export.Completed]) -> None:
        """Host what was exported last, unless a setting says what to host."""
        if self.settings.model is None and event.data.precision in WHOLE:
            await asyncio.to_thread(self.use, self.artifacts / event.data.folder)

    @on(ENVIRONMENT, last=True)
    def equip(self, event: Event[EnvironmentChanged]) -> None:
        """The supervisor makes .venvs/petals, beside what is answered meanwhile."""
        change = event.data
        if change.agent == self.name:
            step = None if change.doing is None else change.doing.partition(":")[0]  # what pip says beside it, the supervisor has said
            state: AgentState = "unavailable" if change.state == "failed" else "waiting"
            self.membership.run_by(ready(self.name), state, described(replace(change, doing=step)))

    @every(seconds=30)
    def look_for_environment(self) -> None:
        """Made by hand meanwhile, nobody says so."""
        if self.membership.python is None and (python := ready(self.name)) is not None:
            self.membership.run_by(python, "waiting", "its environment is ready")

    @every(seconds=60)
    async def keep_layers(self) -> None:
        """For when nobody hosts them."""
        if (model := self.membership.model) is not None:
            await asyncio.to_thread(self.layers.keep, model.folder, model.kept_as)

    @answers(petals.STATUS)
    def status(self, request: Nothing) -> petals.Status:
        membership, totals = self.membership, self.writer.totals
        health = membership.health
        return petals.Status(
            serving=membership.serving,
            swarm="none" if health is None else "joined" if self.settings.peers else "own",
            reason=None if membership.standing.complete else membership.standing.reason,
            complete=health is not None and health.complete,
            generations=totals.generations,
            writing=self.writer.writing,
            tokens=dict(totals.tokens),
            fallbacks=totals.fallbacks,
        )

    @answers(petals.PEERS)
    def peers(self, request: Nothing) -> petals.Peers:
        health = self.membership.health
        return petals.Peers(peers=[] if health is None else health.peers, policy=published(self.membership.trusted.policy))

    @answers(petals.GENERATE)
    async def generate(self, request: petals.Generate) -> petals.Generated:
        text = None
        try:
            text = self.writer.begin(request_of(request), "bus")
            return await asyncio.get_running_loop().run_in_executor(self.writers, generated, text)
        except tuple(REFUSALS) as error:
            raise CommandRefused(REFUSALS[type(error)], str(error)) from error
        finally:
            if text is not None:
                text.cancel()  # the caller's deadline cancels this coroutine, not the thread

    @answers(petals.ALLOW)
    def allow(self, request: petals.Peer) -> petals.Policy:
        try:
            return self.membership.trusted.allow(request.peer)
        except BadPolicy as error:
            raise CommandRefused("bad_policy", str(error)) from error

    @answers(petals.BLOCK)
    def block(self, request: petals.Peer) -> petals.Policy:
        try:
            return self.membership.trusted.block(request.peer)
        except BadPolicy as error:
            raise CommandRefused("bad_policy", str(error)) from error

    @answers(petals.HOST)
    def host(self, request: petals.Host) -> petals.Serving:
        try:
            return self.membership.host((request.start, request.end))
        except ValueError as error:
            raise CommandRefused("bad_blocks", str(error)) from error

    @answers(petals.LEAVE)
    def leave(self, request: Nothing) -> petals.Serving:
        return self.membership.leave()

    async def _open_door(self) -> None:
        token = self.settings.token_file
        door = open_door(self.settings.host, self.settings.port, None if token is None else read_secret("petals.token_file", Path(token)))
        self.serving = Serving(door, application(self.answering, door.gate))
        await self.serving.open()
        self.declare("http", "real", f"OpenAI's API at {door.url}")
        self.membership.offer(door.url)

    def use(self, folder: Path) -> None:
        """Host and use the model of this folder, if Petals can; else the one before stays."""
        try:
            model = open_model(folder.resolve(), self.settings.prefix)
        except (BadFolder, BadModel, BadSafetensors, BadWeights, OSError) as error:
            self.log.warning("not hosted", folder=str(folder), reason=str(error))
            self.membership.miss(f"not hosted: {error}")
            return
        self.membership.use(model)
        threading.Thread(target=self._open_ahead, args=(model,), daemon=True).start()

    def change(self, standing: Standing) -> None:
        """Texts that begin from now on go by the chain, where it is complete; else by this machine, for the reason."""
        alone = None if standing.complete else standing.reason
        self.writer.means = Means(standing.model, standing.chain, alone)
        said = standing.reason if standing.complete or standing.model is None else f"{standing.reason}; texts come from this machine"
        if (standing.state, said) != (self.state, self.reason):
            self.set_state(standing.state, said)

    def _open_ahead(self, model: Model) -> None:
        try:
            model.open_ahead()
        except BadModel as error:
            self.log.warning("the whole model does not open on this machine", folder=str(model.folder), reason=str(error))
