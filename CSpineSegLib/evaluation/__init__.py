"""How good a mask is and what changed: figures with their definition, spacing and policy for empty masks stated."""

from .metrics import DEFINITIONS, LEVEL_DEFINITIONS, compare, measure

__all__ = ["DEFINITIONS", "LEVEL_DEFINITIONS", "compare", "measure"]
