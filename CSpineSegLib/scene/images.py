"""Between our volumes and VTK's and MRML's images: voxels and exact affine, without a file in between."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer

from ..volume import Volume, from_array


def matrix(affine: np.ndarray) -> Any:
    """A vtkMatrix4x4 of a (4, 4) array."""
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    result = vtkMatrix4x4()
    result.DeepCopy(np.asarray(affine, dtype=np.float64).ravel())
    return result


def array_of_matrix(source: Any) -> np.ndarray:
    """A (4, 4) float64 array of a vtkMatrix4x4."""
    return np.array([[source.GetElement(row, column) for column in range(4)] for row in range(4)])


def fill(image: Any, array: np.ndarray) -> Any:
    """Give a vtkImageData (or vtkOrientedImageData) the dimensions and a copy of the voxels of `array` (I, J, K)."""
    from vtkmodules.util import numpy_support

    if array.dtype == bool:
        array = array.view(np.uint8)
    elif array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        array = array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64)
    scalars = numpy_support.numpy_to_vtk(array.ravel(order="F"), deep=True)
    scalars.SetName("ImageScalars")
    image.SetDimensions(array.shape)
    image.GetPointData().SetScalars(scalars)
    return image


def oriented_image(array: np.ndarray, affine: np.ndarray) -> Any:
    """A vtkOrientedImageData of voxels (I, J, K) and affine (voxel index to RAS mm)."""
    image = fill(slicer.vtkOrientedImageData(), array)
    image.SetGeometryFromImageToWorldMatrix(matrix(affine))
    return image


def is_empty(image: Any) -> bool:
    """True for no image, or one without voxels: what a segment holds that was never painted or is erased wholly."""
    if image is None or image.GetPointData().GetScalars() is None:
        return True
    extent = image.GetExtent()
    return any(extent[axis] > extent[axis + 1] for axis in (0, 2, 4))


def view(image: Any) -> np.ndarray:
    """The voxels (I, J, K) of a vtkImageData as an array on the same memory; (0, 0, 0) is its extent's first corner."""
    from vtkmodules.util import numpy_support

    return numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions(), order="F")


def volume_of_image(image: Any) -> Volume:
    """Voxels (not copied) and affine of a vtkOrientedImageData, its extent's offset included."""
    to_world = matrix(np.eye(4))
    image.GetImageToWorldMatrix(to_world)
    start = np.eye(4)
    start[:3, 3] = image.GetExtent()[::2]
    return from_array(view(image), array_of_matrix(to_world) @ start)


def volume_of_node(node: Any) -> Volume:
    """Voxels (not copied) and affine of a vtkMRMLScalarVolumeNode, parent transforms not applied."""
    to_ras = matrix(np.eye(4))
    node.GetIJKToRASMatrix(to_ras)
    return from_array(view(node.GetImageData()), array_of_matrix(to_ras))
