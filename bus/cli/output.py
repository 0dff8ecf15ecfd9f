"""Results on standard output, diagnostics on standard error; nothing from the bus reaches a terminal as a control sequence."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# C0 and C1 controls, which drive a terminal, and the marks that reorder text, which make a line lie.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def prepare() -> None:
    """Let no character that the terminal's encoding lacks end a verb, and the bus's own log lines go to standard error."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(line: str) -> None:
    """One line of the result, at once. A reader that went away (`| head -1`) has what it wanted: exit 0."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
        raise typer.Exit from None


def warn(message: str) -> None:
    """One line for the person at the terminal."""
    typer.echo(f"bus: {printable(message)}", err=True)


def finish() -> None:
    """Write what is left, so that a reader that went away is noticed here and not at the interpreter's exit."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()


def printable(text: str) -> str:
    """`text` with control characters, line ends and marks of direction written out."""
    return _UNSAFE.sub(lambda match: _SHORT.get(match[0]) or _escape(match[0]), text)


def json_text(value: Any, *, indent: int = 0) -> str:  # whatever a verb prints: structs, or values decoded from the bus
    """JSON on one line, or indented; still the same JSON where what a terminal would obey is escaped."""
    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, msgspec.MsgspecError):  # MessagePack has keys and extensions that JSON has not
        encoded = msgspec.json.encode(_jsonable(value))
    text = (msgspec.json.format(encoded, indent=indent) if indent else encoded).decode()
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def is_terminal() -> bool:
    """Whether a person reads standard output."""
    return sys.stdout.isatty()


def has_colour() -> bool:
    """Colour only on a terminal, and not against NO_COLOR (no-color.org)."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show(renderable: RenderableType) -> None:
    """A table, as wide as the terminal; in full where standard output is none."""
    wide = console()
    with wide.capture() as captured:
        wide.print(renderable)
    say("\n".join(line.rstrip() for line in captured.get().split("\n")).strip("\n"))


def console() -> Console:
    """Rich's console, with our rule for colour."""
    from rich.console import Console

    return Console(no_color=not has_colour(), highlight=False, width=None if is_terminal() else 200)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _jsonable(value: Any) -> Any:  # decoded MessagePack in, what JSON can hold out
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, msgspec.msgpack.Ext):
        return {"extension": value.code, "data": value.data}
    return value if isinstance(value, str | int | float | bool | bytes | None) else str(value)


def _discard_output() -> None:
    descriptor = os.open(os.devnull, os.O_WRONLY)
    os.dup2(descriptor, sys.stdout.fileno())
    os.close(descriptor)
