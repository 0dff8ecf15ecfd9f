"""`bus verify`, and the parts that it is made of: each reads the log or the store, and says what does not hold."""

from bus.cli.verify.verb import verify

__all__ = ["verify"]
