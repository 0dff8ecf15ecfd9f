"""`bus verify` on what a real run leaves: it holds as it is, and each thing that is tampered with is found and named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Appliance, json_lines, wait_for

from bus.cli.verify.examine import examine
from bus.store import Store
from bus.topic import Topic
from schemas import train

NUMBER = Topic("test.number", train.Eval)


def number(n: int) -> train.Eval:
    return train.Eval(step=n, loss=float(n), bits_per_byte=0.0, tokens=n)


def verified(appliance: Appliance, code: int) -> list[dict[str, Any]]:
    """What verify finds; the summary is looked at here."""
    done = appliance.bus("verify", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    *findings, summary = json_lines(done.stdout)
    assert (summary["findings"], summary["holds"]) == (len(findings), code == 0)
    return findings


def flip(path: Path, place: int) -> None:
    """Change one byte; a negative place counts from the end."""
    data = bytearray(path.read_bytes())
    data[place] ^= 0x01
    path.chmod(0o644)
    path.write_bytes(data)


def lengthen(path: Path) -> None:
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"x")


def train_briefly(appliance: Appliance) -> str:
    appliance.start("hub", "recorder", "trainer", "power")
    client = appliance.connect()
    appliance.wait_for_agent(client, "trainer")
    run = client.call(train.START, train.Start(steps=4, seed=3), timeout=10).run
    wait_for(lambda: appliance.log("recorder.projected"), "the run's files", 90)
    return run


@pytest.mark.timeout(240)
def test_a_real_run_holds_and_what_is_tampered_with_is_named(appliance: Appliance, tmp_path: Path) -> None:
    run = train_briefly(appliance)
    assert verified(appliance, 0) == []  # while everything runs
    appliance.stop()
    artifacts = appliance.home.artifacts
    (checkpoint,) = [path for path in (artifacts / "runs" / run / "checkpoints").iterdir() if path.suffix == ".safetensors"]
    weights = checkpoint.resolve()
    name = str(weights.relative_to(artifacts.resolve()))
    segment = min((artifacts / "log").glob("*.mcap"))
    original = tmp_path / "artifacts"
    shutil.copytree(artifacts, original, symlinks=True)

    def after(change: Callable[[], object]) -> list[tuple[str, str]]:
        change()
        found = examine(artifacts).findings
        shutil.rmtree(artifacts)
        shutil.copytree(original, artifacts, symlinks=True)
        return [(finding.kind, finding.where) for finding in found]

    assert after(lambda: flip(weights, 1000)) == [("changed", name)]
    assert after(lambda: lengthen(weights)) == [("changed", name)]
    assert after(weights.unlink) == [("missing", name)]
    stranger = Store(artifacts).put(b"made by nobody")
    assert after(lambda: Store(artifacts).put(b"made by nobody")) == [("unexplained", stranger.path)]
    assert after(lambda: flip(segment, segment.stat().st_size // 2))[0] == ("damaged", segment.name)
    assert examine(artifacts).findings == []
    flip(weights, -1)
    (found,) = verified(appliance, 1)
    assert (found["kind"], found["where"]) == ("changed", name)


def test_the_report_says_what_ran_and_is_the_same_each_time(appliance: Appliance) -> None:
    run = train_briefly(appliance)
    appliance.stop()
    report = appliance.artifacts / "reports" / "compliance.md"
    texts = []
    for _ in range(2):
        assert appliance.bus("verify", "--report").returncode == 0
        texts.append(report.read_text().splitlines())

    assert texts[0][3:] == texts[1][3:]
    text = "\n".join(texts[0])
    assert "Everything that can be verified holds." in text
    assert run.replace("_", "\\_") in text
    for expected in (
        "finished after 4 steps",
        "| trainer | training | real |",
        "| power | load | real |",
        "checkpoint-meta",
        "LATEST topics",
    ):
        assert expected in text, expected


def test_a_removed_segment_and_lost_events_are_found_and_a_recorded_gap_is_named(appliance: Appliance) -> None:
    appliance.start("hub", "recorder", BUS_RECORDER_SEGMENT_BYTES="65536")
    client = appliance.connect()
    for n in range(4000):
        client.publish(NUMBER, number(n))
        if n % 500 == 499:
            client.flush(20)
    appliance.stop()
    segments = sorted(appliance.home.log.glob("*.mcap"))
    assert len(segments) >= 4
    assert verified(appliance, 0) == []
    segments[1].unlink()

    found = verified(appliance, 1)
    assert (found[0]["kind"], found[0]["where"]) == ("missing", segments[1].name)
    assert found[1]["kind"] == "missing"
    assert found[1]["where"].startswith("test/")


def test_a_log_that_was_lost_leaves_a_gap_that_verify_names(appliance: Appliance) -> None:
    appliance.start("hub", "recorder")
    client = appliance.connect()
    for n in range(100):
        client.publish(NUMBER, number(n))
    client.flush(10)
    appliance.lose_log(client)
    client.publish(NUMBER, number(100))
    client.flush(20)

    (lost,) = verified(appliance, 1)
    assert lost["kind"] == "lost"
    assert "seq 1 to 100" in lost["what"]


def test_an_empty_home_is_nothing_to_verify(appliance: Appliance) -> None:
    done = appliance.bus("verify")
    assert done.returncode == 1
    assert "nothing to verify" in done.stderr
