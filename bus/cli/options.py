"""What several verbs take."""

from __future__ import annotations

from typing import Annotated

import typer

LONGEST = 1_000_000.0
"""Seconds, above which a number is a slip of the keyboard."""

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def seconds(typed: str) -> float:
    """Raises typer.BadParameter for what is no time to wait: `nan` is a float too."""
    try:
        number = float(typed)
    except ValueError:
        number = float("nan")
    if not 0 <= number <= LONGEST:
        raise typer.BadParameter(f"{typed!r}: want seconds, 0 to {LONGEST:.0f}")
    return number
