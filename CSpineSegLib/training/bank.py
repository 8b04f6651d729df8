"""A bank of sagittal tissue slices: geometry is slow to draw and is drawn once, contrast is invented anew each time."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from ..phantom import Anatomy

SPACING = 0.5
ROWS, COLUMNS = 520, 400
_TOP, _FRONT = 100.0, 100.0
SUBSLICES = (-1.0, 1.0)
SLICES = 6
NEAR = SLICES - 2
# Lateral distances from the middle of the spine, mm: most through the bodies, some beside them, where none is left.
_BODY, _BESIDE, _FAR = 9.0, 18.0, 32.0


def slices(seed: int) -> np.ndarray:
    """Tissue slices of one person, (SLICES, 2, ROWS, COLUMNS) uint8.

    The first NEAR slices pass through the bodies, the others beside them. Axis 1 holds two thin slices 2 mm apart that
    together make a thick one; rows run from superior to inferior, columns from anterior to posterior, 0.5 mm each. The
    planes are turned by a few degrees, as in a scan of a tilted head.
    """
    rng = np.random.default_rng([seed, 3])
    # One person in ten has a fused pair, so that blocks without a disc are no surprise.
    pairs = (("C2", "C3"), ("C3", "C4"), ("C4", "C5"), ("C5", "C6"), ("C6", "C7"))
    anatomy = Anatomy(seed, fused=(pairs[rng.integers(5)],) if rng.random() < 0.1 else ())
    z, y = np.meshgrid(_TOP - SPACING * np.arange(ROWS), _FRONT - SPACING * np.arange(COLUMNS), indexing="ij")
    z, y = z.ravel(), y.ravel()
    side = rng.choice([-1, 1], 2)
    near = rng.permutation(np.linspace(-_BODY, _BODY, NEAR)) + rng.uniform(-2.5, 2.5, NEAR)
    lateral = [*near, side[0] * rng.uniform(_BODY + 2, _BESIDE), side[1] * rng.uniform(_BESIDE, _FAR)]
    turn = rng.normal(0, 0.05, 2)
    result = np.empty((SLICES, len(SUBSLICES), ROWS, COLUMNS), np.uint8)
    for index, x in enumerate(lateral):
        for sub, offset in enumerate(SUBSLICES):
            points = np.stack([x + offset + turn[0] * z + turn[1] * y, y, z], axis=1)
            result[index, sub] = anatomy.classify(points)[0].reshape(ROWS, COLUMNS)
    return result


class Bank:
    """Slices by seed, kept in a folder of compressed files and, the latest, in memory.

    Parameters
    ----------
    folder : where the files lie; made if absent. `remove` deletes them and the folder.
    kept : how many persons stay in memory (2.5 MB each).
    """

    def __init__(self, folder: Path, kept: int = 400):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept = kept
        self._memory: OrderedDict[int, np.ndarray] = OrderedDict()

    def get(self, seed: int) -> np.ndarray:
        """The slices of a seed, drawn if they are not there yet; see `slices`."""
        if seed not in self._memory:
            self._memory[seed] = self._load(seed)
            while len(self._memory) > self._kept:
                self._memory.popitem(last=False)
        return self._memory[seed]

    def _load(self, seed: int) -> np.ndarray:
        path = self.folder / f"{seed}.npz"
        if path.exists():
            with np.load(path) as stored:
                return stored["slices"]
        drawn = slices(seed)
        partial = path.with_suffix(".part")
        with partial.open("wb") as stream:
            np.savez_compressed(stream, slices=drawn)
        partial.replace(path)
        return drawn

    def remove(self) -> None:
        """Delete the files of the bank, and its folder if nothing else lies in it."""
        for path in [*self.folder.glob("*.npz"), *self.folder.glob("*.part")]:
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
