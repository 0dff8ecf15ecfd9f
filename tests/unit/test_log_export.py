"""The log for other tools: JSON Lines, and MCAP files of JSON messages as Foxglove wants them."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mcap.reader import make_reader
from msgspec import Raw
from recorded import Recording, power_data, step_data

from bus.cli import export, main
from bus.topic import Topic
from schemas import power, train


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUS_HOME", str(tmp_path))
    recording = Recording(tmp_path / "artifacts")
    recording.steps(1, 3, "run-1")
    recording.add(power.SAMPLE, power_data(float("nan")))
    recording.add(train.STEP, step_data(4), run="run-1")
    recording.log.close()
    return tmp_path


def test_jsonl_is_what_cat_prints_as_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main.run(["log", "cat", "--json"])
    printed = capsys.readouterr().out
    assert main.run(["log", "export", "--jsonl"]) == 0
    assert capsys.readouterr().out == printed and len(printed.splitlines()) == 5
    assert main.run(["log", "export", "--jsonl", "--topic", "train.step", "--output", str(home / "out.jsonl")]) == 0
    steps = [json.loads(line)["data"]["step"] for line in (home / "out.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4] and capsys.readouterr().out == ""


def test_an_mcap_of_json_is_indexed_and_its_messages_fit_their_schemas(home: Path) -> None:
    assert main.run(["log", "export", "--mcap-json", "--output", str(home / "out.mcap")]) == 0
    with (home / "out.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        found = list(reader.iter_messages())
        steps = list(reader.iter_messages(topics=["train.step"]))
    assert summary is not None and summary.statistics is not None and summary.statistics.message_count == 5
    assert [chunk.compression for chunk in summary.chunk_indexes] == ["zstd"]
    assert [json.loads(message.data)["data"]["step"] for _, _, message in steps] == [1, 2, 3, 4]
    for schema, channel, message in found:
        assert schema is not None and (channel.message_encoding, schema.encoding) == ("json", "jsonschema")
        described, event = json.loads(schema.data), json.loads(message.data)
        assert described["type"] == "object" and event["topic"] == channel.topic
        assert event.keys() == described["properties"].keys()
        data = resolved(described, described["properties"]["data"])
        assert event["data"].keys() == data["properties"].keys()
        assert all(reference.startswith("#/$defs/") for reference in references(described))
    assert json.loads(found[3][2].data)["data"]["watts"] is None, "JSON has no NaN"


def test_times_and_order_are_those_of_the_log(home: Path) -> None:
    from bus.log.reader import read_folder

    main.run(["log", "export", "--mcap-json", "--output", str(home / "out.mcap"), "--topic", "train."])
    with (home / "out.mcap").open("rb") as file:
        messages = [message for _, _, message in make_reader(file).iter_messages()]
    recorded = list(read_folder(home / "artifacts" / "log", topics=["train."]))
    assert [(m.log_time, m.publish_time, m.sequence) for m in messages] == [(e.log_time, e.publish_time, e.sequence) for e in recorded]


@pytest.mark.parametrize("arguments", [[], ["--jsonl", "--mcap-json"], ["--mcap-json"]])
def test_an_export_that_does_not_say_what_or_where_is_a_usage_error(home: Path, arguments: list[str]) -> None:
    assert main.run(["log", "export", *arguments]) == 2


def test_damage_is_said_passed_over_and_exits_with_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = home / "artifacts" / "log" / "000001.mcap"
    data = bytearray(path.read_bytes())
    data[data.index(b"\x28\xb5\x2f\xfd")] ^= 1
    path.write_bytes(data)
    assert main.run(["log", "export", "--jsonl"]) == 1
    assert "events may be missing here: 000001.mcap" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["--jsonl", "--mcap-json"])
def test_what_does_not_decode_is_counted_left_out_and_exits_with_1(home: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    recording = Recording(home / "artifacts")
    for number in range(3):
        recording.add(Topic("lab.x", train.Step), Raw(b"\xa2\xff\xfe"), source="foreign", epoch=number + 1)
    recording.log.close()

    assert main.run(["log", "export", form, "--output", str(home / "out")]) == 1
    assert "left out: 3 events" in capsys.readouterr().err
    assert (home / "out").stat().st_size > 0
    assert main.run(["log", "export", form, "--topic", "train.", "--output", str(home / "out")]) == 0


def test_an_export_takes_its_file_s_place_only_when_it_is_whole(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").write_text("an earlier one")
    (home / "out").symlink_to(home / "elsewhere")
    with monkeypatch.context() as patched:
        patched.setattr(export, "json_line", interrupted)
        assert main.run(["log", "export", "--jsonl", "--output", str(home / "out")]) == 130
    assert (home / "out").read_text() == "an earlier one"
    assert main.run(["log", "export", "--jsonl", "--output", str(home / "out")]) == 0
    assert (home / "out").is_symlink() and len((home / "elsewhere").read_text().splitlines()) == 5
    assert sorted(path.name for path in home.iterdir()) == ["artifacts", "elsewhere", "out"]


def interrupted(event: object) -> str:
    raise KeyboardInterrupt


def test_an_export_goes_into_a_pipe(home: Path) -> None:
    os.mkfifo(home / "pipe")
    with ThreadPoolExecutor(1) as reading:
        read = reading.submit((home / "pipe").read_bytes)
        assert main.run(["log", "export", "--jsonl", "--output", str(home / "pipe")]) == 0
        assert len(read.result(5).splitlines()) == 5


def references(node: Any) -> list[str]:  # JSON
    if isinstance(node, list):
        return [found for item in node for found in references(item)]
    if not isinstance(node, dict):
        return []
    return [value for key, value in node.items() if key == "$ref"] + [found for item in node.values() for found in references(item)]


def resolved(schema: Any, node: Any) -> Any:  # JSON
    return schema["$defs"][node["$ref"].removeprefix("#/$defs/")]
