"""What a person types: names, JSON, durations and verbs, with a clear answer to each slip."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from bus import errors
from bus.cli import main, vocabulary
from bus.cli.exits import Mistyped, exit_code, explain
from bus.cli.payload import decode_json, read_argument
from bus.cli.tail import check_duration, is_wanted
from bus.cli.up import environment, honcho_command
from bus.home import Home
from schemas import train


class Inner(Struct, frozen=True, kw_only=True):
    size: int = 0


class Outer(Struct, frozen=True, kw_only=True):
    steps: int
    rate: float = 0.1
    inner: Inner = Inner()
    parts: list[Inner] = []
    named: dict[str, Inner] = {}


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ('{"step": 1}', "no field 'step' at $: did you mean steps?"),
        ('{"steps": 1, "zzz": 1}', "Outer is steps, [rate], [inner], [parts], [named]"),
        ('{"steps": "1"}', "Expected `int`, got `str` - at `$.steps`"),
        ('{"rate": 1}', "missing required field `steps`"),
        ('{"steps": 1, "inner": {"sise": 2}}', "no field 'sise' at $.inner: did you mean size?"),
        ('{"steps": 1, "parts": [{}, {"sise": 2}]}', "no field 'sise' at $.parts[1]"),
        ('{"steps": 1, "named": {"a": {"sise": 2}}}', "no field 'sise' at $.named.a"),
        ("{steps: 1}", "quoted for the shell"),
        ("[1]", "Expected `object`, got `array`"),
        ("", "JSON"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_wrong_json_is_refused_with_what_is_wrong(typed: str, says: str) -> None:
    with pytest.raises(Mistyped) as caught:
        decode_json(typed.encode(), Outer, "trainer.start")

    assert says in str(caught.value)
    assert str(caught.value).startswith("trainer.start: ")


def test_right_json_becomes_the_struct() -> None:
    decoded = decode_json(b'{"steps": 2, "parts": [{"size": 3}], "named": {"a": {}}}', Outer, "x")

    assert decoded == Outer(steps=2, parts=[Inner(size=3)], named={"a": Inner()})


@given(st.binary(max_size=60))
def test_any_bytes_decode_or_are_refused(typed: bytes) -> None:
    try:
        assert isinstance(decode_json(typed, Outer, "x"), Outer)
    except Mistyped as error:
        assert str(error)


def test_a_dash_reads_standard_input_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    assert read_argument("-") == b"{}"

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"x" * 2_000_000)))
    with pytest.raises(Mistyped, match="standard input"):
        read_argument("-")


def test_a_typo_in_a_topic_names_the_nearest() -> None:
    assert vocabulary.find_topic("train.step") is train.STEP
    with pytest.raises(Mistyped, match=r"'train.stpe': did you mean train.step\?"):
        vocabulary.find_topic("train.stpe")


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("trainer.strat", "did you mean trainer.start?"),
        ("trainr.start", "did you mean trainer.start?"),
        ("trainer", "trainer answers trainer.check_recipes"),
        ("trainer.xyzzy", "trainer answers trainer.check_recipes"),
        ("xyzzy", "bus topics lists all"),
    ],
)
def test_a_typo_in_a_command_names_what_there_is(typed: str, says: str) -> None:
    with pytest.raises(Mistyped) as caught:
        vocabulary.find_command(typed)

    assert says in str(caught.value)


def test_the_recorder_s_own_commands_can_be_called() -> None:
    assert vocabulary.find_command("recorder.fetch").agent == "recorder"


def test_a_typo_in_a_process_names_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "Procfile").write_text("hub: exec bus run hub\ntrainer: exec bus run trainer\n")
    monkeypatch.setenv("BUS_HOME", str(tmp_path))

    assert vocabulary.find_process("trainer") == "trainer"
    with pytest.raises(Mistyped, match=r"did you mean trainer\?"):
        vocabulary.find_process("trainr")


def test_a_word_without_a_dot_is_a_domain() -> None:
    assert vocabulary.read_patterns(["train", "power.", "train.step"]) == (["train.", "power.", "train.step"], [])


def test_an_undeclared_topic_is_a_warning_with_the_nearest() -> None:
    assert vocabulary.read_patterns(["train.stpe"]) == (["train.stpe"], ["no declared topic train.stpe (did you mean train.step?)"])
    assert vocabulary.read_patterns(["trian"]) == (["trian."], ["no declared topic trian. (did you mean train.?)"])
    assert vocabulary.read_patterns(["command.", "reply.", "command.trainer.start"])[1] == []


@pytest.mark.parametrize("typed", ["Train", "train.*", "", "a b", "é", "train\n"])
def test_what_is_no_topic_is_refused(typed: str) -> None:
    with pytest.raises(Mistyped, match="is no topic"):
        vocabulary.read_patterns([typed])


def test_unasked_a_tail_leaves_out_heartbeats_and_the_bus_s_own_traffic() -> None:
    shown = [topic for topic in ("train.step", "agent.heartbeat", "bus.ack.x", "command.a.b", "reply.x") if is_wanted(topic, [])]

    assert shown == ["train.step"]
    assert is_wanted("agent.heartbeat", ["agent."])


@pytest.mark.parametrize("typed", ["10", "10 minutes", "-5m", "x"])
def test_a_wrong_duration_is_refused(typed: str) -> None:
    with pytest.raises(Mistyped, match="--since"):
        check_duration(typed, "--since")


def test_no_duration_and_a_right_one_pass() -> None:
    check_duration(None, "--since")
    check_duration("2h", "--since")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoSuchAgent("x"), 1),
        (errors.AgentGone("x"), 1),
        (errors.FrameTooLarge("x"), 1),
        (errors.CorruptLog("x"), 1),
        (OSError("x"), 1),
        (Mistyped("x"), 2),
        (errors.BusTimeout("x"), 3),
        (errors.CommandRefused("bad_rate", "x"), 4),
        (errors.NoHub("x"), 5),
        (errors.LockHeld("x"), 75),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_a_refusal_is_explained_with_its_code() -> None:
    assert explain(errors.CommandRefused("bad_rate", "too fast")) == "refused (bad_rate): too fast"


def test_the_list_of_verbs_says_what_each_verb_says_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, summary in main.VERBS.items():
        assert main.run([verb, "--help"]) == 0
        assert summary in " ".join(capsys.readouterr().out.split())


def test_each_verb_s_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    verbs = [[verb] for verb in main.VERBS if verb != "log"] + [["log", each] for each in ("ls", "info", "cat", "project")]
    for verb in verbs:
        main.run([*verb, "--help"])
        assert f"  bus {' '.join(verb)}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tial"], "Did you mean 'tail'?"),
        (["tail", "--cuont", "3"], "--count"),
        (["tail", "--count", "0"], "--count"),
        (["tail", "--timeout", "nan"], "want seconds"),
        (["tail", "--timeout", "-1"], "want seconds"),
        (["tail", "--timeout", "1e300"], "want seconds"),
        (["call"], "AGENT.COMMAND"),
        (["log", "lss"], "Did you mean 'ls'?"),
        (["tail", "--since", "10x"], "10m"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


def test_without_a_verb_the_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    assert "Exit codes" in capsys.readouterr().out


def test_what_an_agent_says_reaches_the_terminal_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["log", "\x1b[2J"]) == 2
    assert "\x1b" not in capsys.readouterr().err


def test_up_hands_honcho_the_procfile_the_home_and_a_path_with_bus(tmp_path: Path) -> None:
    (tmp_path / "Procfile").write_text("hub: exec bus run hub\n")
    home = Home(tmp_path)

    assert honcho_command(home)[1:] == ["-m", "honcho", "start", "-d", str(tmp_path), "-f", "Procfile"]
    assert environment(home, {"PATH": "/bin"})["BUS_HOME"] == str(tmp_path)
    assert environment(home, {"PATH": "/bin"})["PATH"].endswith(":/bin")
