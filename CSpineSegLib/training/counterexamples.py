"""Images that are no cervical spine exams, made from phantoms of such exams, to fit :mod:`model.plausibility` to.

Everything works on arrays (n, rows, columns): sagittal slices, intensities float32 from 0 upwards, with a mask and
voxel sizes in mm. What an exam does not allow, a thoracic crop of a small field of view say, is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import model, volume
from ..errors import InputError
from ..model import plausibility, preprocess
from ..spine import order
from ..volume import Volume
from . import exams, looking
from .spread import spread

# Persons that are enough for eight weights, and quick.
EXAMS = 16
# Sizes of vertebrae, mm: the geometric mean of the period from disc to disc and the depth of the bodies. Lower thoracic
# (those above are no larger than in the neck of a tall man), lumbar, of an animal, and of an adult's neck.
_THORACIC, _LUMBAR, _ANIMAL, _ADULT = (25.0, 29.0), (27.0, 36.0), (4.0, 6.0), 16.7
_CHILD = (0.6, 0.8)
# mm of spine that a usable field of view shows.
_LEAST_SPINE = 45.0


@dataclass(frozen=True, eq=False)
class Scene:
    """Sagittal slices (n, rows, columns) float32, their mask, and mm along the axes."""

    image: np.ndarray
    mask: np.ndarray
    spacing: np.ndarray

    def cut(self, *parts: slice) -> Scene:
        return Scene(self.image[parts], self.mask[parts], self.spacing)

    def scaled(self, factor: float) -> Scene:
        """The same voxels, larger in plane."""
        return Scene(self.image, self.mask, self.spacing * [1.0, factor, factor])

    def size(self) -> float | None:
        """Of the vertebrae, mm, as :data:`_ADULT` is; None without two discs in a row."""
        found = order.along(self.mask, self.spacing)
        if found is None or not len(found.periods):
            return None
        depth = float(np.median(found.depths))
        return float(np.sqrt(np.median(plausibility.single(found.periods, depth)) * depth))


def scene_of(exam: exams.Exam) -> Scene:
    image, mask = (volume.reorient(part, preprocess.ORIENTATION) for part in (exam.image, exam.mask))
    return Scene(np.array(image.array, np.float32), np.array(mask.array), np.array(image.spacing))


def whole(scene: Scene, rng: np.random.Generator) -> Scene | None:
    return scene


def window(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """A small field of view about a part of the neck: three vertebrae at the least."""
    rows = np.flatnonzero(scene.mask.any(axis=(0, 2)))
    height = rng.uniform(55.0, 120.0) / scene.spacing[1]
    upper = rows[0] + rng.uniform(0, 0.45) * len(rows)
    part = _around(upper + height / 2, height, scene.image.shape[1])
    inside = np.flatnonzero(scene.mask[:, part].any(axis=(0, 1)))
    if not len(inside):
        return None
    width = rng.uniform(60.0, 130.0) / scene.spacing[2]
    columns = _around(inside.mean() + rng.uniform(-15, 15) / scene.spacing[2], width, scene.image.shape[2])
    found = scene.cut(slice(None), part, columns)
    shown = np.flatnonzero(found.mask.any(axis=(0, 2)))
    discs = np.count_nonzero((found.mask == 2).any(axis=(0, 2)))
    if len(shown) * scene.spacing[1] < _LEAST_SPINE or discs * scene.spacing[1] < 8.0:
        return None
    return found


def child(scene: Scene, rng: np.random.Generator) -> Scene | None:
    size = scene.size()
    return None if size is None else scene.scaled(rng.uniform(*_CHILD) * _ADULT / size)


def animal(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """A small animal, or a file whose units are not what they say."""
    size = scene.size()
    return None if size is None else scene.scaled(rng.uniform(*_ANIMAL) / size)


def lumbar(scene: Scene, rng: np.random.Generator) -> Scene | None:
    return _back(scene, rng, _LUMBAR)


def thoracic(scene: Scene, rng: np.random.Generator) -> Scene | None:
    return _back(scene, rng, _THORACIC)


def above(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """The head without the neck."""
    rows = np.flatnonzero(scene.mask.any(axis=(0, 2)))
    found = scene.cut(slice(None), slice(0, max(0, int(rows[0]) - 1)))
    return found if found.image.shape[1] * scene.spacing[1] >= 40.0 else None


def turned(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Lying on its face or back."""
    times = int(rng.choice([1, 3]))
    parts = (np.ascontiguousarray(np.rot90(part, times, axes=(1, 2))) for part in (scene.image, scene.mask))
    return Scene(*parts, scene.spacing[[0, 2, 1]])


def shuffled(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Blocks of 12 to 25 mm in random places of their slice."""
    edge = rng.uniform(12.0, 25.0)
    sizes = [max(1, int(edge / mm)) for mm in scene.spacing[1:]]
    counts = [length // size for length, size in zip(scene.image.shape[1:], sizes, strict=True)]
    if min(counts) < 2:
        return None
    image = scene.image[:, : counts[0] * sizes[0], : counts[1] * sizes[1]]
    blocks = image.reshape(len(image), counts[0], sizes[0], counts[1], sizes[1]).transpose(1, 3, 0, 2, 4)
    blocks = rng.permutation(blocks.reshape(-1, *blocks.shape[2:])).reshape(blocks.shape)
    image = blocks.transpose(2, 0, 3, 1, 4).reshape(image.shape)
    return Scene(image, np.zeros(image.shape, np.uint8), scene.spacing)


def erased(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """The spine and 6 mm around it replaced by what lies elsewhere in the same slices."""
    from scipy import ndimage

    away = ndimage.distance_transform_edt(scene.mask == 0, sampling=scene.spacing)
    far = np.roll(scene.image, int(rng.uniform(35.0, 60.0) / scene.spacing[2]), axis=2)
    share = np.clip((9.0 - away) / 3.0, 0, 1).astype(np.float32)
    return Scene(scene.image * (1 - share) + far * share, np.zeros_like(scene.mask), scene.spacing)


def noise(scene: Scene, rng: np.random.Generator) -> Scene | None:
    parts = rng.normal(0, 100.0, (2, *scene.image.shape)).astype(np.float32)
    return Scene(np.hypot(*parts), np.zeros_like(scene.mask), scene.spacing)


def blobs(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """Smooth shapes of 5 to 25 mm in a few shades, with a little noise."""
    from scipy import ndimage

    length = rng.uniform(2.5, 12.0)
    field = ndimage.gaussian_filter(rng.normal(size=scene.image.shape).astype(np.float32), length / scene.spacing)
    shades = rng.uniform(50, 900, 8).astype(np.float32)
    cuts = np.quantile(field, np.linspace(0, 1, 9)[1:-1])
    image = ndimage.gaussian_filter(shades[np.digitize(field, cuts)], 0.6 / scene.spacing)
    return Scene(_noisy(image, rng), np.zeros_like(scene.mask), scene.spacing)


def balls(scene: Scene, rng: np.random.Generator) -> Scene | None:
    """A bottle or two with bars inside, as scanners are tested with."""
    shape = np.array(scene.image.shape) * scene.spacing
    place = np.stack(np.meshgrid(*(np.arange(n) * mm for n, mm in zip(scene.image.shape, scene.spacing, strict=True)),
                                 indexing="ij"))  # fmt: skip
    image = np.zeros(scene.image.shape, np.float32)
    for _ in range(rng.integers(1, 4)):
        centre = (rng.uniform(0.2, 0.8, 3) * shape)[:, None, None, None]
        radius = (rng.uniform(0.15, 0.5, 3) * shape[1])[:, None, None, None]
        inside = np.square((place - centre) / radius).sum(axis=0) < 1
        image[inside] = rng.uniform(200, 900)
        bars = np.sin(2 * np.pi * place[1 + rng.integers(2)] / rng.uniform(8, 40)) > rng.uniform(-0.5, 0.9)
        image[inside & bars] = rng.uniform(50, 900)
    fall = np.exp(-np.square((place[2] - rng.uniform(0, 1) * shape[2]) / rng.uniform(80, 300)))
    return Scene(_noisy(image * fall.astype(np.float32), rng), np.zeros_like(scene.mask), scene.spacing)


Maker = Callable[[Scene, np.random.Generator], Scene | None]
CERVICAL: tuple[Maker, ...] = (whole, window, window, child)
OTHER: tuple[Maker, ...] = (lumbar, thoracic, animal, erased, turned, above, shuffled, blobs, balls, noise)
_EACH = 2


def cases(scene: Scene, rng: np.random.Generator) -> Iterator[tuple[str, bool, Scene]]:
    """(name, cervical, scene) of what is made of one exam: it and parts of it, its back, and some others in turn."""
    others = [OTHER[0], OTHER[1], *rng.choice(np.array(OTHER[2:], dtype=object), _EACH, replace=False)]
    for group, cervical in ((CERVICAL, True), (others, False)):
        for make in group:
            made = make(scene, rng)
            if made is not None and min(made.image.shape) > 2:
                yield make.__name__, cervical, made


def looked_at(bundle: model.Bundle, scene: Scene) -> dict[str, float]:
    """Features of what a model finds in a scene."""
    # Right, inferior, posterior: the axes of the scene in patient space.
    affine = np.diag([scene.spacing[0], 1.0, 1.0, 1.0])
    affine[1:3, 1:3] = [[0.0, -scene.spacing[2]], [-scene.spacing[1], 0.0]]
    image = Volume(scene.image, affine)
    slices, way = preprocess.to_network(image, bundle.spacing)
    maps = preprocess.from_network(looking.forward_of(bundle, way.across)(slices), way)
    return plausibility.features(maps.argmax(axis=0).astype(np.uint8), maps, scene.spacing)


def sample(folder: str, path: str) -> list[tuple[str, bool, dict[str, float]]]:
    """(name, cervical, features) of all cases of one kept exam."""
    exam, bundle = exams.load(Path(path)), model.load(folder)
    rng = np.random.default_rng([int(exam.about["seed"]), 25])
    return [(name, cervical, looked_at(bundle, made)) for name, cervical, made in cases(scene_of(exam), rng)]


def fit(bundle: model.Bundle, paths: Sequence[Path], jobs: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    """Coefficients for :func:`plausibility.judge` that fit a model, and what they were fitted to with what result.

    Parameters
    ----------
    paths : kept exams, see :mod:`exams`; the first :data:`EXAMS` are taken.

    Raises
    ------
    InputError : no exam, or none that shows a neck.
    """
    items = [(str(bundle.folder), str(path)) for path in paths[:EXAMS]]
    found = [case for group in spread(sample, items, jobs, "exams and what is none") for case in group]
    if not found:
        raise InputError("There are no exams to fit plausibility to; draw some first.")
    # Results come in any order; a fit to the same cases must give the same numbers.
    found.sort(key=lambda case: (case[0], sorted(case[2].items())))
    coefficients = plausibility.fit(*([case[k] for case in found] for k in (2, 1, 0)))
    line = plausibility.read(coefficients)
    accepted: dict[str, list[bool]] = {}
    for name, _, seen in found:
        accepted.setdefault(name, []).append(line.value(seen) >= plausibility.LEAST)
    told = {name: f"{sum(values)} of {len(values)} accepted" for name, values in accepted.items()}
    return coefficients, told


def _around(centre: float, size: float, length: int) -> slice:
    start = int(np.clip(centre - size / 2, 0, max(0, length - 1)))
    return slice(start, min(length, max(start + 3, int(centre + size / 2))))


def _back(scene: Scene, rng: np.random.Generator, sizes: tuple[float, float]) -> Scene | None:
    """The spine without head and shoulders, as large as further down the back."""
    size = scene.size()
    if size is None:
        return None
    rows, columns = (np.flatnonzero(scene.mask.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    margin = int(40.0 / scene.spacing[2])
    found = scene.cut(
        slice(None),
        slice(int(rows[0] + 0.15 * len(rows)), int(rows[-1]) + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin),
    )
    return found.scaled(rng.uniform(*sizes) / size)


def _noisy(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    parts = rng.normal(0, rng.uniform(4, 15), (2, *image.shape)).astype(np.float32)
    return np.hypot(image + parts[0], parts[1])
