"""Traced persons for training: scanned anew with physical contrasts and faults each time, see `phantom.render`.

Beside the random contrasts of `contrast`, which no scanner makes, these look as an exam looks: chemical shift, worn
discs, saturation bands, the coil of a whole neck.
"""

from __future__ import annotations

import io
import math
from dataclasses import fields, replace

import numpy as np

from .. import phantom
from ..phantom.grids import axes_of, turned
from ..volume import Grid

_STYLES = ("t2", "t2_3d", "stir", "pd", "t1")
_SHARES = (0.7, 0.06, 0.1, 0.07, 0.07)
_INVERTED = 0.04


def traced(seed: int, lateral: np.ndarray) -> phantom.Geometry:
    """A person on a stack of sagittal slices.

    Parameters
    ----------
    seed : of the person and the grid.
    lateral : (slices, layers) where the layers of the slices lie, mm to the right; see `bank.layers`.
    """
    rng = np.random.default_rng([seed, 31])
    pixel = math.exp(rng.uniform(math.log(0.5), math.log(0.95)))
    view = rng.uniform([170, 140], [250, 210])
    rows, columns = (int(side / pixel) for side in view)
    distance = float(lateral[1].mean() - lateral[0].mean())
    layer = float(lateral[0, 1] - lateral[0, 0])
    centre = (lateral.mean(), 4 + rng.normal(0, 10), -24 + rng.normal(0, 14))
    grid = phantom.grid_around((len(lateral), rows, columns), (distance, pixel, pixel), "RIP", centre)
    grid = turned(grid, np.deg2rad(rng.normal(0, [6.0, 3.0, 3.0])))
    return phantom.trace(seed, grid, thickness=min(distance, layer * lateral.shape[1]))


def pack(geometry: phantom.Geometry) -> bytes:
    """A geometry as a compressed file's bytes."""
    parts = {f.name: getattr(geometry, f.name) for f in fields(geometry) if f.name not in ("grid", "axes", "wear")}
    parts |= {"shape": geometry.grid.shape, "affine": geometry.grid.affine}
    parts |= {"worn_levels": list(geometry.wear), "worn": list(geometry.wear.values())}
    stream = io.BytesIO()
    np.savez_compressed(stream, **parts)
    return stream.getvalue()


def unpack(data) -> phantom.Geometry:
    """The geometry in an opened file of `pack`."""
    grid = Grid(tuple(int(n) for n in data["shape"]), data["affine"])
    wear = dict(zip(data["worn_levels"].tolist(), data["worn"].tolist(), strict=True))
    names = ("code", "mixed", "samples", "mask", "levels", "spared", "front")
    return phantom.Geometry(
        seed=int(data["seed"]),
        grid=grid,
        axes=axes_of(grid),
        present=data["present"].tolist(),
        wear=wear,
        **{name: data[name] for name in names},
    )


def scan(geometry: phantom.Geometry, rng: np.random.Generator) -> np.ndarray:
    """An image (slices, rows, columns) float32 of a traced person; now and then with dark and bright exchanged."""
    style = _STYLES[rng.choice(len(_STYLES), p=_SHARES)]
    image = phantom.render(geometry, int(rng.integers(1 << 31)), style).image
    top = max(float(np.quantile(image, 0.995)), 1e-3)
    image = np.minimum(image / top, 1.5)
    if rng.random() < _INVERTED:
        image = np.maximum(1 - image, 0)
    return image ** np.float32(math.exp(rng.normal(0, 0.2)))


def neighbours_of(geometry: phantom.Geometry, first: int, count: int, mirrored: bool) -> phantom.Geometry:
    """`count` neighbouring slices of a geometry from `first` on; `mirrored` puts the last first."""
    size = int(np.prod(geometry.grid.shape[1:]))
    inside = (geometry.mixed >= first * size) & (geometry.mixed < (first + count) * size)
    affine = geometry.grid.affine.copy()
    affine[:3, 3] += first * affine[:3, 0]
    cut = slice(first, first + count)
    mixed = geometry.mixed[inside] - first * size
    order = slice(None)
    if mirrored:
        # The person is mirrored, and not the order of the slices alone: both hands are alike to the network.
        mixed = (count - 1 - mixed // size) * size + mixed % size
        order = slice(None, None, -1)
    parts = {name: np.ascontiguousarray(getattr(geometry, name)[cut][order]) for name in ("code", "mask", "levels")}
    return replace(
        geometry,
        grid=Grid((count, *geometry.grid.shape[1:]), affine),
        mixed=mixed,
        samples=geometry.samples[:, inside],
        spared=np.ascontiguousarray(geometry.spared[cut][order]),
        **parts,
    )
