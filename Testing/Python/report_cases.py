"""A report with every kind of figure and with texts that try to break the page, and a browser to look at it with."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation.report.methods import Methods
from CSpineSegLib.evaluation.sections import Figure, Section, Table
from CSpineSegLib.jobs import report_browser

EVIL = '<script>alert("x")</script> & "quoted"'
LEVELS = ("C7-T1", "C2-C3", "C3-C4", "C5+C6", "C4", "C2")


def png(width: int = 3, height: int = 2) -> bytes:
    """A grey PNG file."""
    rows = b"".join(b"\x00" + b"\x80" * width for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def figures() -> dict[str, Figure]:
    """One figure of each kind, by kind."""
    rng = np.random.default_rng(3)
    dice = np.clip(rng.normal(0.9, 0.04, 90), 0, 1)
    groups = pd.DataFrame(
        {"dice": dice, "age": np.tile(["<40", "40-60", ">60"], 30), "of": np.repeat(["bodies", "discs"], 45)}
    )
    levels = pd.DataFrame({"level": np.tile(LEVELS, 15), "value": dice, "group": np.repeat(["A", "B"], 45)})
    ratios = pd.DataFrame(
        {
            "label": ["sex", "age", "race"],
            "value": [0.98, 0.81, np.nan],
            "low": [0.95, 0.7, np.nan],
            "high": [1.0, 0.9, np.nan],
        }
    )
    data = {
        "groups": {"frame": groups, "value": "dice", "group": "age", "panel": "of", "unit": "Dice", "line": 0.8},
        "bland-altman": {"reference": dice * 50, "candidate": dice * 50 - 2, "unit": "cm3", "colour": None},
        "forest": {"rows": ratios, "line": 1.0, "unit": "DIR", "log": True},
        "calibration": {"score": dice, "truth": dice - 0.01, "names": ("predicted Dice", "Dice")},
        "strip": {"frame": levels, "unit": "Dice"},
        "histogram": {"values": {"gold": dice, "silver": dice[:30]}, "unit": "Dice"},
        "bars": {"frame": pd.DataFrame({"label": ["missing", "extra"], "value": [3, 1]}), "unit": "exams"},
        "lines": {
            "frame": pd.DataFrame(
                {"x": [0.7, 0.8, 0.9] * 2, "y": [1, 0.9, 0.6, 1, 0.95, 0.8], "group": ["sex"] * 3 + ["age"] * 3}
            ),
            "names": ("threshold", "DIR"),
            "line": 0.8,
        },
        "picture": {"png": png()},
    }
    return {
        kind: Figure(kind, f"What the {kind} figure shows: {EVIL}", kind, content) for kind, content in data.items()
    }


def sections() -> list[Section]:
    many = pd.DataFrame(
        {"exam": [f"exam-{n:03}" for n in range(60)], "p": np.linspace(0.0001, 1, 60), "significant": False}
    )
    many.loc[50, "significant"] = True
    plain = pd.DataFrame(
        {"group": ["a", EVIL, None], "ruler": "gold", "n": [12, 345, 20000], "mean_dice": [0.91549, np.nan, 0.25]}
    )
    wide = pd.DataFrame({f"column_{n}": [n, n + 1] for n in range(30)})
    drawn = figures()
    pictures = (drawn.pop("picture"),)
    return [
        Section("cohort", "Cohort", ("There are 200 exams.", EVIL), (), (Table("plain", "Plain", plain, "A note."),)),
        Section(
            "accuracy",
            "Accuracy",
            (),
            (),
            (Table("many", "Many", many), Table("wide", "Wide", wide)),
            tuple(drawn.values()),
        ),
        Section("worst", "Worst cases", (), ("Against Silver alone.",), (Table("none", "None", many[:0]),), pictures),
    ]


METHODS = Methods([("The ruler", ["Gold: by experts."])], [("dice", "2 |A and B| / (|A| + |B|)")], ["A source, 2024."])
RECORD = {
    "title": "A report",
    "lead": "About nothing.",
    "facts": {"Data set": "none", "Measured against": "Gold masks"},
    "versions": {"cspineseg": "0.1.0"},
    "hashes": {"results.tsv": "ab" * 32},
}


@pytest.fixture(scope="session")
def browser() -> str:
    """A browser; without one the tests are skipped, unless everything is wanted, as in continuous integration."""
    try:
        return report_browser.find()
    except InputError as error:
        if os.environ.get("CSPINESEG_REQUIRE_SLICER") == "1":
            pytest.fail(str(error))
        pytest.skip(f"no browser to open a page with: {error}")


class Opened:
    """A page in a browser without window."""

    def __init__(self, program: str, profile: Path):
        self._command = report_browser.arguments(program, profile)

    def __call__(self, page: Path, *words: str, size: tuple[int, int] = (1200, 900)) -> subprocess.CompletedProcess:
        """Run the browser on a page; its standard error stream holds what the console logged."""
        command = [*self._command, "--enable-logging=stderr", "--hide-scrollbars", f"--window-size={size[0]},{size[1]}"]
        return subprocess.run(
            [*command, *words, page.as_uri()], capture_output=True, text=True, timeout=300, check=True
        )


@pytest.fixture
def opened(browser, tmp_path) -> Opened:
    return Opened(browser, tmp_path / "profile")
