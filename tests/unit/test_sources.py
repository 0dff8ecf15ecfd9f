"""What holds for every source file of ours, and for the files that set the project up."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.honesty import violations

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGES = [CHECKOUT / name for name in ("bus", "agents", "schemas")]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
LONGEST = 350
LOCKS = ["requirements.lock", "tests/judge/requirements.lock", "agents/petals/requirements.lock"]


def lines_of(name: str) -> list[str]:
    return (CHECKOUT / name).read_text().splitlines()


def distribution(requirement: str) -> str:
    """Its name as indexes compare names (the specification "Names and normalization")."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s<>=!~\[;]", requirement)[0]).lower()


def asked_for() -> set[str]:
    """The distributions that pyproject.toml names, for the build, the core and all extras."""
    declared = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    project = declared["project"]
    lists = [declared["build-system"]["requires"], project["dependencies"], *project["optional-dependencies"].values()]
    return {distribution(requirement) for each in lists for requirement in each}


def pins(lock: str) -> list[str]:
    return [line for line in lines_of(lock) if line and not line.startswith("#")]


def comments(path: Path) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def plant(folder: Path, source: str) -> list[str]:
    """What `violations` says of a package `agents` with this one line in agents/liar/agent.py."""
    module = folder / "agents" / "liar" / "agent.py"
    module.parent.mkdir(parents=True)
    module.write_text(f'"""An agent."""\n\n{source}\n')
    return [f"{found.path.relative_to(folder)}:{found.line} {found.what}" for found in violations([folder / "agents"])]


def test_nothing_in_our_packages_stands_in_for_the_real_thing() -> None:
    assert len(MODULES) > 20
    assert [str(found) for found in violations(PACKAGES)] == []


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import unittest.mock", "imports unittest.mock"),
        ("from unittest import mock", "imports unittest.mock"),
        ("from mock import Mock", "imports mock.Mock"),
        ("import numpy, pytest as quiet", "imports pytest"),
        ("def start(): from hypothesis import strategies", "imports hypothesis.strategies"),
        ("from bus import testing", "imports bus.testing"),
        ("from bus.testing import FakeBus", "imports bus.testing.FakeBus"),
        ("import importlib; importlib.import_module('unittest.mock')", "imports unittest.mock"),
        ("__import__('faker')", "imports faker"),
        ("def start(): raise NotImplementedError", "raises NotImplementedError: a stub"),
        ("def start(): raise NotImplementedError('later')", "raises NotImplementedError: a stub"),
    ],
)
def test_a_planted_stand_in_is_found_with_its_line(tmp_path: Path, source: str, what: str) -> None:
    assert plant(tmp_path, source) == [f"agents/liar/agent.py:3 {what}"]


def test_a_relative_import_of_a_stand_in_is_found(tmp_path: Path) -> None:
    module = tmp_path / "bus" / "log" / "log.py"
    module.parent.mkdir(parents=True)
    module.write_text("from ..testing import FakeBus\nfrom .. import testing\nfrom . import records\n")
    assert [found.line for found in violations([tmp_path / "bus"])] == [1, 2]


@pytest.mark.parametrize("source", ["from agents.mocking import x", "import mockery", "name = 'unittest.mock'", "open('mock')"])
def test_what_only_sounds_like_a_stand_in_is_let_through(tmp_path: Path, source: str) -> None:
    assert plant(tmp_path, source) == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in MODULES if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []


def test_no_module_is_longer_than_a_reader_s_patience() -> None:
    assert {path: count for path in MODULES if (count := len(path.read_text().splitlines())) > LONGEST} == {}


def test_no_comment_puts_work_off() -> None:
    later = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    assert [f"{path}:{line}" for path in MODULES for line, comment in comments(path) if later.search(comment)] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_package_to_one_version(lock: str) -> None:
    assert [line for line in pins(lock) if not re.fullmatch(r"[A-Za-z0-9][\w.-]*==[\w.!]+( ; .+)?", line)] == []
    assert len({distribution(line) for line in pins(lock)}) == len(pins(lock))


def test_the_lock_pins_every_package_that_the_project_asks_for() -> None:
    assert asked_for() - {distribution(line) for line in pins("requirements.lock")} == set()


@pytest.mark.parametrize("name", [*LOCKS, "dev", ".ci/run", "pyproject.toml", "Procfile"])
def test_no_index_and_no_address_is_named_where_the_project_is_set_up(name: str) -> None:
    address = re.compile(r"://|pypi\.|index-url|find-links|--index|trusted-host")
    assert [line for line in lines_of(name) if address.search(line)] == []
