"""`python -m bus.environment NAME` makes the environment of an agent in the foreground, as its supervisor would: `./dev environment`."""

from __future__ import annotations

import contextlib
import sys
import time

from bus.environment.errors import EnvironmentFailed
from bus.environment.making import make
from bus.environment.place import Place, asked_for
from bus.environment.progress import Throttle, described

FAILED, USAGE, INTERRUPTED = 1, 2, 130


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    if len(arguments) != 1 or arguments[0] not in asked_for():
        _say(f"want one agent that ships a requirements.lock: {', '.join(asked_for()) or 'there is none'}")
        return USAGE
    place = Place(arguments[0])
    try:
        _make(place)
    except (EnvironmentFailed, OSError) as error:
        _say(f"the environment of {place.name} could not be made: {error}")
        if place.log.is_file():
            _say(f"all that pip said is in {place.log}")
        return FAILED
    except KeyboardInterrupt:
        _say("interrupted: the next time it is made anew")
        return INTERRUPTED
    return 0


def _make(place: Place) -> None:
    throttle = Throttle()
    with contextlib.closing(make(place)) as changes:
        for change in changes:
            if throttle.passes(change, time.monotonic()):
                _say(f"{place.name}: {described(change)}")


def _say(text: str) -> None:
    sys.stderr.write(f"dev: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
