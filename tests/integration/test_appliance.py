"""The whole appliance: the Procfile is started, a real model trains, and log, files, wire and command line agree on what happened."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import signal
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgpack
import psutil
import pytest
from conftest import CHECKOUT, Appliance, json_lines, wait_for
from mcap.reader import make_reader

from bus.client import Client
from bus.lifecycle import SUPERVISED
from schemas import scene, train

TRAINING = 90.0
"""Seconds that compiling the smallest model may take on a busy machine."""


def data_of(appliance: Appliance, topic: str) -> list[dict[str, Any]]:
    return [msgpack.unpackb(entry.data)["data"] for entry in appliance.log(topic)]


def wait_for_steps(client: Client, count: int) -> list[train.Step]:
    steps = [event.data for event in itertools.islice(client.events(train.STEP, since="10m", timeout=TRAINING), count)]
    assert len(steps) == count, f"only {len(steps)} steps came"
    return steps


def wait_for_end(client: Client) -> train.RunCompleted:
    return next(client.events(train.RUN_COMPLETED, since="10m", timeout=TRAINING)).data


def check_closed_segments(appliance: Appliance) -> int:
    """Open each segment with the official reader; the number of its messages."""
    count = 0
    for path in sorted(appliance.home.log.glob("*.mcap")):
        assert "open" not in path.name
        with path.open("rb") as file:
            reader = make_reader(file, validate_crcs=True)
            messages = list(reader.iter_messages())
            summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == len(messages)
        assert {channel.message_encoding for channel in summary.channels.values()} == {"msgpack"}
        count += len(messages)
    return count


def test_the_procfile_trains_and_everything_agrees_on_what_happened(appliance: Appliance) -> None:
    appliance.up(BUS_TRAINER_AUTOSTART="true", BUS_TRAINER_STEPS="30")
    client = appliance.connect()
    tail = appliance.spawn("tail", "train.step", "--json", "--since", "10m", "--count", "30", "--timeout", str(TRAINING))
    steps = wait_for_steps(client, 30)
    completed = wait_for_end(client)
    tail_output, tail_errors = tail.communicate(timeout=TRAINING)
    status = json.loads(appliance.bus("call", "trainer.status").stdout)
    wait_for(lambda: appliance.log("recorder.projected"), "the run's files")
    appliance.stop()

    assert [step.step for step in steps] == list(range(1, 31))
    assert (completed.outcome, completed.steps, status["state"]) == ("finished", 30, "done")
    assert [line["data"]["step"] for line in json_lines(tail_output)] == list(range(1, 31)), tail_errors
    wire = [(step.step, step.loss) for step in steps]
    assert [(data["step"], data["loss"]) for data in data_of(appliance, "train.step")] == wire
    curve = csv.DictReader((appliance.artifacts / "train" / "loss_curve.csv").open())
    assert [(int(row["step"]), float(row["loss"])) for row in curve] == wire
    metrics = json_lines((appliance.artifacts / "metrics" / "tinygrad.jsonl").read_text())
    assert [(line["step"], line["loss"]) for line in metrics] == wire
    assert check_closed_segments(appliance) == len(appliance.log())


def test_run_json_and_checkpoint_are_those_of_the_run(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "trainer")
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    run = json.loads(appliance.bus("call", "trainer.start", '{"steps": 8, "seed": 3}').stdout)["run"]
    completed = wait_for_end(client)
    wait_for(lambda: appliance.log("recorder.projected"), "the run's files")

    summary = json.loads((appliance.artifacts / "train" / "run.json").read_text())
    assert (summary["run"], summary["outcome"], summary["seed"], summary["steps"]) == (run, "finished", 3, 8)
    assert summary["loss"] == completed.loss
    assert {"tinygrad", "python"} <= summary["versions"].keys()
    weights = sorted((appliance.artifacts / "train" / "checkpoints").glob("*.safetensors"))[-1]
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert digest == summary["checkpoint_hash"] == completed.checkpoint
    assert digest in {data["hash"] for data in data_of(appliance, "artifact.created")}
    assert weights.resolve().is_relative_to(appliance.artifacts.resolve())


def test_a_run_is_watched_paused_sampled_and_stopped(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "trainer", "power")
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    client.call(train.START, train.Start(steps=100_000, seed=1), timeout=10)
    wait_for_steps(client, 3)

    assert client.call(train.STATUS, timeout=5).state == "training"
    assert appliance.bus("call", "trainer.start").returncode == 4
    client.call(train.PAUSE, timeout=5)
    wait_for(lambda: client.call(train.STATUS, timeout=5).state == "paused", "the pause")
    client.call(train.RESUME, timeout=5)
    sample = client.call(train.SAMPLE, train.Sample(prompt="def ", length=10), timeout=TRAINING)
    assert sample.prompt == "def "
    assert len(sample.text) > 0
    client.call(train.STOP, timeout=5)
    assert wait_for_end(client).outcome == "stopped"
    recorded = data_of(appliance, "train.step")
    assert [data["step"] for data in recorded] == list(range(1, len(recorded) + 1))
    wait_for(lambda: appliance.log("recorder.projected"), "the run's files")
    assert json_lines((appliance.artifacts / "train" / "sys_power.jsonl").read_text())


def test_the_same_seed_gives_the_same_losses_to_the_last_bit(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "trainer")
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    curves = []
    for process in range(2):
        run = client.call(train.START, train.Start(steps=10, seed=42), timeout=10).run
        ended = (event for event in client.events(train.RUN_COMPLETED, since="10m", timeout=TRAINING) if event.run == run)
        assert next(ended).data.steps == 10
        curves.append([event.data.loss for event in client.events(train.STEP, since="10m", timeout=1) if event.run == run])
        if process == 0:
            appliance.kill("trainer")
            wait_for(lambda: not client.publisher.listeners.has(train.STEP.delivery, b"command.trainer."), "the trainer to be gone")
            appliance.wait_for_agent(client, "trainer")

    assert curves[0] == curves[1]
    assert len(curves[0]) == 10


def test_a_second_appliance_in_the_same_home_says_that_one_is_running(appliance: Appliance) -> None:
    appliance.up()
    appliance.connect()
    second = appliance.bus("up")

    assert second.returncode == 75
    assert "already running" in second.stderr


def test_ctrl_c_ends_everything_in_time_with_nothing_lost(appliance: Appliance) -> None:
    honcho = appliance.up(BUS_TRAINER_AUTOSTART="true", BUS_TRAINER_STEPS="100000")
    client = appliance.connect()
    wait_for_steps(client, 3)
    appliance.leave()
    os.killpg(honcho.pid, signal.SIGINT)
    honcho.wait(15)

    wait_for(lambda: not list(appliance.left_over()), "everybody to leave", 10)
    recorded = data_of(appliance, "train.step")
    assert [data["step"] for data in recorded] == list(range(1, len(recorded) + 1))
    stopped = {msgpack.unpackb(entry.data)["source"] for entry in appliance.log("agent.stopped")}
    assert stopped == appliance.agents
    assert "killed" not in appliance.output("up")
    assert check_closed_segments(appliance) == len(appliance.log())


def test_closing_the_terminal_ends_everything_too(appliance: Appliance) -> None:
    honcho = appliance.up()
    appliance.connect()
    wait_for(lambda: len(appliance.log("agent.manifest")) == len(appliance.agents), "their manifests")
    appliance.leave()
    os.killpg(honcho.pid, signal.SIGHUP)

    wait_for(lambda: not list(appliance.left_over()), "everybody to leave", 15)
    assert check_closed_segments(appliance) == len(appliance.log())


def test_the_plain_files_are_made_again_from_the_log(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", "trainer")
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    client.call(train.START, train.Start(steps=5), timeout=10)
    wait_for_end(client)
    wait_for(lambda: appliance.log("recorder.projected"), "the run's files")
    curve, picture = (appliance.artifacts / "train" / f"loss_curve.{kind}" for kind in ("csv", "png"))
    wait_for(picture.exists, "the picture")
    before = curve.read_bytes()
    curve.resolve().write_text("spoilt")

    assert appliance.bus("log", "project").returncode == 0
    assert curve.read_bytes() == before
    drawn = picture.read_bytes()
    appliance.stop()
    for file in (curve, picture):
        file.resolve().write_text("spoilt again")
    assert appliance.bus("log", "project").returncode == 0
    assert (curve.read_bytes(), picture.read_bytes()) == (before, drawn)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_default_run_learns_on_held_out_text_too(appliance: Appliance) -> None:
    appliance.up(BUS_TRAINER_AUTOSTART="true", BUS_TRAINER_RECIPE="tiny", NOOPT="0")
    client = appliance.connect()
    first = next(client.events(train.STEP, since="10m", timeout=300)).data
    completed = next(client.events(train.RUN_COMPLETED, since="1h", timeout=1400)).data

    assert 5.0 < first.loss < 6.0
    assert completed.steps == 1000
    assert completed.loss < 2.5
    assert completed.heldout_loss is not None
    assert completed.heldout_loss < 2.5


def test_every_event_an_agent_reads_is_published_by_some_agent() -> None:
    from bus.agent import OnTopic, table
    from bus.process import agent_class

    names = [path.parent.name for path in (CHECKOUT / "agents").glob("*/agent.py")]
    classes = [agent_class(name) for name in names]
    published = {topic.name for topics in (SUPERVISED, scene.WISHES, *(each.publishes for each in classes)) for topic in topics}
    read = {(each.name, entry.topic.name) for each in classes for entry in table(each) if isinstance(entry, OnTopic)}
    assert {"power", "recorder", "trainer", "exporter", "petals", "engine", "ue5", "xr"} <= set(names)
    assert {topic for _, topic in read} <= published, read
    assert {line.partition(":")[0] for line in Path(CHECKOUT / "Procfile").read_text().splitlines()} == {"hub", *names}


def test_no_process_of_the_appliance_listens_off_loopback(appliance: Appliance) -> None:
    appliance.up()
    appliance.connect()
    wait_for(lambda: len(appliance.log("agent.manifest")) == len(appliance.agents), "their manifests")
    listening = [
        connection.laddr.ip
        for process in appliance.left_over()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert all(ip_address(ip).is_loopback for ip in listening), listening
