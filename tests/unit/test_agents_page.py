"""The agent on docs/agents.md, taken from the page as it stands: its own test passes, and so does the count of its lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
FILES = ("schemas/watch.py", "agents/watch/agent.py", "tests/unit/test_watch.py")
OVERLAY = """
import sys, pytest, agents, schemas
for package in (agents, schemas):
    package.__path__.append(package.__name__)
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "tests/unit/test_watch.py"]))
"""


def write_files(folder: Path) -> str:
    """The page's files below `folder`, each named in the heading above its block. Returns all their text."""
    text = PAGE.read_text()
    for name in FILES:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.search(rf"^## [^\n]*`{name}`.*?```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)[1])
    (folder / "agents/watch/__init__.py").touch()
    return "".join((folder / name).read_text() for name in FILES)


def test_the_page_s_agent_passes_the_page_s_test(tmp_path: Path) -> None:
    text = write_files(tmp_path)
    result = subprocess.run([sys.executable, "-c", OVERLAY], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
    assert len([line for line in text.splitlines() if line.strip()]) < 60
