"""One event as one line for a person, and as one line of JSON."""

from __future__ import annotations

import json
import re
import zlib
from datetime import datetime
from typing import Any

import msgspec
import typer
from rich.cells import cell_len, set_cell_size

from bus.cli.output import json_text, printable
from bus.event import Event

_BARE = re.compile(r"[^\s\"\\={}\[\],]+")
_ALARMING = {"error", "failed", "exited", "rejected", "gap"}
_PALETTE = ("cyan", "green", "yellow", "blue", "magenta", "bright_cyan", "bright_green", "bright_yellow", "bright_blue", "bright_magenta")
_TOPIC_WIDTH = 18
_LONGEST_RUN = 12  # characters of a run's name that a line of limited width shows
_DEEPEST = 8  # levels of nesting that a line shows


def json_line(event: Event[Any]) -> str:  # any topic's data, as in the rest of this module
    """The stable form: every key is always there, `data` as it came."""
    return json_text({
        "id": event.id, "topic": event.topic, "source": event.source, "time": event.time, "epoch": event.epoch, "seq": event.seq,
        "prev": event.prev, "nth": event.nth, "cause": event.cause, "run": event.run, "replay": event.replay, "data": event.data,
    })  # fmt: skip


def event_line(event: Event[Any], width: int | None, colour: bool) -> str:
    """Local time, topic, source, run and the data; cut to `width` columns, None: never. Where room is short, of a run its last word."""
    time = _clock(event.time)
    topic = f"{event.topic:<{_TOPIC_WIDTH}}"
    line = _cut(f"{time} {topic} {_origin(event, width)}  {_fields(event.data)}".rstrip(), width)
    if not colour:
        return line
    start, end = len(time) + 1, len(time) + 1 + len(topic)
    return f"{typer.style(line[:start], dim=True)}{typer.style(line[start:end], fg=topic_colour(event.topic))}{line[end:]}"


def topic_colour(topic: str) -> str:
    """The colour of the topic's domain; red for what went wrong."""
    if topic.rpartition(".")[2] in _ALARMING:
        return "red"
    return _PALETTE[zlib.crc32(topic.partition(".")[0].encode()) % len(_PALETTE)]


def value_text(value: Any, depth: int = 0) -> str:
    """A value of an event's data, compact: floats to five digits, text bare where nothing in it could mislead."""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, str):
        return _word(value)
    if isinstance(value, msgspec.msgpack.Ext):
        value = bytes(value.data)
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, dict | list | tuple):
        return _nested(value, depth)
    return {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else _word(str(value))


def _clock(nanoseconds: int) -> str:
    moment = datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000)
    day = "" if moment.date() == datetime.now().date() else f"{moment:%Y-%m-%d} "
    return f"{day}{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def _origin(event: Event[Any], width: int | None) -> str:
    name = event.run or ""
    if width is not None and len(name) > _LONGEST_RUN:
        name = f"…{name.rpartition('-')[2][-_LONGEST_RUN:]}"
    run = f" [{name}]" if name else ""
    return f"{event.source}{run}{' (replay)' if event.replay else ''}"


def _fields(data: Any) -> str:
    return " ".join(_pair(key, item, 0) for key, item in data.items()) if isinstance(data, dict) else value_text(data)


def _nested(value: dict[Any, Any] | list[Any] | tuple[Any, ...], depth: int) -> str:
    if depth >= _DEEPEST:
        return "…"
    if isinstance(value, dict):
        return f"{{{' '.join(_pair(key, item, depth + 1) for key, item in value.items())}}}"
    return f"[{' '.join(value_text(item, depth + 1) for item in value)}]"


def _pair(key: Any, item: Any, depth: int) -> str:
    return f"{_word(str(key))}={value_text(item, depth)}"


def _word(text: str) -> str:
    return text if _BARE.fullmatch(text) and printable(text) == text else printable(json.dumps(text, ensure_ascii=False))


def _cut(line: str, width: int | None) -> str:
    if width is None or cell_len(line) <= width:
        return line
    return f"{set_cell_size(line, width - 1).rstrip()}…"
