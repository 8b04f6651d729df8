"""From mask to anatomy: single bodies and discs, their order and levels, fused blocks, measurements."""

from .labelling import Element, Instance, Labelling
from .levels import label

__all__ = ["Element", "Instance", "Labelling", "label"]
