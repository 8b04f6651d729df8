"""Grids, masks and raw slicer-core calls that the scene tests share."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

# Set where slicer-core must be there, so that a missing wheel fails instead of skipping.
if not os.environ.get("CSPINESEG_REQUIRE_SLICER"):
    pytest.importorskip("slicer", reason="the scene tests need slicer-core: pip install cspineseg[scene]")
import slicer

from CSpineSegLib import scene, volume
from CSpineSegLib.scene import images

SHAPE = (12, 14, 5)
SPACING = np.array([0.6875, 0.7, 4.0])
IDENTITY = np.eye(3)


def rotation(*degrees: float) -> np.ndarray:
    """(3, 3) rotation about x, then y, then z."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def affine(axes: tuple[int, ...], signs: tuple[int, ...], turn: np.ndarray = IDENTITY) -> np.ndarray:
    """Voxel index to RAS mm: array axis n runs along patient axis `axes[n]` with `signs[n]`, all turned by `turn`."""
    result = np.diag([0.0, 0.0, 0.0, 1.0])
    for index, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        result[axis, index] = sign * SPACING[index]
    result[:3, :3] = turn @ result[:3, :3]
    result[:3, 3] = (-30.71928406, 111.94285583, -151.97792053)
    return result


ORIENTATIONS = tuple(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
PSR = affine((1, 2, 0), (-1, 1, 1))
OBLIQUE = tuple(
    affine((1, 2, 0), (-1, 1, sign), rotation(*angles))
    for sign, angles in itertools.product((1, -1), ((3, -5, 8), (20, 11, -37), (0.01, 0, 0.02)))
)


def image(grid_affine: np.ndarray = PSR, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> volume.Volume:
    """A random int16 image as it is after being read from a file: with a header, sform code 1 and qform code 1."""
    array = np.random.default_rng(seed).integers(0, 900, shape).astype(np.int16)
    return volume.decode(volume.encode(volume.from_array(array, grid_affine), gz=False))


def mask_of(source: volume.Volume, seed: int = 1) -> volume.Volume:
    """Random labels 0, 1, 2 on every voxel, so that any flip, shift or swap of labels is seen."""
    return volume.like(source, np.random.default_rng(seed).integers(0, 3, source.shape).astype(np.uint8))


def read_raw(scene, path: Path, kind: str = "vtkMRMLScalarVolumeNode"):
    """A file read with Slicer's storage node as it is by default; the node, or None if Slicer fails."""
    node = scene.AddNewNodeByClass(kind)
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    return node if storage.ReadData(node) else None


def node_affine(node) -> np.ndarray:
    """(4, 4) voxel index to RAS mm of a volume node."""
    return images.volume_of_node(node).affine


def loaded(context, source=None, mask=None, name="593973-000123_Study-MR-1_Series-2", patient="593973-000123"):
    source = image() if source is None else source
    mask = mask_of(source) if mask is None else mask
    return scene.load_case(context, source, mask, name=name, patient_id=patient), mask


def labels(context, case, **options):
    return scene.read_segmentation(context, case.segmentation_node, case.image, **options)


def turned(array, grid):
    """An array on axes PSR as a volume on a grid of other axes."""
    codes = volume.from_array(np.zeros((1, 1, 1)), grid).orientation
    flat = volume.reorient(volume.from_array(array, PSR), codes)
    return volume.from_array(np.ascontiguousarray(flat.array), grid)


def slice_pixels(context, node) -> np.ndarray:
    """(height, width, 3) uint8, the top row first: what Slicer's own pipeline shows in a view, without segments."""
    from vtkmodules.util import numpy_support

    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(context.application)
    logic.SetMRMLScene(context.scene)
    logic.SetSliceNode(node)
    logic.UpdatePipeline()
    producer = logic.GetImageDataConnection().GetProducer()
    producer.Update()
    shown = producer.GetOutputDataObject(0)
    width, height, _ = shown.GetDimensions()
    flat = numpy_support.vtk_to_numpy(shown.GetPointData().GetScalars())
    picture = flat.reshape(height, width, -1)[::-1, :, :3].copy()
    logic.SetMRMLScene(None)
    return picture
