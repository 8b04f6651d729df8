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

from . import levels, overlays, views
from .adoption import adopt_segmentation
from .case import Case, close_case, load_case
from .context import Context
from .editing import Editor
from .guard import Guard, Watch, editor_node, replace_voxels, watch_views
from .levels import find_levels, show_levels
from .pictures import picture, slice_picture, surface_picture
from .pointing import Pointing
from .reading import read_segmentation, stamp
from .storage import load_with_slicer, open_scene, save_scene, save_segmentation
from .tables import show_table

__all__ = [
    "Case",
    "Context",
    "Editor",
    "Guard",
    "Pointing",
    "Watch",
    "adopt_segmentation",
    "close_case",
    "editor_node",
    "find_levels",
    "levels",
    "load_case",
    "load_with_slicer",
    "open_scene",
    "overlays",
    "picture",
    "read_segmentation",
    "replace_voxels",
    "save_scene",
    "save_segmentation",
    "show_levels",
    "show_table",
    "slice_picture",
    "stamp",
    "surface_picture",
    "views",
    "watch_views",
]
