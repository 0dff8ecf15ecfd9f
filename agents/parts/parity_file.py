"""parity.json: the measured proof that an exported model is the same model, as a file.

The exporter keeps it in the store, and the recorder writes it beside the run: one place makes the bytes, so both have the same hash.
"""

from __future__ import annotations

import msgspec

from schemas.export import Parity


def encode(run: str, parity: Parity) -> bytes:
    """The file of what `export.parity` says of a model of this training run. JSON has null in the place of NaN and infinity."""
    carried = msgspec.msgpack.decode(msgspec.msgpack.encode(parity), type=Parity)  # as the log has it: a float that was given as 1 is 1.0
    content = {"format": "zeropoint-parity-1", "run": run, **msgspec.structs.asdict(carried)}
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
