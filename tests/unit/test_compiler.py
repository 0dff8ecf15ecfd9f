"""tinygrad gets a compiler where there is one, and the real cause is named where its device does not open."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.parts import compiler
from agents.parts.compiler import choose_compiler


def program(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def clang(path: Path, body: str = "exit 0") -> str:
    return program(path, f'[ "$1" != --version ] || exec echo Debian clang version 14\n{body}')


def test_a_clang_that_is_chosen_or_found_is_taken(tmp_path: Path) -> None:
    found, chosen = clang(tmp_path / "clang"), clang(tmp_path / "clang-19")

    assert choose_compiler({"PATH": str(tmp_path)}) == found
    assert choose_compiler({"CC": chosen, "PATH": str(tmp_path)}) == chosen


def test_a_cc_that_is_no_clang_is_passed_over(tmp_path: Path) -> None:
    found, gcc = clang(tmp_path / "clang"), program(tmp_path / "gcc", "echo gcc 12.2")

    for other in (gcc, str(tmp_path / "none")):
        environ = {"CC": other, "PATH": str(tmp_path)}
        assert choose_compiler(environ) == found == environ["CC"]


@pytest.mark.parametrize(
    ("target", "zig_target"),
    [("x86_64-none-unknown-elf", "x86_64-freestanding-none"), ("arm64-none-unknown-elf", "aarch64-freestanding-none")],
)
def test_zig_stands_in_for_clang_behind_its_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, zig_target: str
) -> None:
    zig = program(tmp_path / "zig's own", 'printf "%s\\n" "$@"')
    monkeypatch.setattr(compiler, "_zig", lambda: Path(zig))
    environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    wrapper = choose_compiler(environ)

    assert wrapper == environ["CC"]
    said = subprocess.run([wrapper, "-O2", f"--target={target}", "a b", "-"], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["cc", "-O2", f"--target={zig_target}", "a b", "-", "-fno-sanitize=undefined", "-g0"]


def test_without_any_compiler_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_zig", lambda: None)

    assert choose_compiler({"PATH": str(tmp_path)}) is None


def failure(**environ: str) -> str:
    """What open_device says in a fresh process."""
    script = "from agents.parts.compiler import NoDevice, open_device\ntry: open_device()\nexcept NoDevice as error: print(error)"
    settings = {**os.environ, "DEV": "CPU", **environ}
    asked = subprocess.run([sys.executable, "-c", script], env=settings, capture_output=True, text=True, timeout=100, check=True)
    return asked.stdout


def test_a_compiler_that_fails_is_named_with_what_it_said(tmp_path: Path) -> None:
    broken = clang(tmp_path / "cc", "echo no licence >&2; exit 3")

    said = failure(CC=broken, CACHEDB=str(tmp_path / "db"), CACHELEVEL="2")

    assert f"the C compiler {broken} failed with exit code 3 (no licence)" in said
    assert "./dev setup" in said


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    said = failure(CACHEDB=str(tmp_path / "file" / "db"), CACHELEVEL="2")

    assert f"tinygrad's cache {tmp_path}/file/db cannot be written" in said
