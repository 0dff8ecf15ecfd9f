"""The artifact store keeps whole files under their hash."""

import hashlib
from pathlib import Path

import pytest

from bus.store import NotInStore, Store


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_bytes_are_kept_under_their_sha256(tmp_path: Path) -> None:
    stored = Store(tmp_path).put(b"weights")

    digest = hashlib.sha256(b"weights").hexdigest()
    assert (stored.hash, stored.size, stored.path) == (digest, 7, f"store/{digest[:2]}/{digest}")
    assert (tmp_path / stored.path).read_bytes() == b"weights"


def test_a_file_is_copied_and_left_where_it_was(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 3_000_000)

    stored = Store(tmp_path).put(source)

    assert Store(tmp_path).read(stored.hash) == source.read_bytes()


def test_the_same_content_is_kept_once_and_no_temporary_file_stays(tmp_path: Path) -> None:
    store = Store(tmp_path)

    assert store.put(b"twice") == store.put(b"twice")

    assert files_in(tmp_path) == [store.path(hashlib.sha256(b"twice").hexdigest())]


def test_a_failed_copy_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Store(tmp_path).put(tmp_path / "missing")

    assert files_in(tmp_path) == []


@pytest.mark.parametrize("digest", ["0" * 64, "../../etc/passwd", "", "A" * 64])
def test_an_unknown_hash_is_said_to_be_unknown(tmp_path: Path, digest: str) -> None:
    with pytest.raises(NotInStore, match="hash"):
        Store(tmp_path).path(digest)


def test_changed_content_is_never_handed_out(tmp_path: Path) -> None:
    stored = Store(tmp_path).put(b"original")
    path = tmp_path / stored.path
    path.chmod(0o644)
    path.write_bytes(b"tampered")

    with pytest.raises(NotInStore, match="changed"):
        Store(tmp_path).read(stored.hash)


@pytest.mark.parametrize("left", [b"", b"tampered", b"origin"])
def test_what_was_changed_in_the_store_is_made_good_by_who_puts_it_again(tmp_path: Path, left: bytes) -> None:
    stored = Store(tmp_path).put(b"original")
    path = tmp_path / stored.path
    path.chmod(0o644)
    path.write_bytes(left)

    assert Store(tmp_path).put(b"original") == stored
    assert Store(tmp_path).read(stored.hash) == b"original"
    assert files_in(tmp_path) == [path]


def test_a_file_is_synced_through_the_drive_s_cache_where_the_system_has_a_call_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("bus.log.disk._FULLFSYNC", 51)
    monkeypatch.setattr("bus.log.disk.fcntl.fcntl", lambda fd, request: asked.append(request))

    Store(tmp_path).put(b"weights")
    assert asked == [51]


def test_the_names_of_new_folders_are_durable_as_the_file_s_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr("bus.log.disk.sync_folder", synced.append)
    monkeypatch.setattr("bus.store.sync_folder", synced.append)

    stored = Store(tmp_path / "artifacts").put(b"weights")
    assert synced == [tmp_path, tmp_path / "artifacts", tmp_path / "artifacts" / "store", (tmp_path / "artifacts" / stored.path).parent]
