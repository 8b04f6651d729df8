"""What goes wrong with an exam, done to a phantom on purpose, so that a model fails by degrees and can be judged.

Everything works on arrays (n, rows, columns): sagittal slices, intensities float32 from 0 upwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .. import volume
from .exams import Exam

_AXES = "RIP"
_BRIGHT = 99.5


def spoil(exam: Exam, seed: int) -> Exam:
    """The exam with one or two faults, drawn from the seed; its name says which."""
    rng = np.random.default_rng([seed, 22])
    chosen = rng.choice(len(_FAULTS), rng.integers(1, 3), replace=False)
    image = volume.reorient(exam.image, _AXES)
    array, names = np.maximum(image.array.astype(np.float32), 0), []
    for index in sorted(chosen):
        fault = _FAULTS[index]
        array = fault(array, image.spacing[1:], rng)
        names.append(fault.__name__.strip("_"))
    spoilt = change(exam, array, "+".join(names))
    return cropped(spoilt, rng) if rng.random() < 0.25 else spoilt


def change(exam: Exam, array: np.ndarray, what: str) -> Exam:
    """The exam with other intensities, given as (n, rows, columns)."""
    image = volume.restore(array.astype(np.float32), _AXES, exam.image)
    return replace(exam, name=f"{exam.name} {what}", image=image)


def slices_of(exam: Exam) -> np.ndarray:
    """Intensities (n, rows, columns) float32."""
    return np.array(volume.reorient(exam.image, _AXES).array, np.float32)


def bright(array: np.ndarray) -> np.float32:
    """What counts as the brightest intensity: the 99.5th percentile."""
    return np.float32(max(float(np.percentile(array, _BRIGHT)), 1e-6))


def rician(array: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    """Rician noise of standard deviation `level` in each channel."""
    noise = rng.normal(0, level, (2, *array.shape)).astype(np.float32)
    return np.sqrt(np.square(array + noise[0]) + np.square(noise[1]))


def curve(array: np.ndarray, exponent: float) -> np.ndarray:
    """Intensities up to the brightest, to a power, on their former scale."""
    top = bright(array)
    return np.power(np.clip(array / top, 0, 1), np.float32(exponent)) * top


def inverted(array: np.ndarray) -> np.ndarray:
    """Dark for bright."""
    top = bright(array)
    return top - np.minimum(array, top)


def cropped(exam: Exam, rng: np.random.Generator) -> Exam:
    """The exam on a smaller field of view: 50 to 85 % of its rows and columns, slices as they were."""
    parts = [volume.reorient(part, _AXES) for part in (exam.image, exam.mask, exam.spared)]
    window = [slice(None)]
    for size in parts[0].shape[1:]:
        kept = int(size * rng.uniform(0.5, 0.85))
        start = int(rng.integers(0, size - kept + 1))
        window.append(slice(start, start + kept))
    affine = parts[0].affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start or 0 for part in window]
    made = [volume.from_array(np.ascontiguousarray(part.array[tuple(window)]), affine) for part in parts]
    return replace(exam, name=f"{exam.name} cropped", image=made[0], mask=made[1], spared=made[2])


def _noise(array, spacing, rng):
    return rician(array, float(bright(array)) * float(np.exp(rng.uniform(-3.9, -1.6))), rng)


def _blur(array, spacing, rng):
    """A scan of few lines: k-space beyond the matrix's own resolution is empty."""
    for axis in (1, 2):
        resolution = rng.uniform(0.8, 2.2)
        frequency = np.fft.rfftfreq(array.shape[axis], spacing[axis - 1])
        window = np.exp(-((frequency * 2 * resolution) ** 4)).reshape([-1 if a == axis else 1 for a in range(3)])
        array = np.fft.irfft(np.fft.rfft(array, axis=axis) * window, n=array.shape[axis], axis=axis)
    return np.maximum(array, 0).astype(np.float32)


def _motion(array, spacing, rng):
    """Ghosts: the patient's position oscillates along one axis while lines of k-space are filled."""
    axis = int(rng.integers(1, 3))
    k = np.fft.fft(array, axis=axis)
    lines = np.arange(array.shape[axis])
    phase = np.sin(lines * rng.uniform(0.05, 3.0) + rng.uniform(0, 6.3)) * rng.uniform(0.1, 0.7)
    k = k * np.exp(1j * phase).reshape([-1 if a == axis else 1 for a in range(3)])
    return np.abs(np.fft.ifft(k, axis=axis)).astype(np.float32)


def _contrast(array, spacing, rng):
    array = curve(array, float(np.exp(rng.uniform(-0.9, 0.9))))
    return inverted(array) if rng.random() < 0.2 else array


def _shading(array, spacing, rng):
    """A coil that sees one end of the field of view badly."""
    rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in array.shape[1:])
    slope = rng.normal(0, 1.2, 2)
    return array * np.exp(slope[0] * rows[:, None] + slope[1] * columns[None]).astype(np.float32)


def _uneven(array, spacing, rng):
    """Slices of different brightness, as with crosstalk."""
    return array * rng.uniform(0.45, 1.0, (len(array), 1, 1)).astype(np.float32)


def _band(array, spacing, rng):
    """A saturation band or a metal shadow across the field of view."""
    axis = int(rng.integers(1, 3))
    size = array.shape[axis]
    centre, width = rng.uniform(0.2, 0.8) * size, rng.uniform(0.03, 0.15) * size
    depth = rng.uniform(0.5, 1.0) * np.exp(-(((np.arange(size) - centre) / width) ** 4))
    return array * (1 - depth).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])


Fault = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
_FAULTS: tuple[Fault, ...] = (_blur, _motion, _shading, _uneven, _band, _contrast, _noise)
