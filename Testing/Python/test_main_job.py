"""The main job on a real exam, as a user does it: listed, shown, segmented, edited in MRML, accepted, exported."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from CSpineSegLib import jobs, session, volume
from CSpineSegLib.cli import main
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.scene import Editor

STEM = "593973-000123_Study-MR-130_Series-4"


@pytest.fixture
def dataset(real_t2, tmp_path) -> Path:
    """A dataset of one exam, a real one, without tables."""
    root = tmp_path / "un examen réel"
    image = root / "extracted" / "annotation" / f"{STEM}.nii.gz"
    image.parent.mkdir(parents=True)
    image.write_bytes(Path(real_t2).read_bytes())
    return root


def test_a_real_exam_goes_from_the_list_to_an_exported_mask(dataset, tmp_path, capsys):
    def run(*words: object) -> object:
        capsys.readouterr()
        assert main([*map(str, words), "--dataset", str(dataset), "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert [row["stem"] for row in run("list")] == [STEM]
    shown = run("show", "123", "--picture", tmp_path / "before.png")[0]
    assert (shown["orientation"], shown["left_handed"], shown["shape"]) == ("PSR", True, [320, 320, 13])
    predicted = run("segment", "123", "--device", "cpu")["results"][0]
    assert not predicted["skipped"]

    exam = Dataset.open(dataset).exams(patient="123")[0]
    opened = session.open_exam(exam)
    before = opened.mask()
    centre = before.affine[:3, :3] @ np.argwhere(before.array == 1).mean(axis=0) + before.affine[:3, 3]
    editor = Editor(opened.context, opened.case)
    assert editor.paint_sphere("discs", centre, 6.0) > 0
    drawn = opened.mask().array
    session.save(opened, status="accepted", annotator="ab")
    assert (tmp_path / "before.png").stat().st_size > 10_000
    session.picture(opened, tmp_path / "after.png")

    assert run("list", "--query", "status == 'accepted'")[0]["annotator"] == "ab"
    exported = run("export", "--output", tmp_path / "out", "--query", "status == 'accepted'")
    assert [row["kind"] for row in exported["files"]] == ["accepted"]
    source, mask = nibabel.load(exam.image), nibabel.load(tmp_path / "out" / f"{STEM}_SEG.nii.gz")
    assert np.array_equal(source.affine, mask.affine)
    assert nibabel.aff2axcodes(mask.affine) == ("P", "S", "R")
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asanyarray(mask.dataobj), drawn)


def test_the_packaged_model_finds_a_plausible_spine_in_a_real_exam(dataset):
    """Not accuracy, for which one scan without truth is no measure: that it is a spine, and where."""
    from scipy import ndimage

    assert main(["segment", STEM, "--dataset", str(dataset), "--device", "cpu", "--json"]) == 0
    exam = Dataset.open(dataset).exam(STEM)
    mask = volume.read_mask(exam.predicted(jobs.DEFAULT_MODEL))
    middle = mask.array[:, :, 6]
    # C2 to T5 lie in this field of view: ten bodies with nine or ten discs between and below them.
    discs, count = ndimage.label(middle == 2)
    large = [label for label in range(1, count + 1) if (discs == label).sum() > 40]
    assert 9 <= len(large) <= 11
    rows = sorted(ndimage.center_of_mass(discs == label)[1] for label in large)
    gaps = np.diff(rows) * mask.spacing[1]
    assert gaps.min() > 10 and gaps.max() < 30
