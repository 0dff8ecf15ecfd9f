"""Looks at a message of protobuf without making anything of it: of two bytes its decoder makes an object of a hundred.

Source of the format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from agents.petals.admission.claims import BadClaim

LONGEST_VARINT = 10


def check_fields(data: bytes, most: int) -> None:
    """Raises BadClaim for a message that has more fields than that, not counting those within its fields, or is none."""
    at = fields = 0
    while at < len(data):
        fields += 1
        if fields > most:
            raise BadClaim(f"a message of more than {most} fields")
        at = _behind_field(data, at)
    if at != len(data):
        raise BadClaim("a message that ends within a field")


def _behind_field(data: bytes, at: int) -> int:
    tag, at = _varint(data, at)
    match tag & 7:
        case 0:
            return _varint(data, at)[1]
        case 1:
            return at + 8
        case 2:
            length, at = _varint(data, at)
            return at + length
        case 5:
            return at + 4
        case other:
            raise BadClaim(f"a field of wire type {other}: none such is read")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends."""
    value = 0
    for place, byte in enumerate(data[at : at + LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise BadClaim("a message that ends within a number, or a number without end")
