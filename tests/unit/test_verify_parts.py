"""What verify makes of a log and its store: damage, lineage, and a report in which nothing from the bus is markup."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct
from recorded import STARTED, completed_data, open_log, received, step_data

from bus.cli.main import run
from bus.cli.verify.examine import examine
from bus.cli.verify.finding import Finding
from bus.cli.verify.report import report
from bus.lifecycle import MANIFEST, Manifest, Part
from bus.store import Store
from bus.topic import Topic
from schemas import system, train

MADE = datetime(2026, 11, 23, 21, 0, tzinfo=UTC)


class Recorded:
    """A log under `artifacts` whose events are numbered as they come."""

    def __init__(self, artifacts: Path) -> None:
        self.artifacts = artifacts
        self._log = open_log(artifacts)
        self._seq = 0

    def add(self, topic: Topic[Any], data: Struct, *, seq: int | None = None, **fields: Any) -> None:
        self._seq = self._seq + 1 if seq is None else seq
        event = received(topic.name, data, self._seq, **fields)
        self._log.append(event.topic, event.plane, bytes(event.event_map), event.envelope)

    def add_artifact(self, content: bytes, kind: str = "checkpoint", parents: list[str] | None = None) -> str:
        stored = Store(self.artifacts).put(content)
        artifact = system.Artifact(hash=stored.hash, size=stored.size, kind=kind, path=stored.path, parents=parents or [])
        self.add(system.ARTIFACT, artifact, run="r1")
        return stored.hash

    def add_checkpoint(self, run: str = "r1", described: int = 3, **changed: Any) -> str:
        weights = self.add_artifact(b"weights")
        meta = msgspec.json.encode({"weights": weights, "content": {"run": run, "step": described}})
        meta_hash = self.add_artifact(meta, "checkpoint-meta", [weights])
        data = train.Checkpoint(
            step=3, hash=weights, meta_hash=meta_hash, path=f"store/{weights[:2]}/{weights}",
            meta_path=f"store/{meta_hash[:2]}/{meta_hash}", size=7, loss=1.0,
        )  # fmt: skip
        self.add(train.CHECKPOINT, msgspec.structs.replace(data, **changed), run=run)
        return weights

    def findings(self) -> list[Finding]:
        self._log.close()
        return examine(self.artifacts).findings


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    recorded = Recorded(tmp_path)
    recorded.add(train.RUN_STARTED, STARTED, run="r1")
    return recorded


def kinds(findings: list[Finding]) -> list[str]:
    return [finding.kind for finding in findings]


def test_a_checkpoint_with_its_files_and_its_run_holds(recorded: Recorded) -> None:
    weights = recorded.add_checkpoint()
    recorded.add(train.RUN_COMPLETED, msgspec.structs.replace(completed_data(3), checkpoint=weights), run="r1")

    assert recorded.findings() == []


def test_a_checkpoint_of_a_run_that_never_began_is_found(recorded: Recorded) -> None:
    recorded.add_checkpoint(run="r2")
    recorded.add(train.RUN_COMPLETED, completed_data(3), run="r3")

    found = recorded.findings()
    assert kinds(found) == ["unexplained"] * 3
    assert "is of the run r2, which no train.run.started began" in found[0].what
    assert "ends the run r3" in found[1].what
    assert "no artifact.created has its checkpoint abab" in found[2].what


def test_a_checkpoint_whose_files_are_no_artifacts_is_found(recorded: Recorded) -> None:
    recorded.add_checkpoint(hash="ef" * 32)

    found = recorded.findings()
    assert {finding.kind for finding in found} == {"unexplained"}
    assert any("ef" * 32 in finding.what for finding in found)
    assert any("no train.checkpoint names this checkpoint" in finding.what for finding in found)


def test_a_description_of_another_step_is_found(recorded: Recorded) -> None:
    recorded.add_checkpoint(described=4)

    (finding,) = recorded.findings()
    assert "does not describe step 3" in finding.what


def test_an_artifact_with_unknown_parents_is_found_and_one_made_of_a_dataset_holds(recorded: Recorded) -> None:
    recorded.add_artifact(b"rendered", "picture", ["cd" * 32])
    recorded.add_artifact(b"tokens", "tokens", [STARTED.dataset.hash])

    (finding,) = recorded.findings()
    assert "cd" * 32 in finding.what


def test_two_events_of_one_hash_that_contradict_each_other_are_found(recorded: Recorded) -> None:
    stored = Store(recorded.artifacts).put(b"x")
    for size in (1, 1, 2):
        recorded.add(system.ARTIFACT, system.Artifact(hash=stored.hash, size=size, kind="picture", path=stored.path))

    (finding,) = recorded.findings()
    assert (finding.kind, finding.where) == ("unexplained", "trainer/artifact.created/1/4")


def test_a_link_in_the_place_of_an_artifact_is_found(recorded: Recorded, tmp_path: Path) -> None:
    digest = recorded.add_artifact(b"x", "picture")
    path = tmp_path / "store" / digest[:2] / digest
    (tmp_path / "elsewhere").write_bytes(b"x")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")

    assert kinds(recorded.findings()) == ["changed"]


def test_an_artifact_that_left_the_store_with_an_event_is_not_missed_until_it_is_made_again(tmp_path: Path) -> None:
    for name, again, expected in (("removed", False, []), ("again", True, ["missing"])):
        recorded = Recorded(tmp_path / name)
        digest = recorded.add_checkpoint()
        recorded.add(system.REMOVED, system.Removed(hash=digest, kind="checkpoint", reason="newer ones"), run="r1")
        Store(recorded.artifacts).remove(digest)
        if again:
            recorded.add_artifact(b"weights")
            Store(recorded.artifacts).remove(digest)
        recorded.add(train.RUN_STARTED, STARTED, run="r1")
        assert kinds(recorded.findings()) == expected


def test_a_replayed_artifact_explains_nothing(recorded: Recorded, tmp_path: Path) -> None:
    stored = Store(tmp_path).put(b"x")
    artifact = system.Artifact(hash=stored.hash, size=stored.size, kind="picture", path=stored.path)
    recorded.add(system.ARTIFACT, artifact, replay=True)

    (finding,) = recorded.findings()
    assert (finding.kind, finding.where) == ("unexplained", stored.path)


def test_a_gap_counts_only_from_the_recorder_and_what_does_not_decode_is_said(recorded: Recorded) -> None:
    gap = system.Gap(source="trainer", epoch=1, first=2, last=8)
    recorded.add(system.GAP, gap, seq=1, source="stranger", epoch=5)
    recorded.add(train.STEP, step_data(1), seq=9)
    recorded.add(train.CHECKPOINT, gap)

    assert kinds(recorded.findings()) == ["missing", "unreadable"]


def test_no_byte_of_a_closed_segment_changes_unnoticed(recorded: Recorded, tmp_path: Path) -> None:
    for step in range(200):
        recorded.add(train.STEP, step_data(step + 1), run="r1")
    assert recorded.findings() == []
    (segment,) = (tmp_path / "log").glob("*.mcap")
    good = segment.read_bytes()
    for place in [*range(0, len(good), len(good) // 80), len(good) - 1]:
        segment.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        found = examine(tmp_path).findings
        assert ("damaged", segment.name) in [(finding.kind, finding.where) for finding in found], place


def manifest(detail: str) -> Manifest:
    parts = [Part(name="watts", kind="unavailable", detail=detail)]
    return Manifest(publishes=[], reads=[], answers=[], versions={"numpy": "2"}, parts=parts, settings={}, pid=1, state="running")


def test_the_report_shows_text_from_the_bus_as_text(recorded: Recorded, tmp_path: Path) -> None:
    recorded.add(MANIFEST, manifest("a|b\n## [x](y) <b> \x1b[2J"), source="power", epoch=2, seq=1)
    recorded.add_checkpoint(run="r1")
    recorded.findings()
    text = report(examine(tmp_path), MADE)

    assert "a\\|b\\\\n\\#\\# \\[x\\](y) \\<b\\>" in text
    assert "\x1b" not in text
    assert "r1 | the log has no end of it | micro, 3 steps, seed 7 | CPU" in text
    assert "2026-11-23T21:00:00Z" in text.splitlines()[2]
    assert report(examine(tmp_path), MADE) == text


def test_agents_that_were_started_twice_alike_are_told_once(recorded: Recorded, tmp_path: Path) -> None:
    for epoch, detail in ((2, "none"), (3, "none"), (4, "rapl")):
        recorded.add(MANIFEST, manifest(detail), source="power", epoch=epoch, seq=1)
    recorded.findings()
    text = report(examine(tmp_path), MADE)

    assert "| power | 2 | numpy 2 |" in text
    assert "| power | 1 | numpy 2 |" in text


def test_a_home_that_holds_says_so_in_one_line(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.add_checkpoint()
    recorded.findings()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "artifacts").symlink_to(tmp_path)
    monkeypatch.setenv("BUS_HOME", str(tmp_path / "home"))

    assert run(["verify"]) == 0
    assert capsys.readouterr().out == "all holds: 1 segments, 4 events, 1 streams, 2 artifacts, 1 runs\n"
