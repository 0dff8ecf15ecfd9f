"""Makes tinygrad quick to compile in tests, and a skipped test a failure under CI, where everything that a test needs is installed."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import pytest

_CHECKOUT = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
_CACHE = Path(tempfile.gettempdir()) / f"zeropoint-tests-{os.getuid()}-{_CHECKOUT}"

# Before any test module imports tinygrad, which reads them then. Kernels stay unoptimised, and nothing is cached outside the process:
# tinygrad's cache belongs to one thread, and every agent under test has its own.
os.environ.setdefault("NOOPT", "1")
os.environ.setdefault("CACHELEVEL", "0")
os.environ.setdefault("XDG_CACHE_HOME", str(_CACHE))
os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(_CACHE / "zig"))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def judge() -> Path:
    """The Python that has PyTorch and transformers; skips the test where it was not made."""
    from benchmarks._judge import NoJudge, find_judge  # found from the checkout, where `python -m pytest` starts

    try:
        return find_judge()
    except NoJudge as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def swarm_python() -> Path:
    """The Python that has the stack of the swarm; skips the test where it was not made."""
    from bus.environment.place import Place

    place = Place("petals")
    if (reason := place.missing()) is not None:
        pytest.skip(f"this needs Petals, which has an environment of its own ({reason}): ./dev environment petals makes it")
    return place.python
