"""The benchmark runs and writes figures that a program can read; how large they are is not tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[1] / "Benchmarks" / "bench.py"


@pytest.mark.slow
def test_every_figure_has_its_unit_and_its_peer_or_none(tmp_path):
    output = tmp_path / "bench.json"
    subprocess.run([sys.executable, str(BENCH), "--runs", "2", "--output", str(output), "--nnunet", "peak"], check=True)
    figures = json.loads(output.read_text(encoding="utf-8"))
    known = {"read image", "read mask back, verified", "segment with quality, warm, CPU", "convolution peak"}
    assert known <= set(figures)
    for row in figures.values():
        assert set(row) == {"value", "unit", "peer", "peer_value", "ratio", "spread"}
        assert row["value"] > 0
        assert (row["peer"] is None) == (row["ratio"] is None)
