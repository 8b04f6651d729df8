"""MRML: show an exam and its mask, edit it, read the edit back onto the source grid, take pictures.

Runs inside 3D Slicer and on the `slicer-core` wheel. This is the only room that knows slicer, and importing it where
slicer is missing is an :class:`~CSpineSegLib.errors.InputError`.
"""

from ..errors import InputError

try:
    import slicer  # noqa: F401
except ImportError as error:
    raise InputError(
        f"The scene needs 3D Slicer or the slicer-core package, which cannot be imported here ({error}); "
        'install it with: pip install slicer-core.'
    ) from error

from .adoption import adopt_segmentation
from .case import Case, close_case, load_case
from .context import Context
from .editing import Editor
from .pictures import picture, slice_picture, surface_picture
from .reading import read_segmentation
from .storage import load_with_slicer, open_scene, save_scene, save_segmentation

__all__ = [
    "Case",
    "Context",
    "Editor",
    "adopt_segmentation",
    "close_case",
    "load_case",
    "load_with_slicer",
    "open_scene",
    "picture",
    "read_segmentation",
    "save_scene",
    "save_segmentation",
    "slice_picture",
    "surface_picture",
]
