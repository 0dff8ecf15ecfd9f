"""JSON is read with names in any case, strictly or not, and never raises anything but Unreadable."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from agents.engine.remote.reading import Reader, Unreadable
from agents.engine.remote.requests import Batch, Call
from agents.engine.remote.values import WORLD_MAX, FQuat, FScale, FTransform, FVector

NUMBERS = st.floats(-WORLD_MAX, WORLD_MAX)
TRANSFORMS = st.builds(
    FTransform,
    st.builds(FQuat, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.builds(FVector, NUMBERS, NUMBERS, NUMBERS),
    st.builds(FScale, NUMBERS, NUMBERS, NUMBERS),
)
READER = Reader(FTransform)


def respelled(value: Any, chance: random.Random) -> Any:  # Any: JSON
    """The same, with each letter of a name in either case."""
    if not isinstance(value, dict):
        return value
    return {"".join(chance.choice((c.lower(), c.upper())) for c in name): respelled(each, chance) for name, each in value.items()}


@given(TRANSFORMS, st.randoms(use_true_random=False))
def test_a_value_is_the_same_in_whatever_case_its_names_are(transform: FTransform, chance: random.Random) -> None:
    told = respelled(msgspec.to_builtins(transform), chance)

    assert READER.read(msgspec.json.encode(told)) == transform


@given(TRANSFORMS, st.sets(st.sampled_from(["Rotation", "Translation", "Scale3D"])))
def test_what_is_told_over_a_value_replaces_it_and_the_rest_stays(current: FTransform, told: set[str]) -> None:
    read = READER.read_over(msgspec.json.encode({name: {} for name in told}), current)

    identity = FTransform()
    assert read == FTransform(*(getattr(identity if name in told else current, name) for name in ("Rotation", "Translation", "Scale3D")))


def test_names_inside_of_a_list_are_read_in_any_case_too() -> None:
    read = Reader(Batch).read(b'{"requests":[{"url":"/remote/info","VERB":"GET","requestid":4}]}')

    assert (read.Requests[0].URL, read.Requests[0].RequestId) == ("/remote/info", 4)


def test_what_is_not_read_yet_stays_as_it_came() -> None:
    read = Reader(Call, lenient=True).read(b'{"ObjectPath":"a","functionName":"b","Parameters":{"newLocation":{"x":1}}}')

    assert bytes(read.parameters) == b'{"newLocation":{"x":1}}'


def test_a_name_that_is_not_known_is_skipped_or_refused_as_the_reader_is() -> None:
    body = b'{"objectPath":"a","functionName":"b","extra":1}'

    assert Reader(Call, lenient=True).read(body).objectPath == "a"
    with pytest.raises(Unreadable, match="extra"):
        Reader(Call).read(body)


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff", b'"\\ud800"', b"1" * 5000, b"1e999"])
def test_what_is_no_json_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        READER.read(body)
    with pytest.raises(Unreadable):
        READER.read_over(Raw(body), FTransform())


def test_an_error_says_no_more_of_a_long_name_than_can_be_read() -> None:
    with pytest.raises(Unreadable) as error:
        READER.read(b'{"%b":1}' % (b"x" * 100_000))

    assert len(str(error.value)) < 300
