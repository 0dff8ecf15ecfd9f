"""The benchmarks run with every contender, lose nothing, agree, and write what README and docs quote. No figure is judged."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.parts.recipes import RECIPES
from benchmarks import _bridge_moves as ways
from benchmarks import _figures, _petals, _ratios, bridge, bus, export, gains, generate, petals, train
from benchmarks._processes import ChildFailed, await_ready, stage
from benchmarks._results import Figures
from benchmarks._training import Entrant
from benchmarks.contenders import ours
from benchmarks.contenders.contender import Job, Server
from benchmarks.trainers.stages import STAGES
from bus.wire import encode_data

KEEP_ALL = {"ours durable", "ours durable, batched", "raw pyzmq, credit", "nats jetstream", "redis everysec", "redis always"}
MAY_DROP = {"ours latest", "raw pyzmq"}
TABLES = {"machine", "contenders", "throughput", "latency", "cpu", "budget", "ratios", "disk", "missing", "rounds", "seconds"}


def test_every_contender_carries_every_event(tmp_path: Path) -> None:
    present, missing = bus.find_contenders()
    bus.measure(bus.QUICK, tmp_path / "bus.json")

    written = json.loads((tmp_path / "bus.json").read_text())
    assert set(written) == TABLES
    names = {contender.name for contender in present}
    for table in ("contenders", "throughput", "cpu"):
        assert {row["contender"] for row in written[table]} == names
    for row in written["throughput"]:
        assert row["sent"] == bus.QUICK.cases[0].count
        assert row["lost"] == 0 or row["contender"] in MAY_DROP
        assert row["disordered"] == (0 if row["contender"].startswith("ours") else None)
        assert row["lowest"] <= row["events/s"] <= row["highest"]
        assert (row["safe events/s"] is None) == (row["contender"] in MAY_DROP | {"raw pyzmq, credit"})
    for row in written["latency"]:
        assert (row["sent"], row["lost"]) == (bus.QUICK.pings, 0)
        assert 0 < row["p50"] <= row["p99"] <= row["p99.9"]
    for row in written["budget"]:  # the hub's is CPU time, which is counted in steps of 10 ms
        assert row["ns"] > 0 or (row["process"], row["ns"]) == ("hub", 0)
    if missing:
        pytest.skip("; ".join(missing))
    assert names == KEEP_ALL | MAY_DROP


def test_a_role_that_fails_says_why_and_leaves_nothing_behind(tmp_path: Path) -> None:
    job = Job(contender="ours durable", module="ours", role="juggle", folder=str(tmp_path), topic="bench.event", size=1024, count=1)
    with stage(tmp_path) as opened:
        opened.serve([Server("sleeper", ["sleep", "60"])])
        with pytest.raises(ChildFailed, match="KeyError: 'juggle'"):
            await_ready(opened.perform("publisher", job))
        started = [child.pid for child in opened.children]

    assert not any(psutil.pid_exists(pid) for pid in started)


def test_a_server_that_does_not_start_is_named_with_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match=r"server ended with 3:\nno port"), stage(tmp_path) as opened:
        opened.serve([Server("server", ["sh", "-c", "echo no port; exit 3"], is_up=lambda: False)])


@pytest.mark.parametrize("size", [128, 1024, 60 * 1024])
def test_an_event_of_ours_has_the_size_that_is_measured(size: int) -> None:
    body = ours.body_of(size, 80_000)
    assert len(encode_data(ours.Reading(number=80_000, value=0.5, name="bench", body=body))) == size


def test_a_percentile_is_reached_by_its_share() -> None:
    values = [float(number) for number in range(1000, 0, -1)]
    assert [_figures.percentile(values, share) for share in (0.5, 0.99, 0.999)] == [501.0, 991.0, 1000.0]


def test_a_ratio_needs_both_of_its_sides() -> None:
    rows: list[Figures] = [
        {"contender": name, "load": "alone", "bytes": 1024, "events/s": rate, "safe events/s": rate}
        for name, rate in ((_ratios.UNBATCHED, 50.0), (_ratios.RAW, 200.0))
    ]
    measured: dict[str, Any] = {str(row["what"]): row["measured"] for row in _ratios.ratios(rows, [], [])}
    assert measured == {"events/s: ours durable / raw pyzmq": 0.25, "safe events/s: ours durable": 50.0}


@pytest.mark.timeout(300)  # every contender compiles twice
@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_trainers_take_turns_over_the_same_text_from_the_same_weights(
    judge: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiled: bool
) -> None:
    monkeypatch.setenv("NOOPT", "1")
    train.measure(replace(train.QUICK, compiled=compiled), judge, tmp_path / "train.json")

    written = json.loads((tmp_path / "train.json").read_text())
    if written["missing"]:
        pytest.skip("; ".join(written["missing"]))
    names = ["PyTorch", "PyTorch, torch.compile", "ours"] if compiled else ["PyTorch", "ours"]
    for table in ("speed", "start", "agreement"):
        assert [row["contender"] for row in written[table]] == names
    for row in written["speed"]:
        assert 0 < row["lowest"] <= row["tokens/s"] <= row["highest"]
        assert 0 < row["lowest ratio"] <= row["ratio"] <= row["highest ratio"]
    for row in written["agreement"]:
        assert row["steps"] == train.QUICK.agreeing
        assert row["last loss"] < row["first loss"]
        assert row["largest relative difference"] < 1e-4
    assert [row["product"] for row in written["products"]] == ["torch.mm", "numpy @", "our product"]


def test_generators_take_turns_over_the_same_model_and_write_the_same(tmp_path: Path) -> None:
    if reason := generate.lacking():
        pytest.skip(reason)
    generate.measure(generate.QUICK, tmp_path / "generate.json")

    written = json.loads((tmp_path / "generate.json").read_text())
    for table in ("prompt", "text", "agreement"):
        assert [row["contender"] for row in written[table]] == ["onnxruntime-genai", "ours"]
    for row in (*written["prompt"], *written["text"]):
        assert 0 < row["lowest"] <= row["tokens/s"] <= row["highest"]
        assert 0 < row["lowest ratio"] <= row["ratio"] <= row["highest ratio"]
    for row in written["agreement"]:
        assert row["same"] == row["tokens"] == generate.QUICK.models[0].tokens


@pytest.mark.timeout(300)  # three hosts and four other processes load PyTorch
def test_a_swarm_writes_what_this_machine_writes_alone_also_where_a_peer_fails(swarm_python: Path, tmp_path: Path) -> None:
    petals.measure(petals.QUICK, tmp_path / "petals.json")

    written, case = json.loads((tmp_path / "petals.json").read_text()), petals.QUICK.cases[0]
    for table in ("first", "text", "agreement"):
        assert [row["contender"] for row in written[table]] == list(_petals.MODULES)
    for row in (*written["first"], *written["text"]):
        assert 0 < row["lowest ratio"] <= row["ratio"] <= row["highest ratio"]
    for row in written["first"]:
        assert 0 < row["lowest"] <= row["ms"] <= row["highest"]
        assert (row["ms to open"] is None) == row["contender"].startswith("local")
    for row in written["agreement"]:
        assert row["same"] == row["tokens"] == case.tokens
    assert all(row["peak RSS"] > 0 for row in written["memory"])
    for row in written["fallback"]:
        assert row["times"] == row["same texts"] == case.outages
        assert 0 < row["lowest"] <= row["p50"] <= row["highest"]


@pytest.mark.timeout(300)
def test_moves_arrive_by_every_way_and_each_engine_draws(tmp_path: Path) -> None:
    bridge.measure(bridge.QUICK, tmp_path / "bridge.json")

    written = json.loads((tmp_path / "bridge.json").read_text())
    moves = {row["way"]: row for row in written["moves"]}
    assert set(moves) == {ways.HTTP, ways.UPYRC, ways.HTTP_BATCH, ways.SOCKET, ways.PIPELINED, ways.BATCHES, ways.DRAWN} | {
        ways.PEER, ways.PEER_PIPELINED, ways.EVENT, ways.EVENT_DRAWN,
    }  # fmt: skip
    assert all(row["moves/s"] > 0 and 0 < row["p50, ms"] <= row["p99, ms"] for row in moves.values())
    assert "software" in {row["renderer"] for row in written["frames"]}
    assert all(row["frames/s"] > 0 and row["beside the trainer"] > 0 for row in written["frames"])


def test_what_a_contender_started_ends_with_it(tmp_path: Path) -> None:
    with stage(tmp_path) as opened:
        child = opened.start("parent", ["sh", "-c", "sleep 60 & echo $!; wait"], {}, speaks=True)
        started = psutil.Process(child.read(int, 10))

    _, here = psutil.wait_procs([started], timeout=2)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in here)  # which stays where nobody takes what has ended


def test_a_model_is_exported_in_every_precision_and_run(tmp_path: Path) -> None:
    export.measure("micro", tmp_path, tmp_path / "export.json")

    rows = {row["what"]: row for row in json.loads((tmp_path / "export.json").read_text())["rows"]}
    assert list(rows) == ["draw the weights", "copy them", *(f"export as {each}" for each in export.PRECISIONS), "run the int4"]
    assert rows["export as int4"]["GB"] < rows["export as int8"]["GB"] < rows["export as bfloat16"]["GB"]
    assert all(row["seconds"] > 0 and row["peak GiB"] > 0 for row in rows.values())
    assert rows["run the int4"]["second token s"] > 0


def test_a_trainer_that_cannot_start_is_named_with_what_it_wrote(tmp_path: Path) -> None:
    with stage(tmp_path) as opened, pytest.raises(ChildFailed, match="JSONDecodeError"):
        Entrant(opened, "ours", [sys.executable, "-c", "import json; json.loads('no job')"], {})


@pytest.mark.slow
@pytest.mark.timeout(300)  # nine contenders compile
def test_each_kernel_is_measured_beside_pytorch(judge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ROUNDS", 1), ("SECONDS", 0.05), ("FIRST_STEPS", 3)):
        monkeypatch.setattr(gains, name, value)

    rows = gains.gains(RECIPES["micro"], judge)

    assert [row["cumulative"] for row in rows] == ["PyTorch", *STAGES]
    assert all(isinstance(row["ratio to PyTorch"], float) and row["ratio to PyTorch"] > 0 for row in rows)
