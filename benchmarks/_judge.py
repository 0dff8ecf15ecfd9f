"""Where PyTorch is: an environment of its own, .venvs/judge, in which none of our packages are."""

from __future__ import annotations

from pathlib import Path

_ENVIRONMENT = Path(__file__).parent.parent / ".venvs" / "judge"


class NoJudge(Exception):
    """The environment was not made; the text says how to."""


def find_judge() -> Path:
    """Its Python. Raises NoJudge."""
    if not (_ENVIRONMENT / "ready-judge").is_file() or (_ENVIRONMENT / "unfinished").exists():
        raise NoJudge("this needs PyTorch, which has an environment of its own: ./dev judge makes it")
    return _ENVIRONMENT / "bin" / "python"
