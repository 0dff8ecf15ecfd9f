"""Reads a folder's configuration as we do and as Petals does, and says in which of Petals' settings they differ.

`python configured.py FOLDER`, by the Python that has Petals. JSON on stdout: by name, our value and Petals'.
"""

import json
import sys
from pathlib import Path

from agents.petals.swarm.skeleton import read_config  # before petals

# isort: split
from petals import AutoDistributedConfig


def main() -> None:
    ours = read_config(Path(sys.argv[1]), "tiny")
    theirs = AutoDistributedConfig.from_pretrained(sys.argv[1], dht_prefix="tiny", use_chunked_forward=False)
    compared = {name: (getattr(ours, name, None), getattr(theirs, name, None)) for name in vars(ours) | vars(theirs)}
    sys.stdout.write(json.dumps({name: pair for name, pair in compared.items() if pair[0] != pair[1]}, default=str))


if __name__ == "__main__":
    main()
