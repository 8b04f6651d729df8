"""From mask to anatomy: single bodies and discs, their order and levels, fused blocks, measurements."""

from .labelling import Element, Instance, Labelling

__all__ = ["Element", "Instance", "Labelling"]
