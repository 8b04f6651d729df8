"""Rendering without a screen: a window that is known to work, and its pixels as PNG."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np

from ..errors import CSpineSegError
from . import images

_PROBE = (
    "import vtkmodules.vtkRenderingOpenGL2 as gl; from vtkmodules.vtkRenderingCore import vtkRenderWindow as W; "
    "w = W(); w.SetOffScreenRendering(1); w.SetSize(8, 8); w.Render(); print('works', w.GetClassName())"
)
_REMEDY = (
    "install the Mesa libraries (on Debian and Ubuntu: apt-get install libegl1 libgl1 libgl1-mesa-dri) or use a "
    "machine with a screen"
)


def window(size: tuple[int, int], in_slicer: bool) -> Any:
    """An offscreen vtkRenderWindow of `size` (width, height) pixels.

    Raises
    ------
    CSpineSegError : there is no OpenGL here; it says what to install.
    """
    from vtkmodules import vtkRenderingOpenGL2
    from vtkmodules.vtkRenderingCore import vtkRenderWindow

    kind = vtkRenderWindow
    if sys.platform == "linux" and not in_slicer:
        # Asking for the kind that works spares the warnings of those that are tried before it.
        kind = getattr(vtkRenderingOpenGL2, _working_kind(_surroundings()), vtkRenderWindow)
    result = kind()
    result.SetOffScreenRendering(True)
    result.SetMultiSamples(4)
    result.SetSize(*size)
    return result


def _surroundings() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in ("DISPLAY", "VTK_DEFAULT_OPENGL_WINDOW", "LD_LIBRARY_PATH"))


@cache
def _working_kind(_surroundings: tuple[str | None, ...]) -> str:
    """Class name of a render window that works. Without OpenGL, VTK ends the process: so another one tries first."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, encoding="utf-8", timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CSpineSegError(f"Pictures cannot be rendered: the trial did not end ({error}); {_REMEDY}.") from None
    words = answer.stdout.split()
    if answer.returncode != 0 or "works" not in words:
        raise CSpineSegError(f"Pictures cannot be rendered here, since no OpenGL was found; {_REMEDY}.")
    return words[-1]


def pixels(render_window: Any) -> np.ndarray:
    """Render and return (height, width, 3) uint8, the top row first."""
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkRenderingCore import vtkWindowToImageFilter

    render_window.Render()
    grab = vtkWindowToImageFilter()
    grab.SetInput(render_window)
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.Update()
    width, height, _ = grab.GetOutput().GetDimensions()
    flat = numpy_support.vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
    result = flat.reshape(height, width, 3)[::-1].copy()
    render_window.Finalize()
    return result


def png(rgb: np.ndarray) -> bytes:
    """The bytes of a PNG file of (height, width, 3) uint8, the top row first."""
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOImage import vtkPNGWriter

    height, width, _ = rgb.shape
    image = vtkImageData()
    image.SetDimensions(width, height, 1)
    flat = np.ascontiguousarray(rgb[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(flat, deep=True))
    writer = vtkPNGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()
    writer.Write()
    return numpy_support.vtk_to_numpy(writer.GetResult()).tobytes()


def flat_image(array: np.ndarray, spacing: np.ndarray) -> Any:
    """A vtkImageData of one slice (X, Y), or (X, Y, channels), with its spacing in mm and its origin at 0."""
    from vtkmodules.util import numpy_support
    from vtkmodules.vtkCommonDataModel import vtkImageData

    if array.ndim == 2:
        image = images.fill(vtkImageData(), array[:, :, None])
    else:
        image = vtkImageData()
        image.SetDimensions(array.shape[0], array.shape[1], 1)
        flat = array.transpose(1, 0, 2).reshape(-1, array.shape[2])
        image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(np.ascontiguousarray(flat), deep=True))
    image.SetSpacing(float(spacing[0]), float(spacing[1]), 1.0)
    return image


def label(text: str, position: tuple[float, float], size: int, color: tuple[float, float, float], anchor: str) -> Any:
    """A text in normalised viewport coordinates; `anchor` is two letters, one of "lcr" and one of "bct"."""
    from vtkmodules.vtkRenderingCore import vtkTextActor

    actor = vtkTextActor()
    actor.SetInput(text)
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(*position)
    style = actor.GetTextProperty()
    style.SetFontSize(size)
    style.SetColor(*color)
    style.SetBold(True)
    style.SetShadow(True)
    style.SetJustification("lcr".index(anchor[0]))
    style.SetVerticalJustification("bct".index(anchor[1]))
    return actor
