"""Peers that host a model together, a text that loses one in the middle, and who may join: real processes, real swarms."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
from conftest import CHECKOUT, Appliance, json_lines, wait_for
from exports import export, lively_weights

from agents.parts import safetensors
from agents.parts.generation.sampling import Sampling
from agents.parts.generation.text import Request, TextModel
from agents.parts.recipes import RECIPES
from agents.petals.layers.cache import Cache
from agents.petals.model import open_model
from bus.client import Client
from bus.errors import CommandRefused
from bus.topic import Nothing, Topic
from schemas import petals, train

JOINING = 90.0
"""Seconds until a swarm is complete, on a busy machine."""
EXPORTING = 240.0
"""Seconds until a run is trained, exported, compared and hosted."""
PROMPT, LENGTH = "def main(", 60
LONG = 250
"""Tokens of a text that is past the model's context, and so takes long enough to lose a peer in the middle."""
PATIENT = {"BUS_PETALS_PATIENCE": "8", "BUS_PETALS_PORT": "0"}
"""A busy machine is not a slow swarm."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of four layers as an export leaves it."""
    folder = tmp_path_factory.mktemp("exports") / "tiny-0-float32"
    folder.mkdir()
    export(RECIPES["tiny"], lively_weights(RECIPES["tiny"]), "float32", folder)
    return folder


def alone(model: Path, prompt: str = PROMPT, length: int = LENGTH) -> str:
    """What this machine writes behind the prompt, the likeliest token each time."""
    return "".join(TextModel.open(model).write(Request(prompt=prompt, length=length, sampling=Sampling(temperature=0))))


def peer(appliance: Appliance, model: Path, blocks: str, **settings: str) -> Client:
    """An appliance whose Petals peer hosts these blocks."""
    appliance.start("hub", "recorder")
    client = appliance.connect()
    appliance.start("petals", BUS_PETALS_MODEL=str(model), BUS_PETALS_BLOCKS=blocks, **{**PATIENT, **settings})
    appliance.wait_for_agent(client, "petals")
    return client


def status(client: Client) -> petals.Status:
    return client.call(petals.STATUS, timeout=10)


def serving(client: Client, when: Callable[[petals.Serving], Any]) -> petals.Serving:
    """What is offered, once that is so."""
    wait_for(lambda: when(status(client).serving), "a peer that serves", JOINING)
    return status(client).serving


def complete(client: Client) -> None:
    wait_for(lambda: status(client).complete, "a swarm that is complete", JOINING)


def two_peers(one: Appliance, two: Appliance, model: Path) -> tuple[Client, Client]:
    """The first half of a model at one peer and the second at another, which allow each other."""
    first = peer(one, model, "0:2")
    address = serving(first, lambda each: each.addresses).addresses[0]
    second = peer(two, model, "2:4", BUS_PETALS_INITIAL_PEERS=address)
    here, there = (serving(each, lambda offer: offer.peer and offer.client) for each in (first, second))
    for client, other in ((first, there), (second, here)):
        for name in (other.peer, other.client):
            assert name is not None
            client.call(petals.ALLOW, petals.Peer(peer=name), timeout=10)
    complete(first)
    return first, second


def published(appliance: Appliance, client: Client, topic: Topic[Any], count: int = 1) -> list[Any]:
    """The data of the events of this topic, once there are so many."""
    wait_for(lambda: len(appliance.log(topic.name)) >= count, topic.name)
    return [event.data for event, _ in zip(client.events(topic, since="1h", timeout=10), range(count), strict=False)]


def host_of(appliance: Appliance) -> psutil.Process:
    """The process that hosts the blocks."""
    children = appliance.child("petals").children()
    return next(each for each in children if "agents.petals.swarm.host" in each.cmdline())


def greedy(client: Client, length: int = LENGTH) -> petals.Generated:
    return client.call(petals.GENERATE, petals.Generate(prompt=PROMPT, length=length, temperature=0), timeout=60)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("swarm_python")
def test_a_text_through_two_peers_is_the_same_also_when_one_dies_in_the_middle(
    appliance: Appliance, another: Appliance, model: Path
) -> None:
    client, _ = two_peers(appliance, another, model)
    text = greedy(client)
    assert (text.text, text.served) == (alone(model), [petals.Stretch(route="swarm", tokens=LENGTH)])

    api = openai.OpenAI(base_url=f"{status(client).serving.api}/v1", api_key="none", timeout=60)
    pieces = []
    for chunk in api.completions.create(model="tiny-0-float32", prompt=PROMPT, max_tokens=LONG, temperature=0, stream=True):
        pieces.append(chunk.choices[0].text)
        if len(pieces) == 20:
            os.killpg(host_of(another).pid, signal.SIGKILL)

    assert "".join(pieces) == alone(model, length=LONG)
    (fallback,) = published(appliance, client, petals.FALLBACK)
    assert (fallback.route, fallback.to) == ("swarm", "local") and fallback.at >= 19
    served = published(appliance, client, petals.GENERATION, 2)[1].served
    assert [(each.route, each.tokens) for each in served] == [("swarm", fallback.at), ("local", LONG - fallback.at)]
    wait_for(lambda: appliance.log("petals.peer.left"), "the peer that left")


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("swarm_python")
def test_a_swarm_that_is_not_complete_leaves_nobody_without_an_answer(appliance: Appliance, model: Path) -> None:
    client = peer(appliance, model, "1:3")
    wait_for(lambda: "nobody who is allowed has the blocks [0, 3]" in (status(client).reason or ""), "an incomplete swarm", JOINING)
    text = greedy(client)

    assert text.text == alone(model)
    assert text.served == [petals.Stretch(route="local", tokens=LENGTH)]
    assert text.note is not None and "[0, 3]" in text.note
    with pytest.raises(CommandRefused, match="5:9"):
        client.call(petals.HOST, petals.Host(start=5, end=9), timeout=10)
    client.call(petals.HOST, petals.Host(), timeout=10)
    complete(client)
    assert greedy(client).served == [petals.Stretch(route="swarm", tokens=LENGTH)]
    assert client.call(petals.LEAVE, Nothing(), timeout=10).peer is None
    wait_for(lambda: status(client).serving.peer is None, "the host's end")
    assert greedy(client).text == text.text


@pytest.mark.timeout(300)
def test_a_stock_client_is_refused_until_it_is_allowed_and_again_when_it_is_blocked(
    appliance: Appliance, model: Path, swarm_python: Path
) -> None:
    client = peer(appliance, model, "all")
    address = serving(client, lambda each: each.addresses).addresses[0]
    complete(client)

    name, refused = stock(swarm_python, model, address, lambda name: None)
    assert "refused: this peer is not allowed" in refused["message"]
    name, found = stock(swarm_python, model, address, lambda name: client.call(petals.ALLOW, petals.Peer(peer=name), timeout=10))
    assert bytes(found["tokens"]).decode(errors="replace") == PROMPT + alone(model)
    wait_for(lambda: any(each.peer == name and each.outcome == "served" for each in requests(client)), "the record of what was served")
    assert any(each.outcome == "refused" and each.reason == "this peer is not allowed" for each in requests(client))

    audit = appliance.artifacts / "petals" / "audit.jsonl"
    wait_for(lambda: audit.exists() and name in audit.read_text(), "the audit")
    lines = json_lines(audit.read_text())
    assert {"petals.request", "petals.policy", "petals.health", "petals.peer.joined"} <= {line["topic"] for line in lines}
    verified = appliance.bus("verify", timeout=60)
    assert verified.returncode == 0, verified.stdout + verified.stderr


def requests(client: Client) -> list[petals.Request]:
    return [event.data for event in client.events(petals.REQUEST, since="1h", timeout=1)]


def stock(python: Path, model: Path, address: str, allow: Callable[[str], object]) -> tuple[str, dict[str, Any]]:
    """What a stock client finds, which is given to `allow` by its peer id before it asks."""
    tokens = [str(byte) for byte in PROMPT.encode()]
    command = [
        str(python),
        str(CHECKOUT / "tests" / "swarm" / "stock_client.py"),
        str(model),
        "tiny-0-float32",
        address,
        str(LENGTH),
        *tokens,
    ]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    ) as child:
        try:
            assert child.stdout is not None and child.stdin is not None
            name = child.stdout.readline().strip()
            allow(name)
            child.stdin.write("\n")
            child.stdin.flush()
            return name, json.loads(child.stdout.readline())
        finally:
            os.killpg(child.pid, signal.SIGKILL)


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("swarm_python")
def test_a_killed_agent_leaves_nothing_behind_and_comes_back(appliance: Appliance, model: Path) -> None:
    client = peer(appliance, model, "all")
    complete(client)
    host = host_of(appliance)
    group, sockets = host.pid, Path(host.environ()["HIVEMIND_SOCKETS"])
    assert list(sockets.iterdir())
    appliance.kill("petals")

    wait_for(lambda: not in_group(group), "the end of the host and of all that it started")
    assert not sockets.exists()
    appliance.wait_for_agent(client, "petals")
    complete(client)
    assert greedy(client).served == [petals.Stretch(route="swarm", tokens=LENGTH)]


def in_group(group: int) -> list[psutil.Process]:
    return [each for each in psutil.process_iter() if is_in(each, group)]


def is_in(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):
        return False


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("swarm_python")
def test_blocks_that_nobody_hosts_run_from_the_layers_that_were_kept(appliance: Appliance, another: Appliance, model: Path) -> None:
    kept, name = Cache(another.artifacts / "petals" / "cache", 1 << 30), open_model(model, None).kept_as
    kept.count(name, 2, 4, 1)
    kept.keep(model, name, threading.Event())
    host = peer(appliance, model, "0:2")
    address = serving(host, lambda each: each.addresses).addresses[0]
    user = peer(another, skeleton(model, another.home.root), "none", BUS_PETALS_INITIAL_PEERS=address)
    mine = serving(user, lambda each: each.client)
    assert mine.client is not None
    host.call(petals.ALLOW, petals.Peer(peer=mine.client), timeout=10)
    user.call(petals.ALLOW, petals.Peer(peer=address.rpartition("/")[2]), timeout=10)
    wait_for(lambda: "has the blocks [2, 3] online" in (status(user).reason or ""), "the half of a swarm", JOINING)
    text = greedy(user)

    assert (text.text, text.served) == (alone(model), [petals.Stretch(route="mixed", tokens=LENGTH)])
    damaged = another.artifacts / "petals" / "cache" / name / "3.safetensors"
    damaged.write_bytes(bytes(damaged.stat().st_size))
    with pytest.raises(CommandRefused, match=r"layer 3 of tiny-0-float32-.* was damaged in the cache"):
        greedy(user)


def skeleton(model: Path, root: Path) -> Path:
    """The folder of a model without its layers, and without the ONNX files."""
    folder = shutil.copytree(model, root / model.name, ignore=shutil.ignore_patterns("*.onnx*", "*.safetensors"))
    tensors, _ = safetensors.decode((model / "model.safetensors").read_bytes())
    around = {name: array for name, array in tensors.items() if ".layers." not in name}
    (folder / "model.safetensors").write_bytes(safetensors.encode(around, {"format": "pt"}))
    return folder


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("swarm_python")
def test_the_model_that_a_run_just_trained_is_hosted_and_answers(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "trainer", "exporter")
    appliance.start("petals", **PATIENT)
    client = appliance.connect()
    for agent in ("trainer", "exporter", "petals"):
        appliance.wait_for_agent(client, agent)
    with pytest.raises(CommandRefused, match="wait for an export"):
        greedy(client)
    client.call(train.START, train.Start(steps=20, seed=1), timeout=10)
    wait_for(lambda: status(client).complete, "a swarm with the exported model", EXPORTING)
    text = greedy(client, length=12)

    assert text.served == [petals.Stretch(route="swarm", tokens=12)]
    folder = status(client).serving.folder
    assert folder is not None and folder.startswith("train/models/exports/micro-")
    assert text.text == alone(appliance.artifacts / folder, length=12)
