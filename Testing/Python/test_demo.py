"""The demo does what it says: its lines name files that exist and figures that the files confirm."""

from __future__ import annotations

import json

import numpy as np

from CSpineSegLib import volume
from CSpineSegLib.cli import demo
from CSpineSegLib.dataset import Dataset, sample
from CSpineSegLib.progress import Progress
from CSpineSegLib.review import records


def test_the_demo_runs_the_main_job_and_tells_the_truth(tmp_path, monkeypatch):
    folder = tmp_path / "démo un"
    monkeypatch.setattr(demo, "_sample", lambda path, progress: sample.make(path, progress, tiny=True))
    events = []
    steps = demo.run(folder, "cpu", Progress(events.append))
    assert len(steps) == 10
    dataset = Dataset.open(folder / "dataset")
    exam = dataset.exams(patient=demo.PATIENT)[0]
    revision = records.latest_accepted(exam)
    assert str(revision.mask) in steps["Accept"]
    assert np.array_equal(volume.read_mask(exam.corrected_mask).affine, volume.read(exam.image).affine)
    changed = int(steps["Edit"].split(": ")[1].split()[0])
    assert changed > 0
    # The brush adds to the bodies, over background and discs alike: so every changed voxel is an added body voxel.
    assert changed == revision.content["voxels_added"]["bodies"]
    assert revision.content["voxels_removed"]["bodies"] == 0
    metrics = json.loads(exam.metrics_path.read_text(encoding="utf-8"))
    assert metrics["revisions"][-1]["against_parent"]["bodies"]["voxels_added"] == changed
    picture = (folder / "demo.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
