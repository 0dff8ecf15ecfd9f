"""MOCKS_DISABLED, as a check over sources: nothing that agents or the bus are made of may stand in for the real thing."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

STAND_INS = (
    *("bus.testing", "tests"),
    *("unittest", "pytest", "_pytest", "pytest_mock", "doctest", "hypothesis"),
    *("mock", "flexmock", "mockito", "pyfakefs", "freezegun", "time_machine", "fakeredis", "moto"),
    *("responses", "respx", "requests_mock", "httpretty", "pook", "vcr", "betamax", "pytest_httpserver"),
    *("faker", "factory", "mimesis", "polyfactory", "model_bakery"),
)
"""Modules that imitate or make up what an agent should meet in earnest: ours, then those of tests, of objects, of networks, of data."""

_IMPORTING_CALLS = ("import_module", "__import__")


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One place in the sources that MOCKS_DISABLED forbids."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def violations(package_roots: Iterable[Path]) -> list[Violation]:
    """Every import of a stand-in and every raised NotImplementedError in these packages, by file and line.

    A root is the folder of a top-level package, such as `bus/`. Imports count wherever they are: in a function, relative, or by a literal
    name (`import_module("unittest.mock")`); a name that is computed is out of reach. Raises SyntaxError for a file that is no Python.
    """
    return sorted(found for root in package_roots for path in root.rglob("*.py") for found in _in_file(path, root))


def _in_file(path: Path, root: Path) -> Iterator[Violation]:
    package = (root.name, *path.relative_to(root).parts[:-1])
    for node in ast.walk(ast.parse(path.read_bytes(), filename=str(path))):
        if isinstance(node, ast.stmt | ast.expr):
            for what in _faults(node, package):
                yield Violation(path, node.lineno, what)


def _faults(node: ast.stmt | ast.expr, package: tuple[str, ...]) -> Iterator[str]:
    match node:
        case ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError"))):
            yield "raises NotImplementedError: a stub"
        case _:
            if named := [name for name in _imported(node, package) if _is_stand_in(name)]:
                yield f"imports {named[-1]}"


def _imported(node: ast.stmt | ast.expr, package: tuple[str, ...]) -> list[str]:
    """The absolute names of all that this node may import; `from a import b` names both a and a.b."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            return [module, *(f"{module}.{alias.name}" for alias in node.names)]
        case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called), args=[ast.Constant(value=str(name)), *_]):
            return [name] if called in _IMPORTING_CALLS else []
    return []


def _is_stand_in(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in STAND_INS)
