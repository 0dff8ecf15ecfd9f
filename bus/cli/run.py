"""`bus run`: what each line of the Procfile executes."""

from __future__ import annotations

from typing import Annotated

import typer

from bus import console
from bus.cli.vocabulary import complete_process, find_process
from bus.supervisor import supervise


def run(name: Annotated[str, typer.Argument(metavar="NAME", autocompletion=complete_process, help="hub, recorder, or an agent.")]) -> None:
    """Run one process of the appliance, and restart it when it dies.

    Ends with SIGTERM or Ctrl-C. Exit code 75: it already runs here.

    \b
    bus run hub
    bus run trainer
    """
    find_process(name)
    close_console = console.configure()
    try:
        code = supervise(name)
    finally:
        close_console()
    raise typer.Exit(code)
