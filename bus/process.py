"""The process that a supervisor starts: `python -m bus.process NAME` is the hub, or the agent in `agents/NAME/agent.py`."""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import sys

import structlog

from bus import console
from bus.agent import Agent
from bus.errors import BusError, LockHeld
from bus.home import find_home
from bus.hub import HubSettings, run_hub
from bus.runtime import serve
from bus.settings import load

EXIT_LOCKED = 75

_log = structlog.get_logger()


def agent_class(name: str) -> type[Agent]:
    """The one Agent in `agents.NAME.agent` that is called NAME. Raises ModuleNotFoundError, LookupError."""
    module = importlib.import_module(f"agents.{name}.agent")
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Agent) and value is not Agent and value.name == name:
            return value
    raise LookupError(f"agents/{name}/agent.py has no Agent called {name}")


def main() -> int:
    """Run to the end; the exit code is 75 where another process already is this one."""
    name = sys.argv[1]
    home = find_home()
    try:
        if name == "hub":
            run_hub(home, load(HubSettings, "hub", home.settings).tcp)
        else:
            kind = agent_class(name)
            gc.collect()
            gc.freeze()  # the collector would look again and again at what was imported, for 60 ms each time, while events wait
            serve(kind, home)
    except LockHeld as error:
        _log.error(str(error))
        return EXIT_LOCKED
    except BusError as error:
        _log.error(str(error), error=type(error).__name__)
        return 1
    except Exception:
        _log.exception("ended by an error")
        return 1
    return 0


if __name__ == "__main__":
    close_console = console.configure()
    exit_code = main()
    close_console()
    # All is flushed and unlocked. Python would now take apart what a training thread is still using: seen to last over two seconds.
    os._exit(exit_code)
