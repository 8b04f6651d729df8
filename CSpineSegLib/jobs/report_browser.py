"""Prints a page to PDF by a browser of the Chromium family, which needs no window for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .. import files
from ..errors import InputError, WriteError

# A browser of one's own choice, as a path.
VARIABLE = "CSPINESEG_BROWSER"
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge")
_PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    r"C:\Program Files\Google\Chrome\Application\chrome.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
_SECONDS = 300


def find() -> str:
    """Path of a browser.

    Raises
    ------
    InputError : there is none; the sentence says what to install, or how to print by hand.
    """
    given = os.environ.get(VARIABLE, "")
    if given and shutil.which(given) is None:
        raise InputError(f"The browser that {VARIABLE} names, {given}, cannot be run; correct the path.")
    for name in (given, *_NAMES, *_PLACES):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise InputError(
        "A PDF needs Chromium, Chrome or Edge, and none was found: install one, name its program in the variable "
        f"{VARIABLE}, or make the report without --pdf and print it from any browser."
    )


def arguments(browser: str, profile: Path | str) -> list[str]:
    """The command line of a browser without window, with a profile of its own that is thrown away."""
    # As root, as in a container, Chromium refuses to start with its sandbox.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [
        browser,
        "--headless",
        *(["--no-sandbox"] if root else []),
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        f"--user-data-dir={profile}",
    ]


def print_pdf(browser: str, page: Path, pdf: Path) -> Path:
    """Print an HTML file to `pdf` and return it.

    Raises
    ------
    WriteError : the browser failed or left no PDF; nothing is left behind then.
    """
    with tempfile.TemporaryDirectory(prefix="cspineseg-print-", ignore_cleanup_errors=True) as folder:
        printed = Path(folder) / "page.pdf"
        command = [
            *arguments(browser, Path(folder) / "profile"),
            "--no-pdf-header-footer",
            f"--print-to-pdf={printed}",
            page.resolve().as_uri(),
        ]
        try:
            answer = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WriteError(f"{browser} did not print {page} ({error}); print it from a browser by hand.") from None
        data = printed.read_bytes() if printed.is_file() else b""
    if not data.startswith(b"%PDF"):
        last = answer.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise WriteError(
            f"{browser} printed no PDF of {page} ({' '.join(last) or f'exit code {answer.returncode}'}); print it from "
            "a browser by hand."
        )
    files.write_verified(pdf, data)
    return pdf
