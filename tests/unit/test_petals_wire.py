"""A message's fields are counted as protobuf has them, and whatever else comes is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.petals.admission.claims import BadClaim
from agents.petals.admission.wire import check_fields


def varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low]) if value < 0x80 else bytes([low | 0x80]) + varint(value >> 7)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


fields = st.builds(field, st.integers(1, (1 << 29) - 1), st.integers(0, (1 << 64) - 1) | st.binary(max_size=300))
fixed = st.sampled_from([b"\x09" + bytes(8), b"\x0d" + bytes(4)])


@given(st.lists(fields | fixed, min_size=1, max_size=8))
def test_a_message_has_its_fields(parts: list[bytes]) -> None:
    check_fields(b"".join(parts), len(parts))

    with pytest.raises(BadClaim, match=f"more than {len(parts) - 1} fields"):
        check_fields(b"".join(parts), len(parts) - 1)


@given(st.binary(max_size=60), st.integers(0, 9))
def test_any_bytes_are_a_message_or_refused(data: bytes, most: int) -> None:
    try:
        check_fields(data, most)
    except BadClaim:
        return
    assert data == b"" or most > 0


@pytest.mark.parametrize("data", [b"\x12\x05abc", b"\x12", b"\x80" * 20, b"\x0b", b"\x09abc"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(BadClaim):
        check_fields(data, 10)
