"""`bus doctor`: what is missing on this machine, and the command that mends it."""

from __future__ import annotations

import typer
from rich.text import Text

from bus.cli.checks import Check, all_checks
from bus.cli.exits import FAILED
from bus.cli.options import Json
from bus.cli.output import json_text, printable, say, show
from bus.cli.tables import table
from bus.home import find_home

_COLOURS = {"ok": "green", "note": "yellow", "missing": "bold red"}


def doctor(json: Json = False) -> None:
    """Say what is missing on this machine, and the command that mends it.

    Exit code 1 only where the appliance cannot do without; what it can do without is a note. Nothing is changed.

    \b
    bus doctor
    bus doctor --json | jq 'select(.state != "ok")'
    """
    checks = list(all_checks(find_home()))
    if json:
        for check in checks:
            say(json_text(check))
    else:
        show(table(("", "check", "found", "to mend it"), [_row(check) for check in checks]))
    if any(check.state == "missing" for check in checks):
        raise typer.Exit(FAILED)


def _row(check: Check) -> tuple[Text, str, str, str | None]:
    return Text(printable(check.state), style=_COLOURS[check.state]), check.name, check.found, check.mend
