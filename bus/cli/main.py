"""`bus`: the table of verbs, and the way out of each. A verb is the function of that name in the module of that name."""

from __future__ import annotations

import importlib
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from bus.cli.exits import INTERRUPTED, exit_code, explain
from bus.cli.output import finish, prepare, warn
from bus.errors import BusError

VERBS = {
    "tail": "Follow events as they happen.",
    "send": "Publish one event, and print its id once it is on disk.",
    "call": "Ask an agent, and print its answer.",
    "top": "Watch agents and topics.",
    "topics": "List topics and commands, and the agents that publish and answer them.",
    "replay": "Publish a recorded stretch again.",
    "log": "Read the recorded log.",
    "verify": "Check the log and every artifact against what they say of themselves.",
    "doctor": "Say what is missing on this machine, and the command that mends it.",
    "up": "Start the appliance: every line of its Procfile.",
    "run": "Run one process of the appliance, and restart it when it dies.",
}

_COMPLETION_VARIABLE = "_BUS_COMPLETE"


def main() -> None:
    """The console script."""
    prepare()
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Do what `arguments` say and return the exit code; errors are explained on standard error."""
    try:
        code = verbs(arguments)(arguments or ["--help"], prog_name="bus", standalone_mode=False)
        finish()
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.TyperException as error:
        warn(error.format_message())
        warn(f"see bus {arguments[0]} --help" if arguments[:1] and arguments[0] in VERBS else "see bus --help")
        return error.exit_code
    except (BusError, OSError) as error:
        warn(explain(error))
        return exit_code(error)
    return code or 0


def verbs(arguments: list[str]) -> typer.Typer:
    """The command line with the chosen verb loaded; of the others only the summaries, so that `bus --help` is quick."""
    app = typer.Typer(name="bus", callback=_bus, rich_markup_mode=None, pretty_exceptions_enable=False)
    completing = _COMPLETION_VARIABLE in os.environ
    for verb, summary in VERBS.items():
        if completing or arguments[:1] == [verb]:
            _load(app, verb, summary)
        else:
            app.command(verb, short_help=summary)(_not_loaded)
    return app


def _load(app: typer.Typer, verb: str, summary: str) -> None:
    loaded = getattr(importlib.import_module(f"bus.cli.{verb}"), verb)
    if isinstance(loaded, typer.Typer):
        app.add_typer(loaded, name=verb, short_help=summary)
    else:
        app.command(verb, short_help=summary)(loaded)


def _not_loaded() -> None:
    """Stands in the list of verbs; the chosen one is always loaded."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("zeropoint-bus"))
        raise typer.Exit


def _bus(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)] = False,
) -> None:
    """The bus of this appliance, from the command line.

    BUS_HOME names the appliance; without it, it is the checkout that you are in. Results go to standard output, everything
    else to standard error.

    \b
    Exit codes: 0 ok, 1 failed (also: no such agent, agent gone), 2 usage, 3 timed out,
    4 refused by the agent, 5 no hub, 75 already running, 130 interrupted.
    """


if __name__ == "__main__":
    main()
