"""One event as one line: compact, and nothing in it drives a terminal."""

from __future__ import annotations

import json
import re
import time as clock
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.msgpack import Ext
from rich.cells import cell_len

from bus.cli.line import event_line, json_line, topic_colour, value_text
from bus.cli.output import json_text, printable
from bus.event import Event

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
keys = st.text() | st.integers(-9, 9) | st.none() | st.binary(max_size=3)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text() | st.binary(max_size=20)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=12)


def event(data: Any, **fields: Any) -> Event[Any]:  # any data
    return Event(**{"topic": "train.step", "source": "trainer", "time": clock.time_ns(), "epoch": 7, "seq": 3, "data": data, **fields})


def test_a_line_has_time_topic_source_run_and_the_data() -> None:
    line = event_line(event({"step": 3, "loss": 2.3456789, "joules": None}, run="r1"), None, colour=False)

    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} train\.step +trainer \[r1\]  step=3 loss=2\.3457 joules=null", line)


def test_an_older_event_shows_its_day_and_a_replayed_one_says_so() -> None:
    line = event_line(event({}, time=1_000_000_000_000_000_000, replay=True), None, colour=False)

    assert line.startswith("2001-09-")
    assert line.endswith("trainer (replay)")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0.0001, "0.0001"),
        (1234567.0, "1.2346e+06"),
        ("tiny", "tiny"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ("", '""'),
        (b"abc", "<3 bytes>"),
        (Ext(7, b"zz"), "<2 bytes>"),
        ({"a": {"b": [1, None]}}, "{a={b=[1 null]}}"),
    ],
)
def test_values_are_compact_and_unambiguous(value: object, text: str) -> None:
    assert value_text(value) == text


def test_deep_nesting_is_cut_short() -> None:
    deep: list[Any] = []
    for _ in range(900):
        deep = [deep]

    assert value_text(deep) == "[[[[[[[[…]]]]]]]]"


@given(values)
def test_no_control_character_reaches_the_terminal(value: object) -> None:
    assert not CONTROLS.search(event_line(event({"value": value}), None, colour=False))
    assert not CONTROLS.search(json_line(event({"value": value})))


@given(values)
def test_every_event_is_one_line_of_json(value: object) -> None:
    line = json_line(event(value))

    assert list(json.loads(line)) == ["id", "topic", "source", "time", "epoch", "seq", "prev", "nth", "cause", "run", "replay", "data"]


@given(st.text())
def test_escaping_does_not_change_what_json_says(text: str) -> None:
    assert json.loads(json_text({"text": text})) == {"text": text}


@given(st.text(), st.integers(30, 200))
def test_a_line_is_never_wider_than_the_terminal(text: str, width: int) -> None:
    assert cell_len(event_line(event({"text": text}), width, colour=False)) <= width


def test_colour_adds_codes_and_changes_no_text() -> None:
    plain = event_line(event({"step": 3}), None, colour=False)

    assert re.sub(r"\x1b\[[0-9;]*m", "", event_line(event({"step": 3}), None, colour=True)) == plain


def test_a_domain_has_one_colour_and_what_went_wrong_is_red() -> None:
    assert topic_colour("train.step") == topic_colour("train.run.started") != "red"
    assert topic_colour("train.run.failed") == topic_colour("agent.error") == "red"


def test_printable_writes_controls_out() -> None:
    assert printable("a\x1b[2J\nb\x9b\u202ec") == "a\\x1b[2J\\nb\\x9b\\u202ec"


def test_a_line_of_limited_width_has_room_for_the_data_behind_a_long_run() -> None:
    said = event({"step": 3, "loss": 2.5}, run="run-20261126-060620-f0c405")

    assert "[…f0c405]  step=3 loss=2.5" in event_line(said, 100, colour=False)
    assert "[run-20261126-060620-f0c405]" in event_line(said, None, colour=False)
