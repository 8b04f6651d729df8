"""Synthetic people with known truth: anatomy as functions of space, and the scans that a scanner would make of them."""

from .atlas import Anatomy
from .image import Phantom, grid_around, make
from .shape import VERTEBRAE
from .tissue import Tissue

__all__ = ["VERTEBRAE", "Anatomy", "Phantom", "Tissue", "grid_around", "make"]
