"""An agent's environment: what of its lock goes where, which Python it is made of, when it is made anew, and what is said meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.cli import checks
from bus.environment.command import why
from bus.environment.errors import BadLock, EnvironmentFailed
from bus.environment.interpreter import Interpreter, find
from bus.environment.lockfile import Install, Lock, Needs, constraints_of, installs, read_lock
from bus.environment.making import make, shorten
from bus.environment.place import Place, asked_for
from bus.environment.progress import Throttle, described
from bus.lifecycle import EnvironmentChanged
from bus.lock import hold

HEAD = '# The stack of 2023.\n# /// environment\n# python = ["3.11", "3.12"]  # why\n# free_gib = 8\n'
TABLE = f'{HEAD}# with_dependencies = ["torch"]\n# from_source = ["python-baseconv"]\n# ///\n'
LOCK = f"{TABLE}torch==2.13.0\nnumpy==2.4.6\npython_baseconv==1.2.2\n"
CONSTRAINTS = Path("constraints.txt")


def write(folder: Path, text: str = LOCK) -> Place:
    place = Place("petals", folder / "agents", folder / "venvs")
    place.lock.parent.mkdir(parents=True, exist_ok=True)
    place.lock.write_text(text)
    return place


def finished(folder: Path) -> Place:
    """An environment of nothing but its interpreter, and its stamp."""
    place = write(folder)
    python = Interpreter(".".join(map(str, sys.version_info[:3])), Path(sys.executable).resolve())
    for made in (place.scratch, place.python.parent, place.folder / "lib" / f"python{python.minor}" / "site-packages"):
        made.mkdir(parents=True)
    place.python.symlink_to(python.path)
    place.finish(read_lock(place.lock), python)
    return place


def pinned(steps: Iterable[Install]) -> list[str]:
    return [argument.partition("==")[0] for step in steps for argument in step.arguments if "==" in argument]


def making(doing: str) -> EnvironmentChanged:
    return EnvironmentChanged(agent="petals", state="making", done=1, total=4, doing=doing)


def test_torch_comes_with_what_it_needs_and_everything_else_as_it_stands(tmp_path: Path) -> None:
    lock = read_lock(write(tmp_path).lock)
    torch, rest, built = installs(lock, CONSTRAINTS)

    assert torch.arguments == ("--only-binary=:all:", "--constraint", "constraints.txt", "torch==2.13.0")
    assert rest.arguments == ("--no-deps", "--only-binary=:all:", "numpy==2.4.6")
    assert built.arguments == ("--no-deps", "--no-build-isolation", "--use-pep517", "python_baseconv==1.2.2")
    assert constraints_of(lock) == "numpy==2.4.6\npython_baseconv==1.2.2\n"


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.sampled_from(["with", "without", "built"]), max_size=8))
def test_each_package_is_installed_once_and_only_as_the_lock_says(kinds: dict[str, str]) -> None:
    of = {kind: [name for name in kinds if kinds[name] == kind] for kind in ("with", "without", "built")}
    needs = Needs(python=["3.11"], free_gib=1, with_dependencies=of["with"], from_source=of["built"])
    steps = installs(Lock("", needs, {name: f"{name}==1" for name in kinds}), CONSTRAINTS)

    assert sorted(pinned(steps)) == sorted(kinds)
    assert pinned(step for step in steps if "--no-deps" not in step.arguments) == of["with"]
    assert pinned(step for step in steps if "--only-binary=:all:" not in step.arguments) == of["built"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("numpy==2.4.6\n", "which Python"),
        (f"{HEAD}# ///\nnumpy>=2\n", "want NAME==VERSION"),
        (f"{HEAD}# ///\nnumpy==2 --hash=sha256:0\n", "want NAME==VERSION"),
        (f"{HEAD}# ///\nA_b==2\na-B==3\n", "twice"),
        (f'{HEAD}# from_source = ["varint"]\n# ///\nnumpy==2\n', "varint"),
        (f"{HEAD}# pyhton = []\n# ///\nnumpy==2\n", "pyhton"),
        ('# /// environment\n# python = ["3"]\n# free_gib = 8\n# ///\n', "python"),
        ("# /// environment\n# python = [\n# ///\n", "lock"),
    ],
)
def test_a_lock_that_does_not_say_what_it_needs_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BadLock, match=reason):
        read_lock(write(tmp_path, text).lock)


def test_the_locks_of_our_agents_can_be_read_and_hivemind_is_never_built() -> None:
    locks = {name: read_lock(Place(name).lock) for name in asked_for()}

    assert "petals" in locks
    assert locks["petals"].needs.with_dependencies == ["torch"]
    assert "hivemind" not in {name for lock in locks.values() for name in lock.needs.from_source}


@pytest.mark.parametrize(
    ("machine", "found"),
    [
        ({sys.executable: "3.12.1", "python3.11": "3.11.2"}, "3.12.1"),
        ({sys.executable: "3.14.0", "python3.11": "3.11.2", "python3.12": "3.12.1"}, "3.11.2"),
        ({sys.executable: "3.14.0", "python3.11": "3.13.0", "python3.12": "3.12.1"}, "3.12.1"),
    ],
)
def test_the_python_that_runs_is_taken_where_it_fits_else_one_that_does(machine: dict[str, str], found: str) -> None:
    def look(command: str) -> Interpreter | None:
        return Interpreter(machine[command], Path("/base")) if command in machine else None

    assert find(["3.11", "3.12"], look).version == found


def test_without_a_python_that_fits_it_is_said_which_would() -> None:
    with pytest.raises(EnvironmentFailed, match=r"Python 3\.11 or 3\.12.*python3\.11, python3\.12.*python3\.11-venv"):
        find(["3.11", "3.12"], lambda _: Interpreter("3.9.1", Path("/base")))


def test_what_was_made_to_its_end_is_ready(tmp_path: Path) -> None:
    place = finished(tmp_path)

    assert place.missing() is None
    assert [change.state for change in make(place)] == ["ready"]
    assert [check.state for check in checks.environments(place.agents, place.environments)] == ["ok"]


def test_an_environment_without_a_stamp_is_made_anew(tmp_path: Path) -> None:
    place = write(tmp_path)
    assert place.missing() == "not made"
    place.folder.mkdir(parents=True)
    assert place.missing() == "not finished"


def test_another_lock_another_checkout_or_another_interpreter_makes_it_anew(tmp_path: Path) -> None:
    place = finished(tmp_path)
    stamp = place.folder / "made-from.json"
    written = stamp.read_text()
    place.lock.write_text(f"{LOCK}six==1.17.0\n")
    assert place.missing() == "made from another lock"
    place.lock.write_text(LOCK)
    stamp.write_text(written.replace('"checkout":"', '"checkout":"/elsewhere'))
    assert "/elsewhere" in str(place.missing())
    stamp.write_text("{")
    assert "cannot be read" in str(place.missing())
    stamp.write_text(written)
    place.python.unlink()
    assert "is gone" in str(place.missing())


def test_what_is_removed_never_looks_whole(tmp_path: Path) -> None:
    place = finished(tmp_path)
    place.clear()

    assert place.missing() == "not made"
    place.clear()


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/a"])
def test_only_a_name_has_a_folder_that_may_be_removed(name: str) -> None:
    with pytest.raises(ValueError, match="agent"):
        Place(name)


def test_a_disk_without_room_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed, match="needs 1e\\+09 GiB"):
        write(tmp_path).check_room(1e9)


def test_who_comes_second_waits_for_the_first(tmp_path: Path) -> None:
    place = write(tmp_path)
    with hold(place.turn, "another"):
        changes = make(place)
        assert "another process" in described(next(changes))
        (check,) = checks.environments(place.agents, place.environments)
        finished(tmp_path)

    assert (check.state, check.found) == ("note", "it is being made")
    assert [change.state for change in changes] == ["ready"]


def test_the_doctor_says_how_to_make_what_is_not_made(tmp_path: Path) -> None:
    place = write(tmp_path)
    (check,) = checks.environments(place.agents, place.environments)

    assert (check.name, check.state, check.mend) == (".venvs/petals", "note", "./dev environment petals")
    assert check.found.startswith("not made")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=50))
def test_progress_is_said_at_most_every_two_seconds_and_never_twice(news: list[tuple[int, int]]) -> None:
    throttle, now, said = Throttle(), 0, []
    for pause, step in news:
        now += pause
        if throttle.passes(making(str(step)), now):
            said.append((now, step))

    assert all(later[0] - earlier[0] >= 2.0 and later[1] != earlier[1] for earlier, later in pairwise(said))
    assert throttle.passes(EnvironmentChanged(agent="petals", state="ready"), now)


def test_the_newest_is_said_when_its_time_has_come() -> None:
    throttle = Throttle()

    assert throttle.passes(making("a"), 10.0)
    assert not throttle.passes(making("b"), 11.0)
    assert throttle.passes(making("b"), 12.0)
    assert not throttle.passes(making("b"), 20.0)


def test_how_far_it_is_reads_as_a_sentence() -> None:
    assert described(making("installing torch")) == "making its environment: installing torch (2 of 4)"
    assert described(EnvironmentChanged(agent="petals", state="failed", reason="no room")) == "its environment could not be made: no room"


@pytest.mark.parametrize(
    ("line", "short"),
    [
        ("  Downloading https://user:key@host/simple/torch-2.13.0.whl (526.6 MB)", "Downloading torch-2.13.0.whl (526.6 MB)"),
        ("Collecting torch==2.13.0", "Collecting torch==2.13.0"),
        ("Looking in links: /opt/wheels", None),
        ("", None),
    ],
)
def test_of_what_pip_says_only_what_it_is_at_is_followed(line: str, short: str | None) -> None:
    assert shorten(line) == short
    assert len(shorten("Collecting " + "x" * 1000) or "") == 100


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["ERROR: No matching distribution found for hivemind==1.1.12"], "built from source"),
        (["WARNING: Retrying (Retry(total=0))", "ERROR: No matching distribution found for six==1"], "no package index answers"),
        (
            [
                "ERROR: Cannot install a and b because these package versions have conflicting dependencies.",
                "ERROR: ResolutionImpossible: see",
            ],
            "Cannot install a and b",
        ),
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", ""], "No space left"),
        (["Error: Command '…ensurepip' returned non-zero exit status 1."], "ensurepip"),
    ],
)
def test_the_reason_of_a_failure_is_what_pip_said_last(lines: list[str], reason: str) -> None:
    assert reason in why(lines)
