"""Synthetic people with known truth: anatomy as functions of space, and the scans that a scanner would make of them."""

from .atlas import Anatomy
from .contrasts import STYLES
from .geometry import Geometry, trace
from .grids import grid_around, random_grid
from .image import Phantom, make, render
from .shape import VERTEBRAE
from .tissue import Tissue
from .truth import truth

__all__ = [
    "STYLES",
    "VERTEBRAE",
    "Anatomy",
    "Geometry",
    "Phantom",
    "Tissue",
    "grid_around",
    "make",
    "random_grid",
    "render",
    "trace",
    "truth",
]
