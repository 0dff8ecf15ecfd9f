"""What a file of a scene can be refused for."""

from __future__ import annotations


class BadScene(ValueError):
    """A scene that is not shown. `where` is the place in it, a JSON pointer (RFC 6901) or an actor; the message says it and why."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
