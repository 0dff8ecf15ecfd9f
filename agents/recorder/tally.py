"""Counting events by topic, where strangers choose the topics: neither theirs nor inboxes may pile up."""

from __future__ import annotations

from collections.abc import Mapping

MOST_TOPICS = 256
"""Topics that are counted apart; what comes after them is `other`."""


def counted_as(topic: str, counts: Mapping[str, int]) -> str:
    """The name under which `counts` has a topic, or is to have it: every command line has a reply topic of its own, so those are one."""
    if topic.startswith(("command.", "reply.")):
        return f"{topic.partition('.')[0]}."
    return topic if topic in counts or len(counts) < MOST_TOPICS else "other"
