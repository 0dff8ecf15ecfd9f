"""The cache of layers keeps what is used most, within its limit, and does not copy without need."""

from __future__ import annotations

import itertools
import random
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hf_folder import written
from hypothesis import given
from hypothesis import strategies as st
from layers import NEVER, PLENTY, TINY, filled, layer_size, names, there, write_model

from agents.parts import safetensors
from agents.parts.weights import Weights
from agents.petals.folder import BadFolder
from agents.petals.layers import choice
from agents.petals.layers.cache import FAINT, Cache
from agents.petals.layers.choice import HALF_LIFE, STAYING, Candidate, choose, decayed
from agents.petals.layers.index import file_of, read_index
from schemas.export import Precision


class Clock:
    """Seconds since 1970 that a test sets."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def weight(each: Candidate) -> float:
    return each.uses * (STAYING if each.kept else 1)


layers = st.builds(
    Candidate,
    prefix=st.sampled_from("ab"),
    layer=st.integers(0, 9),
    size=st.integers(1, 40),
    uses=st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 9.0]),
    kept=st.booleans(),
)
some_layers = st.lists(layers, unique_by=lambda each: (each.prefix, each.layer), max_size=12)
limits = st.integers(0, 200)


@given(some_layers, limits)
def test_what_is_kept_never_takes_more_than_the_limit(some: list[Candidate], limit: int) -> None:
    keep, _ = choose(some, limit)

    assert sum(each.size for each in keep) <= limit


@given(some_layers, limits)
def test_a_layer_is_left_out_only_where_hotter_ones_take_its_room(some: list[Candidate], limit: int) -> None:
    keep, _ = choose(some, limit)

    for out in (each for each in some if each not in keep and (each.kept or each.uses)):
        assert out.size + sum(each.size for each in keep if weight(each) >= weight(out)) > limit


@given(some_layers, limits)
def test_only_what_is_there_is_evicted_and_the_coldest_of_it_first(some: list[Candidate], limit: int) -> None:
    keep, evict = choose(some, limit)

    assert {each for each in some if each.kept} - set(keep) == set(evict)
    assert [weight(each) for each in evict] == sorted(weight(each) for each in evict)
    assert [weight(each) for each in keep] == sorted((weight(each) for each in keep), reverse=True)


@given(some_layers, limits)
def test_nothing_changes_a_second_time(some: list[Candidate], limit: int) -> None:
    keep, _ = choose(some, limit)
    then = {each: replace(each, kept=each in keep) for each in some}

    again, evict = choose(list(then.values()), limit)

    assert set(again) == {then[each] for each in keep} and evict == []


@given(some_layers, limits, st.integers())
def test_the_order_in_which_layers_are_named_does_not_matter(some: list[Candidate], limit: int, seed: int) -> None:
    shuffled = random.Random(seed).sample(some, len(some))

    assert choose(shuffled, limit) == choose(some, limit)


@given(st.integers(1, 40), st.floats(0.01, 1e6), st.floats(0.0, 1.99))
def test_a_layer_that_is_a_little_hotter_pushes_none_out(size: int, uses: float, times: float) -> None:
    present, other = Candidate("b", 0, size, uses, kept=True), Candidate("a", 0, size, uses * times, kept=False)

    assert choose([other, present], size) == ([present], [])


def test_of_equally_hot_layers_the_first_numbers_come() -> None:
    some = [Candidate("a", layer, 10, 5.0, kept=False) for layer in (3, 1, 2, 0)]

    assert [each.layer for each in choose(some, 25)[0]] == [0, 1]


def test_layers_are_bounded_in_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST", 3)
    some = [Candidate("a", layer, 1, 9.0 - layer, kept=layer == 5) for layer in range(6)]

    keep, evict = choose(some, PLENTY)

    assert ([each.layer for each in keep], [each.layer for each in evict]) == ([0, 5, 1], [])


def test_a_use_counts_half_after_each_half_life() -> None:
    assert decayed(8.0, 3 * HALF_LIFE) == pytest.approx(1.0)
    assert decayed(8.0, -5.0) == 8.0


def test_the_most_used_layers_are_brought_in(model: Path, tmp_path: Path) -> None:
    limit = 2 * layer_size(model)
    cache = Cache(tmp_path, limit)
    cache.count("tiny", 0, 4, 10)
    cache.count("tiny", 2, 4, 1)

    change = cache.keep(model, "tiny", NEVER)

    assert (change.brought, change.evicted) == ((("tiny", 2), ("tiny", 3)), ())
    assert cache.size == change.size == sum((tmp_path / name).stat().st_size for name in there(tmp_path)) == limit
    assert cache.held("tiny") == [2, 3] and there(tmp_path) == names("tiny", [2, 3])


def test_layers_that_nobody_used_are_not_brought_in(model: Path, tmp_path: Path) -> None:
    cache = Cache(tmp_path, PLENTY)
    cache.count("tiny", 1, 2, 1)

    assert cache.keep(model, "tiny", NEVER).brought == (("tiny", 1),)


def test_a_layer_s_file_has_its_tensors_as_the_model_has_them(model: Path, tmp_path: Path) -> None:
    filled(model, tmp_path)
    whole, _ = safetensors.decode((model / "model.safetensors").read_bytes())

    layer, _ = safetensors.decode(file_of(tmp_path, ("tiny", 3)).read_bytes())

    assert layer.keys() == {name for name in whole if name.startswith("model.layers.3.")}
    for name, array in layer.items():
        np.testing.assert_array_equal(array, whole[name], strict=True)


@pytest.mark.parametrize(("precision", "dtype"), [("float16", "F16"), ("bfloat16", "BF16")])
def test_the_bytes_of_a_model_in_shards_and_halves_are_not_converted(precision: Precision, dtype: str, tmp_path: Path) -> None:
    folder = written(tmp_path, TINY, precision, shard=1 << 19)
    shards = sorted(folder.glob("*.safetensors"))
    filled(folder, tmp_path / "cache")

    model, layer = Weights(shards), Weights([file_of(tmp_path / "cache", ("tiny", 1))])

    assert len(shards) > 2 and {layer.dtype(name) for name in layer.names} == {dtype}
    for name in layer.names:
        assert b"".join(layer.raw(name)) == b"".join(model.raw(name))


def test_of_a_part_of_a_model_only_whole_layers_come(tmp_path: Path) -> None:
    folder = written(tmp_path, TINY, "float16", shard=1 << 19)
    sorted(folder.glob("*.safetensors"))[1].unlink()

    cache = filled(folder, tmp_path / "cache")

    assert 0 < len(cache.held("tiny")) < TINY.layers


def test_a_skeleton_has_nothing_to_bring_and_takes_nothing_away(model: Path, tmp_path: Path) -> None:
    filled(model, tmp_path / "cache").save()
    cache = Cache(tmp_path / "cache", PLENTY)

    change = cache.keep(write_model(tmp_path / "skeleton", ()), "tiny", NEVER)

    assert (change.brought, change.evicted) == ((), ()) and cache.held("tiny") == [0, 1, 2, 3]


def test_a_folder_that_is_no_llama_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFolder, match=r"config\.json"):
        Cache(tmp_path / "cache", PLENTY).keep(tmp_path, "tiny", NEVER)


def test_yesterday_s_model_makes_room(model: Path, tmp_path: Path, clock: Clock) -> None:
    cache = Cache(tmp_path, 4 * layer_size(model), clock)
    cache.count("old", 0, 4, 1000)
    cache.keep(model, "old", NEVER)
    clock.now += 24 * 3600
    cache.count("new", 0, 3, 600)

    change = cache.keep(model, "new", NEVER)

    assert change.brought == (("new", 0), ("new", 1), ("new", 2))
    assert change.evicted == (("old", 3), ("old", 2), ("old", 1))
    assert there(tmp_path) == names("old", [0]) | names("new", range(3))


def test_two_models_that_are_used_in_turn_do_not_push_each_other_out(model: Path, tmp_path: Path, clock: Clock) -> None:
    cache, first = Cache(tmp_path, 4 * layer_size(model), clock), tuple(("a", layer) for layer in range(4))
    for turn, name in enumerate(itertools.islice(itertools.cycle("ab"), 20)):
        cache.count(name, 0, 4, 100)
        change = cache.keep(model, name, NEVER)
        clock.now += 600

        assert (change.brought, change.evicted) == (() if turn else first, ())


def test_a_lower_limit_is_kept_to_from_the_next_time_on(model: Path, tmp_path: Path) -> None:
    filled(model, tmp_path)

    change = Cache(tmp_path, layer_size(model)).keep(model, "tiny", NEVER)

    assert change.evicted == (("tiny", 3), ("tiny", 2), ("tiny", 1))
    assert change.size == layer_size(model)


def test_who_is_cancelled_brings_in_nothing_more(model: Path, tmp_path: Path) -> None:
    cache, cancelled = Cache(tmp_path, PLENTY), threading.Event()
    cache.count("tiny", 0, 4, 1)
    cancelled.set()

    assert cache.keep(model, "tiny", cancelled).brought == () and there(tmp_path) == set()


def test_counts_are_there_after_a_restart_and_fade(tmp_path: Path, clock: Clock) -> None:
    cache = Cache(tmp_path, PLENTY, clock)
    cache.count("tiny", 1, 3, 4)
    cache.save()
    clock.now += HALF_LIFE
    again = Cache(tmp_path, PLENTY, clock)
    again.count("tiny", 2, 3, 1)
    again.save()
    assert {key: entry.uses for key, entry in read_index(tmp_path).items()} == {("tiny", 1): 4.0, ("tiny", 2): 3.0}

    clock.now += 20 * HALF_LIFE
    again.save()
    assert read_index(tmp_path) == {} and decayed(4, 20 * HALF_LIFE) < FAINT


def test_uses_of_the_future_count_as_of_now(tmp_path: Path, clock: Clock) -> None:
    clock.now = 5e9
    ahead = Cache(tmp_path, PLENTY, clock)
    ahead.count("tiny", 0, 1, 4)
    ahead.save()
    clock.now = 1e9
    cache = Cache(tmp_path, PLENTY, clock)
    clock.now += HALF_LIFE
    cache.count("tiny", 0, 1, 0)
    cache.save()

    assert read_index(tmp_path)["tiny", 0].uses == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("prefix", "start", "end", "tokens"), [("../x", 0, 1, 1), ("a", 1, 1, 1), ("a", -1, 1, 1), ("a", 0, 1025, 1), ("a", 0, 1, -1)]
)
def test_uses_of_what_is_no_layer_are_refused(prefix: str, start: int, end: int, tokens: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model has such layers"):
        Cache(tmp_path, PLENTY).count(prefix, start, end, tokens)
