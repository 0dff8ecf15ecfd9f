"""What ends a run before its last step."""

from __future__ import annotations


class Diverged(ArithmeticError):
    """The loss is no number any more: the learning rate is too high for this text."""


class DataChanged(ValueError):
    """A run cannot go on: its data is no longer what it began with."""


class Interrupted(Exception):
    """A run was told to stop before it had begun."""


class CrashLoop(RuntimeError):
    """A run ended its process too often to be tried again."""
