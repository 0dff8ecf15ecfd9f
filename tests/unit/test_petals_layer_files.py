"""What was changed in the cache of layers is never used, and what a kill leaves there is put right."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from killed import killed_at
from layers import ALL, NEVER, PLENTY, filled, layer_size, named, names, there, write_model

from agents.petals.layers import disk
from agents.petals.layers.cache import Cache
from agents.petals.layers.index import BadIndex, file_of, read_index
from agents.petals.layers.verified import BadLayer, MissingLayers, read_layer

MANY = 60
"""More changes on disk than there are when a cache brings in two layers."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("at", [0, 9, 1000, -1])
def test_a_layer_with_a_flipped_bit_is_never_used_and_comes_again(at: int, model: Path, tmp_path: Path) -> None:
    cache = filled(model, tmp_path)
    file, path = named(tmp_path)["tiny", 2], file_of(tmp_path, ("tiny", 2))
    changed = bytearray(read_layer(tmp_path, "tiny", 2, file))
    changed[at] ^= 1
    path.write_bytes(changed)

    with pytest.raises(BadLayer, match=r"layer 2 of tiny was damaged in the cache: .* is removed"):
        read_layer(tmp_path, "tiny", 2, file)

    assert not path.exists()
    with pytest.raises(MissingLayers, match="has not the layers 2: neither"):
        read_layer(tmp_path, "tiny", 2, file)
    assert cache.keep(model, "tiny", NEVER).brought == (("tiny", 2),)
    assert read_layer(tmp_path, "tiny", 2, file)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def moved(path: Path) -> None:
    path.rename(path.parents[1] / "moved")
    path.symlink_to(path.parents[1] / "moved")


def moved_with_its_folder(path: Path) -> None:
    path.parent.rename(path.parents[1] / "moved")
    path.parent.symlink_to(path.parents[1] / "moved")


@pytest.mark.parametrize("spoil", [cut_short, moved, moved_with_its_folder, Path.unlink])
def test_a_file_that_is_not_what_the_index_says_is_let_go(spoil: Callable[[Path], None], model: Path, tmp_path: Path) -> None:
    filled(model, tmp_path)
    spoil(file_of(tmp_path, ("tiny", 0)))

    cache = Cache(tmp_path, PLENTY)

    assert 0 not in cache.held("tiny") and not file_of(tmp_path, ("tiny", 0)).is_symlink()
    assert ("tiny", 0) in cache.keep(model, "tiny", NEVER).brought
    assert cache.held("tiny") == [*ALL] and named(tmp_path).keys() == {("tiny", layer) for layer in ALL}


@pytest.mark.parametrize("spoil", [cut_short, moved])
def test_a_file_of_another_size_or_kind_is_not_even_read(spoil: Callable[[Path], None], model: Path, tmp_path: Path) -> None:
    filled(model, tmp_path)
    spoil(file_of(tmp_path, ("tiny", 0)))

    with pytest.raises(BadLayer):
        read_layer(tmp_path, "tiny", 0, named(tmp_path)["tiny", 0])


def test_what_the_index_does_not_name_goes_and_what_is_not_the_cache_s_stays(model: Path, tmp_path: Path) -> None:
    cache, outside = tmp_path / "cache", tmp_path / "outside"
    filled(model, cache)
    outside.mkdir()
    stray = [cache / "tiny" / "7.safetensors", cache / "tiny" / ".new-1", outside / "1.safetensors"]
    for path in (*stray, cache / "notes.txt", cache / "tiny" / "notes.txt"):
        path.write_bytes(b"?")
    (cache / "link").symlink_to(outside)

    Cache(cache, PLENTY)

    assert there(cache) == names("tiny", ALL) | {"notes.txt", "tiny/notes.txt"}
    assert not (cache / "link").exists() and (outside / "1.safetensors").exists()


def index(*layers: object) -> bytes:
    return json.dumps({"format": "zeropoint-layers-1", "layers": layers}).encode()


INDEXES = {
    "no JSON": b"{",
    "another format": b'{"format": "x", "layers": []}',
    "a path": index({"prefix": "../x", "layer": 0}),
    "no hash": index({"prefix": "a", "layer": 0, "file": {"sha256": "0", "size": 1}}),
    "no size": index({"prefix": "a", "layer": 0, "file": {"sha256": "0" * 64, "size": -1}}),
    "no layer": index({"prefix": "a", "layer": 9999}),
    "twice": index({"prefix": "a", "layer": 0}, {"prefix": "a", "layer": 0}),
    "endless uses": index({"prefix": "a", "layer": 0, "uses": 1e300}),
    "too many": index(*({"prefix": f"a{number}", "layer": 0} for number in range(20_000))),
    "too deep": b"[" * 100_000,
    "too long": b" " * (9 << 20),
}


@pytest.mark.parametrize("content", INDEXES.values(), ids=INDEXES)
def test_a_damaged_index_vouches_for_no_file(content: bytes, model: Path, tmp_path: Path) -> None:
    filled(model, tmp_path)
    (tmp_path / "index.json").write_bytes(content)

    with pytest.raises(BadIndex):
        read_index(tmp_path)
    assert Cache(tmp_path, PLENTY).held("tiny") == [] and there(tmp_path) == set()


def test_a_kill_at_any_moment_leaves_whole_layers_within_the_limit(model: Path, tmp_path: Path) -> None:
    kills, limit, old = 0, 3 * layer_size(model), tmp_path / "old"
    filled(model, old, limit)
    for touch in range(MANY):
        folder = tmp_path / str(touch)
        shutil.copytree(old, folder)
        cache = Cache(folder, limit)
        cache.count("new", 1, 3, 100)

        kills += (killed := killed_at(touch, partial(cache.keep, model, "new", NEVER)))

        assert sum((folder / name).stat().st_size for name in there(folder)) <= limit
        again = Cache(folder, limit)
        held = {(prefix, layer) for prefix in ("tiny", "new") for layer in again.held(prefix)}
        assert there(folder) == {f"{prefix}/{layer}.safetensors" for prefix, layer in held}
        assert all(read_layer(folder, *key, named(folder)[key]) for key in held)
        again.count("new", 1, 3, 100)
        again.keep(model, "new", NEVER)
        assert (again.held("new"), again.held("tiny")) == ([1, 2], [0])
        if not killed:
            break
    assert 10 < kills < MANY


def test_a_full_disk_is_said_and_costs_nothing_that_is_there(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = filled(model, tmp_path)
    cache.count("new", 0, 1, 100)
    monkeypatch.setattr(disk, "SPARE", 1 << 62)

    with pytest.raises(OSError, match=r"layer 0 of new has \d+ bytes, and \d+ are free") as full:
        cache.keep(model, "new", NEVER)

    assert full.value.errno == errno.ENOSPC and there(tmp_path) == names("tiny", ALL)
