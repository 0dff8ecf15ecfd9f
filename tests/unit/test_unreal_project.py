"""The generated Unreal project: what an editor reads of it, and that nobody's changes are lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import json

from agents.ue5.functions import FUNCTIONS, GET_FRAME_COUNT, SET_TRANSFORM, Function
from agents.ue5.project.allowance import allowance
from agents.ue5.project.contents import contents
from agents.ue5.project.writing import write_project

REMOTE_CONTROL, DESCRIPTOR = "Config/DefaultRemoteControl.ini", "Wondercraft.uproject"
SECTION = "/Script/RemoteControlCommon.RemoteControlSettings"
ALLOWED = re.compile(r'\(ClassPath="([\w/.]+)",FunctionName=\("(\w+)"\),bAllowChildClasses=(True|False)\)')


def settings(name: str) -> Iterator[tuple[str, str, str]]:
    """The section, key and value of each line, as Unreal reads it: `;` begins a remark, `+` adds to a list."""
    section = ""
    for line in contents()[name].splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif line and not line.startswith(";"):
            key, _, value = line.partition("=")
            yield section, key, value


def values(name: str, section: str) -> dict[str, str]:
    return {key: value for in_section, key, value in settings(name) if in_section == section and not key.startswith("+")}


def test_just_the_functions_that_the_bridge_calls_are_allowed() -> None:
    lines = [value for _, key, value in settings(REMOTE_CONTROL) if key == "+CustomAllowedRemoteFunctionCalls"]
    rules = [ALLOWED.fullmatch(line) for line in lines]

    allowed = {Function(rule[1], rule[2], "", static=rule[3] == "False") for rule in rules if rule is not None}
    assert allowed == {Function(function.owner, function.name, "", function.static) for function in FUNCTIONS}
    assert len(lines) == len(FUNCTIONS)


def test_the_name_of_an_allowed_function_is_in_brackets_as_unreal_reads_optional_strings() -> None:
    assert 'FunctionName=("GetFrameCount"),bAllowChildClasses=False)' in allowance(GET_FRAME_COUNT)
    assert 'FunctionName=("K2_SetActorTransform"),bAllowChildClasses=True)' in allowance(SET_TRANSFORM)


def test_both_servers_start_on_loopback_and_run_nothing_else() -> None:
    said = values(REMOTE_CONTROL, SECTION)

    assert (said["bAutoStartWebServer"], said["RemoteControlHttpServerPort"]) == ("True", "30010")
    assert (said["bAutoStartWebSocketServer"], said["RemoteControlWebSocketServerPort"]) == ("True", "30020")
    assert said["RemoteControlWebsocketServerBindAddress"] == "127.0.0.1"
    assert values("Config/DefaultEngine.ini", "HTTPServer.Listeners") == {"DefaultBindAddress": "localhost"}
    for door in ("bAllowAnyRemoteFunctionCall", "bEnableRemotePythonExecution", "bAllowConsoleCommandRemoteExecution"):
        assert said[door] == "False"


def test_the_settings_of_remote_control_are_in_the_only_file_where_they_count() -> None:
    assert [name for name in contents() if f"[{SECTION}]" in contents()[name]] == [REMOTE_CONTROL]


def test_the_editor_keeps_drawing_while_nobody_looks_at_it() -> None:
    said = values("Config/DefaultEditorSettings.ini", "/Script/UnrealEd.EditorPerformanceSettings")

    assert said == {"bThrottleCPUWhenNotForeground": "False"}


def test_the_descriptor_asks_for_the_plugins_and_does_without_the_newest_one() -> None:
    project = json.decode(contents()[DESCRIPTOR])

    assert (project["FileVersion"], project["EngineAssociation"]) == (3, "5.6")
    assert {plugin["Name"]: plugin.get("Optional", False) for plugin in project["Plugins"] if plugin["Enabled"]} == {
        "RemoteControl": False,
        "LiveLink": False,
        "LiveLinkOpenTrackIO": True,
    }


def test_the_project_is_written_whole_and_again_without_a_difference(tmp_path: Path) -> None:
    for _ in range(2):
        assert write_project(tmp_path) == list(contents())

    assert {name: (tmp_path / name).read_text() for name in contents()} == contents()


@pytest.mark.parametrize("name", [REMOTE_CONTROL, "README.md"])
def test_a_file_that_was_changed_stays_and_the_new_one_lies_beside_it(tmp_path: Path, name: str) -> None:
    write_project(tmp_path)
    (tmp_path / name).write_text("mine\n")

    for _ in range(2):
        assert f"{name}.new" in write_project(tmp_path)
    assert (tmp_path / name).read_text() == "mine\n"
    assert (tmp_path / f"{name}.new").read_text() == contents()[name]


def test_a_file_of_an_earlier_version_that_nobody_changed_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.ue5.project.writing.contents", lambda: {"README.md": "older\n"})
    write_project(tmp_path)
    monkeypatch.undo()

    assert write_project(tmp_path) == list(contents())
    assert (tmp_path / "README.md").read_text() == contents()["README.md"]


@pytest.mark.parametrize("record", [b"", b"[1]", b"{", b'{"README.md": 1}'])
def test_without_a_record_of_what_was_written_every_difference_is_a_change(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    (tmp_path / ".generated.json").write_bytes(record)

    assert "README.md.new" in write_project(tmp_path) and (tmp_path / "README.md").read_text() == "mine\n"
