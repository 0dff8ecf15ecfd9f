"""What a run leaves becomes a model that other programs run, without anybody asking."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

import msgpack
import onnx
import onnxruntime
import pytest
from conftest import Appliance, wait_for

from bus.client import Client
from bus.errors import CommandRefused
from schemas import export, train

EXPORTING = 240.0
"""Seconds for an export with its comparison, on a busy machine that compiles each kernel for the first time."""


def exported(client: Client) -> export.Completed:
    """The first export's end. Fails with what a failed one says."""
    for event in client.events(export.COMPLETED, export.FAILED, since="1h", timeout=EXPORTING):
        assert isinstance(event.data, export.Completed), event.data
        return event.data
    raise AssertionError("the log ended")


def trained(appliance: Appliance, steps: int = 20) -> Client:
    """An appliance whose run of `micro` is over."""
    appliance.start("hub", "recorder", "trainer", "exporter")
    client = appliance.connect()
    for agent in ("trainer", "exporter"):
        appliance.wait_for_agent(client, agent)
    client.call(train.START, train.Start(steps=steps, seed=1), timeout=10)
    return client


@pytest.mark.timeout(400)
def test_a_run_ends_with_a_model_that_is_the_same_everywhere(appliance: Appliance) -> None:
    client = trained(appliance)
    completed = exported(client)
    models = appliance.artifacts / "train" / "models"
    answer = client.call(export.GENERATE, export.Generate(prompt="def ", length=12, temperature=0), timeout=60)
    wait_for((appliance.artifacts / "train" / "parity.json").exists, "the parity's file")

    parity = json.loads((appliance.artifacts / "train" / "parity.json").read_text())
    assert parity["passed"] is True
    ran = {each["backend"]: each for each in parity["agreements"] if each["reason"] is None}
    assert {"onnxruntime CPU", "tinygrad OnnxRunner CPU"} <= ran.keys()
    assert all(each["max_abs"] < 1e-3 and each["greedy_same"] == 1.0 for each in ran.values())
    for path in (models / "micro_model.onnx", models / "micro" / "model.onnx"):
        onnx.checker.check_model(str(path), full_check=True)
        assert onnxruntime.InferenceSession(path).get_outputs()[0].name == "logits"
    assert completed.folder.startswith("train/models/exports/micro-")
    assert len(answer.text) > 0
    assert (answer.tokens, answer.finish, answer.model) == (12, "length", completed.folder)
    verified = appliance.bus("verify", timeout=60)
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.timeout(400)
def test_every_file_of_an_export_has_its_event_and_its_lineage(appliance: Appliance) -> None:
    client = trained(appliance)
    completed = exported(client)
    wait_for(lambda: appliance.log("export.completed"), "the export in the log")

    artifacts = {data["hash"]: data for data in data_of(appliance, "artifact.created")}
    data = next(each for each in artifacts.values() if each["kind"] == "onnx-data")
    graph = next(each for each in artifacts.values() if each["kind"] == "onnx" and data["hash"] in each["parents"])
    parity = artifacts[completed.parity]
    assert completed.checkpoint in data["parents"]
    assert graph["hash"] in parity["parents"]
    for each in (data, graph, parity):
        path = appliance.artifacts / each["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == each["hash"]


@pytest.mark.timeout(400)
def test_a_checkpoint_is_exported_on_command_in_four_bits(appliance: Appliance) -> None:
    client = trained(appliance)
    exported(client)
    asked = client.call(export.EXPORT, export.Export(precision="int4"), timeout=10).export
    ends = client.events(export.COMPLETED, export.FAILED, since="1h", timeout=EXPORTING)
    ended = next(event.data for event in ends if event.data.export == asked)

    assert isinstance(ended, export.Completed), ended
    assert asked.endswith("int4-b32")
    kinds = {node.op_type for node in onnx.load(appliance.artifacts / ended.model, load_external_data=False).graph.node}
    assert "MatMulNBits" in kinds
    with pytest.raises(CommandRefused, match="has the hash"):
        client.call(export.EXPORT, export.Export(checkpoint="0" * 64), timeout=10)


@pytest.mark.timeout(400)
def test_a_killed_export_is_made_when_the_agent_is_back(appliance: Appliance) -> None:
    client = trained(appliance)
    next(client.events(export.STARTED, since="1h", timeout=EXPORTING))
    appliance.kill("exporter")
    completed = exported(client)

    assert (appliance.artifacts / completed.model).is_file()
    assert list((appliance.artifacts / "train" / "models").glob(".new-*")) == []


def data_of(appliance: Appliance, topic: str) -> Iterator[dict[str, object]]:
    return (msgpack.unpackb(entry.data)["data"] for entry in appliance.log(topic))
