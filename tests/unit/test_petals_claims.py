"""What a call says of itself passes only where it can be so, and nothing that a stranger sends raises anything but a BadClaim."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.petals.admission.claims import (
    MOST_METADATA,
    BadClaim,
    Metadata,
    Served,
    blocks_of,
    check_backward,
    check_forward,
    check_step,
    order_of,
    read_metadata,
    written,
)

SERVED = Served(prefix="tiny-ab", start=2, end=6, hidden=4, most_tokens=40, longest=32)
BLOCKS = 4


@dataclass
class Numbers:
    """As `Tensor` of runtime.proto."""

    size: list[int]
    buffer: bytes = b""
    dtype: str = "float32"
    compression: int = 0
    requires_grad: bool = False


@dataclass
class Step:
    """The tensors of a good step, one of which a test spoils."""

    rows: int = 2
    length: int = 3
    tensors: list[Numbers] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = [hidden(self.rows, self.length), Numbers([0]), Numbers([0], dtype="int64")]

    def check(self) -> tuple[int, int]:
        return check_step(self.tensors, BLOCKS, SERVED)


def hidden(rows: int, length: int, dtype: str = "float32", width: int = 4) -> Numbers:
    return Numbers([rows, length, SERVED.hidden], bytes(rows * length * SERVED.hidden * width), dtype)


def packed(value: Any) -> Any:
    """As hivemind packs it: each tuple is an extension of its own."""
    if isinstance(value, tuple):
        return msgpack.ExtType(0x40, msgpack.packb([packed(each) for each in value]))
    return {key: packed(each) for key, each in value.items()} if isinstance(value, dict) else value


def metadata_of(**said: Any) -> bytes:
    data: bytes = msgpack.packb(packed(said))
    return data


@pytest.mark.parametrize(("first", "last"), [(2, 6), (2, 3), (3, 5), (5, 6)])
def test_blocks_in_a_row_are_found(first: int, last: int) -> None:
    assert blocks_of(" ".join(f"tiny-ab.{block}" for block in range(first, last)), SERVED) == range(first, last)


@pytest.mark.parametrize(
    "uids",
    [
        "",
        " ",
        "tiny-ab.1",
        "tiny-ab.6",
        "tiny-ab.2 tiny-ab.2",
        "tiny-ab.3 tiny-ab.2",
        "tiny-ab.2 tiny-ab.4",
        "tiny-ab.5 tiny-ab.6",
        "tiny-ab.2 ",
        "other.2",
        "tiny-ab.02",
        "tiny-ab.2 " * 100_000,
    ],
)
def test_other_blocks_are_refused(uids: str) -> None:
    with pytest.raises(BadClaim, match="not blocks in a row of tiny-ab 2 to 6"):
        blocks_of(uids, SERVED)


def test_what_a_stock_client_says_is_read_and_only_what_is_needed_of_it_is_written_again() -> None:
    structure = ((b"__T0", b"__T1", b"__T2"), {})
    said = read_metadata(
        metadata_of(
            session_id="s",
            step_id="t",
            max_length=16,
            points=0,
            active_adapter=None,
            next_servers=[("x", "y", 0, 9)],
            args_structure=structure,
        )
    )

    assert order_of(said, 3) == [0, 1, 2]
    assert msgpack.unpackb(written(said)) == {"max_length": 16, "session_id": "s", "step_id": "t"}


@pytest.mark.parametrize(
    ("said", "tensors", "order"),
    [
        ({}, 3, [0, 1, 2]),
        ({"args_structure": ((b"__T1", b"__T0"), {})}, 2, [1, 0]),
        ({"args_structure": ((b"__T0", b"__T0"), {})}, 1, [0, 0]),
    ],
)
def test_arguments_are_in_the_order_that_is_said(said: dict[str, Any], tensors: int, order: list[int]) -> None:
    assert order_of(read_metadata(metadata_of(**said)), tensors) == order


@pytest.mark.parametrize(
    "structure",
    [
        ((b"__T2",), {}),
        ((b"__T-1",), {}),
        ((b"__T00",), {}),
        ((1,), {}),
        ((b"__T0",), {"mask": b"__T1"}),
        ((b"__T0",),),
        ((b"__T0",), {}, {}),
        (((b"__T0",),), {}),
        ((b"__T0",) * 9, {}),
        (),
    ],
)
def test_other_structures_are_refused(structure: Any) -> None:
    with pytest.raises(BadClaim, match="args_structure"):
        order_of(read_metadata(metadata_of(args_structure=structure)), 2)


def test_a_structure_that_is_another_extension_and_too_many_tensors_are_refused() -> None:
    with pytest.raises(BadClaim, match="extension 81: only tuples"):
        order_of(Metadata(args_structure=msgspec.msgpack.Ext(81, b"")), 2)
    with pytest.raises(BadClaim, match="9 tensors: at most 8"):
        order_of(Metadata(), 9)


@pytest.mark.parametrize(
    "data",
    [
        b"\x90",
        b"\xc1",
        b"\x81\xa1a\x01" * 2,
        metadata_of(max_length=True),
        metadata_of(max_length="8"),
        metadata_of(session_id=["s"]),
        metadata_of(session_id="s" * 65),
        metadata_of(step_id=1),
        metadata_of(active_adapter="lora"),
        metadata_of(args_structure=[1]),
        b"\x81\xa1a" + b"\x91" * 50_000 + b"\xc0",
        bytes(MOST_METADATA + 1),
    ],
)
def test_other_metadata_is_refused(data: bytes) -> None:
    with pytest.raises(BadClaim):
        read_metadata(data)


@given(st.binary(max_size=200), st.integers(0, 9))
def test_metadata_of_any_bytes_is_read_or_refused(data: bytes, tensors: int) -> None:
    with contextlib.suppress(BadClaim):
        assert all(0 <= place < tensors for place in order_of(read_metadata(data), tensors))


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("float16", 2), ("bfloat16", 2), ("bfloat16", 4)])
def test_hidden_states_pass_in_each_type_that_clients_send(dtype: str, width: int) -> None:
    step = Step()
    step.tensors[0] = hidden(2, 3, dtype, width)

    assert step.check() == (2, 3)


sizes = st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 6), max_size=6)
tensors = st.builds(
    Numbers,
    size=sizes,
    buffer=st.binary(max_size=200),
    dtype=st.sampled_from(["float32", "bfloat16", "float16", "int64", "U1000000", "O", ""]),
    compression=st.integers(0, 5),
)


@given(tensors, st.lists(tensors, max_size=4), st.sampled_from([check_step, check_forward, check_backward]), st.integers(0, 40))
def test_whatever_passes_is_as_long_as_it_says_and_no_larger_than_a_call(
    first: Numbers, others: list[Numbers], check: Any, fit: int
) -> None:
    if len(first.size) == 3 and fit:  # else hardly any would pass
        first.size[2] = SERVED.hidden
        first.buffer = bytes(4 * math.prod(first.size)) if math.prod(first.size) < 1000 else b""
    with contextlib.suppress(BadClaim):
        rows, length = check([first, *others], BLOCKS, SERVED)
        assert first.size == [rows, length, SERVED.hidden]
        assert len(first.buffer) in (2 * rows * length * SERVED.hidden, 4 * rows * length * SERVED.hidden)
        assert 0 < rows * length <= SERVED.most_tokens and length <= SERVED.longest


@pytest.mark.parametrize(
    ("place", "tensor", "why"),
    [
        (0, Numbers([2, 3, 4], bytes(95)), "95 bytes are no tensor of shape"),
        (0, Numbers([2, 3, 4], bytes(96), "float64"), "no tensor of shape"),
        (0, Numbers([2, 3, 4], bytes(48), "float16", compression=2), "compression 2"),
        (0, Numbers([2, 3, 5], bytes(120)), "hidden states of shape"),
        (0, Numbers([24], bytes(96)), "hidden states of shape"),
        (0, Numbers([2, 0, 4]), "hidden states of shape"),
        (0, Numbers([1 << 31, 0, 4]), "hidden states of shape"),
        (0, Numbers([1, 1, 2, 3, 4], bytes(96)), "more than 4 dimensions"),
        (0, hidden(1, 33), "1 rows of 33 tokens"),
        (0, hidden(2, 21), "2 rows of 21 tokens"),
        (1, Numbers([3, 2, 1, 4], bytes(96)), "prompts of shape"),
        (1, Numbers([4, 3, 1, 4], bytes(192)), "prompts of shape"),
        (1, Numbers([4, 1, 4, 4], bytes(256)), "prompts of shape"),
        (1, Numbers([1]), "0 bytes are no tensor"),
        (2, Numbers([2], bytes(16)), "not one int64"),
        (2, Numbers([2], bytes(8), "int64"), "not one int64"),
        (2, Numbers([1, 2], bytes(16), "int64"), "not one int64"),
        (2, Numbers([2], (2).to_bytes(8, "little") + bytes(8), "int64"), "none of 2 rows"),
        (2, Numbers([2], b"\xff" * 16, "int64"), "none of 2 rows"),
    ],
)
def test_a_step_with_something_else_in_it_is_refused(place: int, tensor: Numbers, why: str) -> None:
    step = Step()
    step.tensors[place] = tensor

    with pytest.raises(BadClaim, match=why):
        step.check()


def test_prompts_and_hypotheses_that_fit_pass() -> None:
    step = Step()
    step.tensors[1] = Numbers([BLOCKS, 1, 2, 4], bytes(BLOCKS * 2 * 4 * 4))
    step.tensors[2] = Numbers([2], (1).to_bytes(8, "little") + bytes(8), "int64")

    assert step.check() == (2, 3)


def test_gradients_have_the_shape_of_the_hidden_states() -> None:
    assert check_backward([hidden(2, 3), hidden(2, 3), Numbers([0])], BLOCKS, SERVED) == (2, 3)
    with pytest.raises(BadClaim, match="gradients of another shape"):
        check_backward([hidden(2, 3), hidden(3, 2), Numbers([0])], BLOCKS, SERVED)


@pytest.mark.parametrize(("check", "number"), [(check_step, 3), (check_forward, 2), (check_backward, 3)])
def test_each_call_has_its_number_of_tensors(check: Any, number: int) -> None:
    with pytest.raises(BadClaim, match=f"{number + 1} tensors where {number} belong"):
        check([hidden(2, 3)] * (number + 1), BLOCKS, SERVED)
