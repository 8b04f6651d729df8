"""A bank of stacks of tissue slices: geometry is slow and drawn once, contrast is invented anew each time."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np

from ..phantom import Anatomy, Geometry
from . import scans

SPACING = 0.5
ROWS, COLUMNS = 520, 400
_TOP, _FRONT = 100.0, 100.0
# Neighbouring slices of a sagittal exam, and the thin layers that together make one of them.
SLICES, LAYERS = 5, 3


def _lateral(rng: np.random.Generator) -> float:
    """Middle of a stack, mm from the middle of the spine: most stacks hold bodies, many their edge, some none."""
    kind, side = rng.random(), rng.choice([-1, 1])
    if kind < 0.55:
        return rng.uniform(-8, 8)
    return side * (rng.uniform(8, 19) if kind < 0.85 else rng.uniform(19, 36))


def layers(rng: np.random.Generator) -> np.ndarray:
    """Lateral positions (SLICES, LAYERS) of the layers of a stack, mm.

    Slices lie 2.7 to 5.5 mm apart, as the neighbours that the network is shown always do (see
    `model.preprocess`), and are a fifth of that (thin slices, neighbours skipped) to all of it thick.
    """
    distance = np.clip(rng.normal(4.0, 0.6), 2.7, 5.5)
    thickness = distance * (rng.uniform(0.7, 1.0) if rng.random() < 0.75 else rng.uniform(0.2, 0.7))
    across = (np.arange(SLICES) - (SLICES - 1) / 2) * distance
    within = (np.arange(LAYERS) - (LAYERS - 1) / 2) * thickness / LAYERS
    return _lateral(rng) + across[:, None] + within[None]


def stack(seed: int) -> np.ndarray:
    """Tissue of neighbouring slices of one person, (SLICES, LAYERS, ROWS, COLUMNS) uint8.

    Slices and layers run from left to right; rows run from superior to inferior, columns from anterior to posterior,
    0.5 mm each. The planes are turned by a few degrees, as in a scan of a tilted head.
    """
    rng = np.random.default_rng([seed, 3])
    anatomy = Anatomy(seed)
    z, y = np.meshgrid(_TOP - SPACING * np.arange(ROWS), _FRONT - SPACING * np.arange(COLUMNS), indexing="ij")
    z, y = z.ravel(), y.ravel()
    turn = rng.normal(0, 0.05, 2)
    result = np.empty((SLICES, LAYERS, ROWS, COLUMNS), np.uint8)
    for index, x in np.ndenumerate(layers(rng)):
        points = np.stack([x + turn[0] * z + turn[1] * y, y, z], axis=1)
        result[index] = anatomy.classify(points)[0].reshape(ROWS, COLUMNS)
    return result


def draw(seed: int) -> np.ndarray | Geometry:
    """What the bank holds for a seed: tissue for random contrasts (even seeds, see `stack`) or a traced person for
    physical ones (odd seeds, see `scans`)."""
    if seed % 2 == 0:
        return stack(seed)
    return scans.traced(seed, layers(np.random.default_rng([seed, 3])))


class Bank:
    """Stacks by seed, kept in a folder of compressed files and, the latest, in memory.

    Parameters
    ----------
    folder : where the files lie; made if absent. `remove` deletes them and the folder.
    kept : how many stacks stay in memory (3 MB each).
    """

    def __init__(self, folder: Path, kept: int = 1500):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._kept = kept
        self._memory: OrderedDict[int, np.ndarray | Geometry] = OrderedDict()

    def get(self, seed: int) -> np.ndarray | Geometry:
        """What belongs to a seed, drawn if it is not there yet; see `draw`."""
        if seed not in self._memory:
            self._memory[seed] = self._load(seed)
            while len(self._memory) > self._kept:
                self._memory.popitem(last=False)
        return self._memory[seed]

    def _load(self, seed: int) -> np.ndarray | Geometry:
        path = self.folder / f"{seed}.npz"
        if path.exists():
            with np.load(path) as stored:
                return stored["stack"] if "stack" in stored else scans.unpack(stored)
        drawn = draw(seed)
        partial = path.with_suffix(".part")
        with partial.open("wb") as stream:
            if isinstance(drawn, Geometry):
                stream.write(scans.pack(drawn))
            else:
                np.savez_compressed(stream, stack=drawn)
        partial.replace(path)
        return drawn

    def remove(self) -> None:
        """Delete the files of the bank, and its folder if nothing else lies in it."""
        for path in [*self.folder.glob("*.npz"), *self.folder.glob("*.part")]:
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()
