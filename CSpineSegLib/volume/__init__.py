"""An image as voxels, affine and header: exact NIfTI, orientation, resampling in patient space, the geometry gate."""

from .gate import Match, compare_grids, conform
from .grid import Grid, Volume, from_array, like
from .nifti import as_mask, check_writable_name, decode, encode, read, read_mask, write
from .orientation import reorient, restore
from .resampling import resample

__all__ = [
    "Grid",
    "Match",
    "Volume",
    "as_mask",
    "check_writable_name",
    "compare_grids",
    "conform",
    "decode",
    "encode",
    "from_array",
    "like",
    "read",
    "read_mask",
    "reorient",
    "resample",
    "restore",
    "write",
]
