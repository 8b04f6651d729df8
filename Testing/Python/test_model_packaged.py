"""The bundle that is shipped: whole, small, and able to do its work on a phantom and on a real exam."""

from __future__ import annotations

import os

import numpy as np
import pytest

from CSpineSegLib import jobs, model, resources, volume
from CSpineSegLib.model import engine

pytest.importorskip("torch", reason="the model room needs torch")


def test_the_packaged_bundle_is_whole_and_small():
    bundle = model.load(jobs.DEFAULT_MODEL)
    assert bundle.folder == resources.path("Models", jobs.DEFAULT_MODEL)
    size = sum(os.path.getsize(path) for path in bundle.folder.rglob("*") if path.is_file())
    assert size < 8e6
    assert sum(p.numel() for p in engine.network_of(bundle, "cpu").parameters()) <= 6_000_000
    assert "phantom" in (bundle.folder / "docs/README.md").read_text(encoding="utf-8")


def test_the_packaged_bundle_segments_the_real_exam_plausibly(real_t2):
    image = volume.read(real_t2)
    result = model.predict(model.load(jobs.DEFAULT_MODEL), image, "cpu")
    voxel_ml = image.grid.voxel_volume / 1000.0
    bodies, discs = (np.sum(result.mask.array == label) * voxel_ml for label in (1, 2))
    assert 30.0 < bodies < 160.0 and 5.0 < discs < 60.0
    # Bodies lie in front of the cord: on the middle slice, between a quarter and three quarters of the slice.
    middle = volume.reorient(result.mask, "RIP").array[image.shape[image.sagittal_axis] // 2]
    columns = np.nonzero(middle == 1)[1]
    assert 0.25 < np.median(columns) / middle.shape[1] < 0.75


def test_the_packaged_bundle_finds_both_structures_on_a_phantom():
    from CSpineSegLib import phantom

    grid = phantom.grid_around((260, 260, 9), (0.85, 0.85, 5.0), "PSR")
    made = phantom.make(4321, grid)
    image = volume.from_array(np.asarray(made.image, np.float32), grid.affine)
    mask = model.predict(model.load(jobs.DEFAULT_MODEL), image, "cpu").mask.array
    for label in (1, 2):
        found, true = mask == label, np.asarray(made.mask) == label
        assert 2 * np.sum(found & true) / (found.sum() + true.sum()) > 0.75


def test_only_one_model_is_shipped_and_its_card_and_checksums_are_of_one_piece():
    packaged = [bundle for bundle in model.available() if bundle.folder.is_relative_to(resources.path("Models"))]
    assert [bundle.name for bundle in packaged] == [jobs.DEFAULT_MODEL]
    assert packaged[0].metadata["evaluation"] and packaged[0].metadata["training"]
