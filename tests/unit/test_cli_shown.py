"""What verbs make of what they read: rows of `bus top`, the AsyncAPI document, the doctor's checks, damaged logs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded import Recording
from rich.console import Console

from bus.cli import checks, main, vocabulary
from bus.cli.asyncapi import asyncapi
from bus.cli.gauges import AgentRow, Gauges, Snapshot
from bus.cli.output import json_text
from bus.cli.tables import duration, size, snapshot_tables
from bus.cli.topics import agent_tables, command_lines, topic_lines
from bus.event import Event
from bus.home import Home
from bus.lifecycle import Exited, Heartbeat, StateChanged, Stopped


def beat(source: str = "power", second: int = 0, epoch: int = 1, **fields: Any) -> Event[object]:  # any field of a heartbeat
    data = Heartbeat(
        **{
            "state": "running", "uptime": 1.0, "memory": 1, "cpu": 0.0, "restarts": 0, "published": {}, "received": 0, "undecodable": 0,
            "dropped": 0, "waiting": 0, **fields,
        }
    )  # fmt: skip
    return Event(topic="agent.heartbeat", source=source, time=second * 10**9, epoch=epoch, data=data)


def said(source: str, data: object) -> Event[object]:
    return Event(topic="agent.state", source=source, time=0, data=data)


@pytest.fixture
def gauges() -> Gauges:
    return Gauges(["power", "trainer"], vocabulary.topics())


def row(gauges: Gauges, name: str, now: float = 0.0) -> AgentRow:
    return next(row for row in gauges.agents(now) if row.name == name)


def test_rates_are_differences_of_what_heartbeats_count(gauges: Gauges) -> None:
    for second, count in enumerate((100, 110, 120)):
        gauges.add(beat(second=second, published={"power.sample": count, "bus.ack.x": 9 * count}), float(second))

    assert row(gauges, "power", 2.0).events_per_second == 10
    (topic,) = gauges.topics(2.0)
    assert (topic.name, topic.sources, topic.events_per_second, topic.declared_hz, topic.late) == ("power.sample", ["power"], 10, 10, False)


def test_one_heartbeat_gives_no_rate_and_a_restart_starts_anew(gauges: Gauges) -> None:
    gauges.add(beat(second=0, epoch=1, published={"power.sample": 100}), 0.0)
    gauges.add(beat(second=1, epoch=2, published={"power.sample": 3}), 1.0)

    assert row(gauges, "power", 1.0).events_per_second is None


def test_an_agent_without_a_heartbeat_for_three_seconds_is_silent(gauges: Gauges) -> None:
    gauges.add(beat(published={"power.sample": 1}), 0.0)

    assert row(gauges, "power", 3.0).state == "running"
    assert row(gauges, "power", 4.0).state == "silent"
    assert gauges.topics(4.0) == []


def test_an_expected_agent_that_never_spoke_is_down_and_an_unexpected_one_is_listed(gauges: Gauges) -> None:
    gauges.add(beat("xr"), 0.0)

    assert [(row.name, row.state) for row in gauges.agents(0.0)] == [("power", "down"), ("trainer", "down"), ("xr", "running")]


def test_an_exit_is_shown_until_the_agent_is_back(gauges: Gauges) -> None:
    exited = Exited(agent="trainer", pid=1, code=None, signal="SIGKILL", uptime=1, restarts=2, delay=4.0)
    gauges.add(said("supervisor-trainer", exited), 0.0)
    assert (row(gauges, "trainer").state, row(gauges, "trainer").reason) == ("exited", "SIGKILL; restart after 4 s")

    gauges.add(beat("trainer"), 1.0)
    assert row(gauges, "trainer", 1.0).state == "running"


def test_an_agent_that_left_is_stopped_until_it_speaks_again(gauges: Gauges) -> None:
    gauges.add(beat("power"), 0.0)
    gauges.add(said("power", Stopped(uptime=3)), 0.5)
    assert row(gauges, "power", 1.0).state == "stopped"

    gauges.add(said("power", StateChanged(state="running")), 1.5)
    assert row(gauges, "power", 1.5).state == "running"


def test_a_late_topic_and_errors_are_shown(gauges: Gauges) -> None:
    gauges.add(beat(published={"power.sample": 1, "agent.error": 2}, late=["power.sample"]), 0.0)

    assert row(gauges, "power").errors == 2
    assert [topic.late for topic in gauges.topics(0.0)] == [False, True]


def test_the_table_shows_text_from_the_bus_as_it_is(gauges: Gauges) -> None:
    gauges.add(beat(state="degraded", reason="[bold]x[/bold] \x1b[2J"), 0.0)
    console = Console(width=150, file=None, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(snapshot_tables(Snapshot(time=0, home="/h", agents=gauges.agents(0.0), topics=gauges.topics(0.0), recorder=None)))

    assert "[bold]x[/bold] \\x1b[2J" in captured.get()
    assert "the recorder does not answer" in captured.get()


def shown(gauges: Gauges, now: float = 0.0) -> str:
    console = Console(width=150, file=None, record=True, force_terminal=False)
    with console.capture() as captured:
        console.print(snapshot_tables(Snapshot(time=0, home="/h", agents=gauges.agents(now), topics=[], recorder=None)))
    return captured.get()


def test_an_agent_s_own_measures_have_a_table_as_long_as_it_is_heard(gauges: Gauges) -> None:
    gauges.add(beat("power"), 0.0)
    assert "measure" not in shown(gauges)

    gauges.add(beat("xr", measures={"motion to photon p50, ms": 41.234567}), 0.0)
    assert "motion to photon p50, ms  41.23" in shown(gauges)
    assert row(gauges, "xr").measures == {"motion to photon p50, ms": 41.234567}
    assert "measure" not in shown(gauges, now=4.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7500, "2 h 05 min"), (529_200, "6 d 03 h")]
)
def test_durations_are_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(None, ""), (0, "0 B"), (999, "999 B"), (3_400_000, "3.4 MB"), (2.5e12, "2.5 TB")])
def test_sizes_are_short(count: float | None, text: str) -> None:
    assert size(count) == text


@pytest.fixture
def document(tmp_path: Path) -> Any:  # JSON
    return json.loads(json_text(asyncapi(vocabulary.topics(), vocabulary.commands(), Home(tmp_path))))


def references(node: Any) -> Iterator[str]:  # JSON
    if isinstance(node, dict):
        yield from (value for key, value in node.items() if key == "$ref")
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def resolve(document: Any, reference: str) -> Any:  # JSON
    for key in reference.removeprefix("#/").split("/"):
        document = document[key]
    return document


def test_every_reference_of_the_asyncapi_document_leads_somewhere(document: Any) -> None:
    found = set(references(document))

    assert len(found) > 50
    for reference in found:
        assert resolve(document, reference)


def test_every_topic_is_a_channel_that_can_be_sent_and_received(document: Any) -> None:
    for name, topic in vocabulary.topics().items():
        assert document["channels"][name]["address"] == name
        assert document["operations"][f"send.{name}"]["action"] == "send"
        assert document["operations"][f"receive.{name}"]["action"] == "receive"
        data = document["components"]["messages"][name]["payload"]["allOf"][1]["properties"]["data"]
        assert resolve(document, data["$ref"])["title"] == topic.type.__name__


def test_every_command_is_an_operation_with_a_reply(document: Any) -> None:
    for name in vocabulary.commands():
        operation = document["operations"][f"call.{name}"]
        channel = resolve(document, operation["reply"]["channel"]["$ref"])
        assert document["channels"][f"command.{name}"]["address"] == f"command.{name}"
        assert channel["address"] is None  # the caller's own inbox
        for message in (*operation["messages"], *operation["reply"]["messages"]):
            assert resolve(document, message["$ref"])


def test_the_document_has_what_asyncapi_3_requires(document: Any) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= document["info"].keys()
    assert all({"host", "protocol"} <= server.keys() for server in document["servers"].values())
    assert document["components"]["schemas"]["EventMap"]["required"] == ["source", "time", "data"]


def test_topics_names_who_publishes_and_commands_who_answers() -> None:
    tables, unreadable = agent_tables()
    publishers = {line.topic: line.publishers for line in topic_lines(tables)}

    assert "recorder" in tables and not unreadable.get("recorder")
    assert publishers["recorder.gap"] == ["recorder"]
    assert publishers["agent.heartbeat"] == ["every agent"]
    assert {line.command: line.answered for line in command_lines(tables, {"trainer"})}["trainer.start"] is None


def test_a_healthy_home_is_missing_nothing(tmp_path: Path) -> None:
    assert checks.writable(Home(tmp_path / "not" / "yet")).state == "ok"
    assert checks.python().state == "ok"
    assert checks.tcp(Home(tmp_path)).found == "closed"


def test_a_home_that_is_no_folder_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert checks.writable(Home(tmp_path / "file")).state == "missing"


def test_the_doctor_says_that_an_open_port_is_open_to_others(tmp_path: Path) -> None:
    (tmp_path / "bus.toml").write_text('[hub]\ntcp = "tcp://127.0.0.1:7447"\n')

    assert "other users of this machine can publish" in checks.tcp(Home(tmp_path)).found


def test_a_setting_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    (tmp_path / "bus.toml").write_text("[hub]\ntpc = 1\n")

    assert checks.tcp(Home(tmp_path)).state == "missing"


def test_a_hub_that_does_not_run_is_a_note_with_the_command_that_starts_it(tmp_path: Path) -> None:
    assert (checks.hub(Home(tmp_path)).state, checks.hub(Home(tmp_path)).mend) == ("note", "./dev up")


def test_a_missing_compiler_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    assert checks.compiler({"PATH": "/nowhere"}).state == "missing"


def test_mocks_that_are_allowed_are_said(tmp_path: Path) -> None:
    assert checks.honesty({"MOCKS_DISABLED": "0"}).state == "note"


def test_the_doctor_s_json_has_one_check_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUS_HOME", str(tmp_path))
    main.run(["doctor", "--json"])

    for line in capsys.readouterr().out.splitlines():
        assert json.loads(line).keys() == {"name", "state", "found", "mend"}


def test_cat_goes_on_behind_damage_says_where_it_is_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BUS_HOME", str(tmp_path))
    recording = Recording(tmp_path / "artifacts")
    recording.steps(1, 3, "r1")
    recording.damage(step=2)

    assert main.run(["log", "cat", "--json"]) == 1
    out, err = capsys.readouterr()
    assert [json.loads(line)["data"]["step"] for line in out.splitlines()] == [1, 3]
    assert "events may be missing here: 000001.open.mcap at byte" in err


def test_an_empty_log_lists_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BUS_HOME", str(tmp_path))

    assert main.run(["log", "ls", "--json"]) == 0
    assert main.run(["log", "cat"]) == 0
    assert capsys.readouterr().out == ""


def test_undeclared_rates_are_not_invented(gauges: Gauges) -> None:
    gauges.add(beat(published={"lab.temperature": 1}), 0.0)

    assert gauges.topics(0.0)[0].declared_hz is None
