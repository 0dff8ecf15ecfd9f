"""`bus call`: ask an agent."""

from __future__ import annotations

from typing import Annotated

import typer

from bus.cli.options import seconds
from bus.cli.output import is_terminal, json_text, say
from bus.cli.payload import decode_json, read_argument
from bus.cli.vocabulary import complete_command, find_command
from bus.client import connect
from bus.errors import NoSuchAgent
from bus.wire import decode_data, encode_data


def call(
    command: Annotated[str, typer.Argument(metavar="AGENT.COMMAND", autocompletion=complete_command)],
    request: Annotated[str, typer.Argument(metavar="JSON", help="The request; - reads it from standard input.")] = "{}",
    timeout: Annotated[float, typer.Option(metavar="S", parser=seconds, help="Seconds to wait for the answer.")] = 30.0,
    json: Annotated[bool, typer.Option("--json", help="The answer on one line, on a terminal too.")] = False,
) -> None:
    """Ask an agent, and print its answer.

    \b
    bus call trainer.start '{"recipe": "tiny", "steps": 100}'
    bus call trainer.status
    """
    declared = find_command(command)
    data = encode_data(decode_json(read_argument(request), declared.request, command))
    with connect() as client:
        try:
            reply = client.call_raw(declared, data, timeout=timeout)
        except NoSuchAgent as error:
            raise NoSuchAgent(
                f"{declared.agent} is not running: start it alone with bus run {declared.agent}, or everything with ./dev up"
            ) from error
    say(json_text(decode_data(declared.topic, reply, object), indent=0 if json or not is_terminal() else 2))
