"""The ranges that key parameters are drawn from: those of training, and others beyond them for a held-out test."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

# What `beyond` leaves: every person outside has at least two of these outside.
KEYS = ("scale", "lordosis", "disc", "aspect", "canal", "scoliosis")


@dataclass(frozen=True)
class Ranges:
    """Draws the parameters that say most about a spine.

    `beyond`: names of `KEYS` that are drawn outside the training ranges. Inside / outside:

    - scale (1 is a mean adult): 0.58 to 1.18 / 0.50 to 0.56 or 1.22 to 1.32
    - lordosis C2 to T1, degrees: -38 to 55 / -58 to -44 or 60 to 72
    - disc, mean height over the usual: 0.72 to 1.28 / 0.52 to 0.66 or 1.36 to 1.55
    - aspect, body height over depth, over the usual: 0.84 to 1.19 / 0.70 to 0.79 or 1.25 to 1.38
    - canal, sagittal width of an adult of scale 1, mm: 9.5 to 16.5 / 7.5 to 9.0 or 17.2 to 20
    - scoliosis, lateral lean (mm per mm) and wave (mm): to 0.2 and 8 / 0.24 to 0.32 and 9 to 12
    """

    beyond: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def drawn(cls, rng: np.random.Generator, beyond: bool) -> Ranges:
        """Those of training, or with two to four keys beyond them."""
        if not beyond:
            return cls()
        return cls(frozenset(rng.choice(KEYS, rng.integers(2, 5), replace=False).tolist()))

    def _outside(self, rng: np.random.Generator, key: str, low, high) -> float | None:
        if key not in self.beyond:
            return None
        return float(rng.uniform(*(low, high)[int(rng.integers(2))]))

    def scale(self, rng: np.random.Generator) -> float:
        """Size of the person: one in seven child-like."""
        outside = self._outside(rng, "scale", (0.50, 0.56), (1.22, 1.32))
        if outside is not None:
            return outside
        return float(rng.uniform(0.58, 0.84) if rng.random() < 0.14 else rng.uniform(0.84, 1.18))

    def lordosis(self, rng: np.random.Generator) -> float:
        """Angle from C2 to T1, degrees; negative is kyphosis, in one of six by intention."""
        outside = self._outside(rng, "lordosis", (-58, -44), (60, 72))
        if outside is not None:
            return outside
        if rng.random() < 0.16:
            return float(rng.uniform(-38, -5))
        return float(np.clip(rng.normal(18, 15), -20, 55))

    def disc(self, rng: np.random.Generator) -> float:
        """Mean disc height over the usual."""
        outside = self._outside(rng, "disc", (0.52, 0.66), (1.36, 1.55))
        return float(np.clip(rng.normal(1, 0.12), 0.72, 1.28)) if outside is None else outside

    def aspect(self, rng: np.random.Generator) -> float:
        """Body height over body depth, over the usual."""
        outside = self._outside(rng, "aspect", (0.70, 0.79), (1.25, 1.38))
        return float(np.clip(rng.normal(1, 0.08), 0.84, 1.19)) if outside is None else outside

    def canal(self, rng: np.random.Generator) -> float:
        """Sagittal width of the bony canal, mm, for scale 1."""
        outside = self._outside(rng, "canal", (7.5, 9.0), (17.2, 20.0))
        if outside is not None:
            return outside
        return float(rng.uniform(9.5, 12) if rng.random() < 0.15 else rng.uniform(11.5, 16.5))

    def scoliosis(self, rng: np.random.Generator) -> tuple[float, float]:
        """Lean (mm per mm of height) and half width of the wave (mm) in the coronal plane; strong in one of six."""
        sign = rng.choice([-1.0, 1.0], 2)
        if "scoliosis" in self.beyond:
            return float(sign[0] * rng.uniform(0.24, 0.32)), float(sign[1] * rng.uniform(9, 12))
        strong = rng.random() < 0.16
        lean = np.clip(rng.normal(0, 0.1 if strong else 0.035), -0.2, 0.2)
        return float(lean), float(np.clip(rng.normal(0, 4.0 if strong else 1.0), -8, 8))
