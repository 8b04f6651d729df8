"""Figures about one mask, or about two masks of one exam; each has its definition in `DEFINITIONS`."""

from .definitions import DEFINITIONS, LEVEL_DEFINITIONS
from .exam import PREVALENCE, compare, measure

__all__ = ["DEFINITIONS", "LEVEL_DEFINITIONS", "PREVALENCE", "compare", "measure"]
