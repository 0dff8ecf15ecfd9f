"""A real browser, Debian's Chromium without a window, and a headset in it: npm's iwer, a WebXR runtime of JavaScript."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

IWER = "iwer@2.5.0"
INSTALL_TIMEOUT = 100.0
PATIENCE = 15_000.0
"""Milliseconds that a page may take for anything."""
FLAGS = [
    "--no-sandbox",  # CI is root
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",  # WebGL without a graphics card
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WORN = "globalThis.headset = new IWER.XRDevice(IWER.metaQuest3, { stereoEnabled: false }); headset.installRuntime({ forceInstall: true });"


@contextmanager
def browsing() -> Iterator[Browser]:
    """A browser with nothing in it. Skips the test where there is no Chromium."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium not found: pages are tested in a real browser")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS, timeout=2 * PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


def headset(folder: Path) -> str:
    """A script for a page to begin with: it has a headset on then, `headset`. Skips the test where there is no npm."""
    if shutil.which("npm") is None:
        pytest.skip("npm not found: the headset is a package of npm")
    install = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), IWER]
    installed = subprocess.run(install, capture_output=True, text=True, timeout=INSTALL_TIMEOUT, check=False)
    assert installed.returncode == 0, installed.stderr
    return (folder / "node_modules" / "iwer" / "build" / "iwer.min.js").read_text() + WORN
