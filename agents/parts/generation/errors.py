"""What can be wrong with a model, and with what is asked of it."""

from __future__ import annotations


class BadRequest(ValueError):
    """Something that no model can write, or that is beyond a bound; the message says which."""
