"""The links of the fixed paths below `artifacts/`."""

from __future__ import annotations

from pathlib import Path


def point(link: Path, target: Path) -> None:
    """Let `link` lead to `target`, relative to its folder. A reader finds where it led before, or where it leads now."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)
