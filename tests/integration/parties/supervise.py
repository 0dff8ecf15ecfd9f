"""A supervisor as a process, of an agent whose lock lies in a folder of the test.

supervise.py NAME AGENTS ENVIRONMENTS
"""

from __future__ import annotations

import sys
from pathlib import Path

from bus import console
from bus.supervisor import supervise


def main() -> int:
    name, agents, environments = sys.argv[1:]
    close_console = console.configure()
    try:
        return supervise(name, Path(agents), Path(environments))
    finally:
        close_console()


if __name__ == "__main__":
    sys.exit(main())
