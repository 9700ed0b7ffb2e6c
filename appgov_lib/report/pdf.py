"""The summary as PDF, printed by a Chromium of the machine; without one there is none, and a sentence says so."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

PROGRAMS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
SECONDS = 90


def print_pdf(page: Path, target: Path) -> str:
    """Print a page of the report; returns what went wrong, "" where nothing did."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        return "No PDF was written: there is no Chromium, Chrome or Edge on this machine."
    with tempfile.TemporaryDirectory() as profile:
        command = [
            program, "--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--disable-background-networking",
            "--no-pdf-header-footer", f"--user-data-dir={profile}", f"--print-to-pdf={target}", page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            # The program is found by a fixed name, and the page is the report's own.
            done = subprocess.run(command, capture_output=True, timeout=SECONDS)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"No PDF was written: {Path(program).name} did not print the page ({type(error).__name__})."
    if done.returncode or not target.is_file():
        return f"No PDF was written: {Path(program).name} ended with {done.returncode}."
    target.chmod(0o600)
    return ""
