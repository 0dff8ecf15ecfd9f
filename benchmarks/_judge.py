"""Where PyTorch is: an environment of its own, .venvs/judge, in which none of our packages are."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = Path(__file__).parent.parent
_ENVIRONMENT = _CHECKOUT / ".venvs" / "judge"
_LOCK = _CHECKOUT / "tests" / "judge" / "requirements.lock"


class NoJudge(Exception):
    """The environment was not made; the text says how to."""


def find_judge() -> Path:
    """Its Python, with the PyTorch that the lock names. Raises NoJudge."""
    if not (_ENVIRONMENT / "ready-judge").is_file() or (_ENVIRONMENT / "unfinished").exists():
        raise NoJudge("this needs PyTorch, which has an environment of its own: ./dev judge makes it")
    (wanted,) = (line.strip().partition("==")[2] for line in _LOCK.read_text().splitlines() if line.startswith("torch=="))
    if not any(_ENVIRONMENT.glob(f"lib/python*/site-packages/torch-{wanted}*.dist-info")):
        raise NoJudge(f".venvs/judge has another PyTorch than {wanted}, which the lock names: ./dev judge makes it anew")
    return _ENVIRONMENT / "bin" / "python"
