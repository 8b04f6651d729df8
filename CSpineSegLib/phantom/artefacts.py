"""What a scanner and a living patient do to an image, one small function each.

Arrays are (I, J, K) float32 unless said otherwise. Ranges are argued where they are drawn, in `image.render`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..volume import Grid


def smooth_noise(shape: Sequence[int], spacing: Sequence[float], length, rng: np.random.Generator) -> np.ndarray:
    """Noise (I, J, K) of about unit variance on nodes `length` mm (a number or one per axis) apart, linear between."""
    length = np.broadcast_to(np.asarray(length, float), (3,))
    # Never fewer voxels than nodes: noise finer than the grid is noise on the grid.
    length = np.maximum(length, spacing)
    nodes = [max(2, int(np.ceil(n * mm / step)) + 1) for n, mm, step in zip(shape, spacing, length, strict=True)]
    values = rng.standard_normal(nodes, dtype=np.float32)
    for axis in np.argsort(shape):
        values = _stretch(values, int(axis), shape[axis])
    return values


def _stretch(values: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Linear interpolation along an axis to `size` samples; the first and last nodes are the first and last samples."""
    nodes = values.shape[axis]
    position = np.linspace(0, nodes - 1, size) if size > 1 else np.zeros(1)
    low = np.minimum(position.astype(int), nodes - 2)
    part = (position - low).astype(np.float32).reshape(along(axis))
    return np.take(values, low, axis) * (1 - part) + np.take(values, low + 1, axis) * part


def along(axis: int) -> list[int]:
    """The shape that turns a vector into a (1, 1, N)-like array along `axis` of three."""
    return [-1 if a == axis else 1 for a in range(3)]


def coordinate(grid: Grid, row: int) -> np.ndarray:
    """Patient coordinate (I, J, K) float32 in mm: `row` 0 to the right, 1 to the front, 2 to the head."""
    m = grid.affine[row].astype(np.float32)
    i, j, k = (np.arange(n, dtype=np.float32).reshape(along(a)) for a, n in enumerate(grid.shape))
    return m[0] * i + m[1] * j + m[2] * k + m[3]


def coil(grid: Grid, reach: float, extent: float, middle: float = -10.0, front: float = 0.0) -> np.ndarray:
    """Sensitivity of a neck coil, near 1 at the spine.

    It falls off from nape to throat over `reach` mm and towards head and chest as a bell `extent` mm wide around z =
    `middle`. `front` (0 to 1) is the share of an anterior element, which has the opposite fall-off.
    """
    y, z = coordinate(grid, 1), coordinate(grid, 2)
    behind, before = np.exp(-(y + 5) / reach), np.exp((y - 30) / reach)
    return ((1 - front) * behind + front * before) * np.exp(-np.square((z - middle) / extent))


def saturation(grid: Grid, line: Sequence[float], edge: float, depth: float, width: float = 5.0) -> np.ndarray:
    """Gain of a saturation band before the spine: 1 behind it, 1 - `depth` within.

    The band begins `edge` mm before the line y = line[0] * z + line[1] and its wall is `width` mm wide.
    """
    distance = coordinate(grid, 1) - (line[0] * coordinate(grid, 2) + line[1] + edge)
    return 1 - depth / (1 + np.exp(np.clip(-distance / (width / 4), -30, 30)))


def fade_ends(shape: Sequence[int], axis: int, start: float, floor: float) -> np.ndarray:
    """Gain along an axis that sinks to `floor` towards both ends of the field of view, from `start` of the half on."""
    position = np.abs(np.linspace(-1, 1, shape[axis])) if shape[axis] > 1 else np.zeros(1)
    ease = np.clip((position - start) / max(1 - start, 1e-6), 0, 1)
    return (1 - (1 - floor) * ease * ease * (3 - 2 * ease)).astype(np.float32).reshape(along(axis))


def ghosts(image: np.ndarray, moving: np.ndarray, shift: int, strength: float, axis: int) -> np.ndarray:
    """Copies of what pulsates, `shift` voxels apart along the phase-encoding axis; the total signal is kept.

    A pulsation that is regular against the acquisition moves a share `strength` of the signal `moving` (I, J, K) into
    two copies, one on each side; they wrap round as an aliased image does.
    """
    copies = (np.roll(moving, shift, axis) + np.roll(moving, -shift, axis)) / 2
    return image + strength * (copies - moving)


def swallow(image: np.ndarray, throat: np.ndarray, shift: int, lines: np.ndarray, axis: int, moves: int) -> np.ndarray:
    """An image of which some k-space lines were measured while the throat had moved.

    Parameters
    ----------
    throat : weight (broadcasting to I, J, K), 1 where tissue moves, 0 where it rests.
    shift : by how many voxels it moves along the axis `moves`.
    lines : (N,) bool, the lines along `axis`, lowest frequency first as in an FFT, that were measured meanwhile.
    """
    moved = image + throat * (np.roll(image, shift, moves) - image)
    change = np.fft.fft(moved - image, axis=axis) * lines.reshape(along(axis))
    return (image + np.fft.ifft(change, axis=axis).real).astype(np.float32)


def acquire(image: np.ndarray, kept: dict[int, float], edge: float, sigma: float, rng: np.random.Generator):
    """Magnitude image of a smaller matrix, zero-filled to the same voxels, with Rician noise.

    Parameters
    ----------
    kept : axis -> share of the frequencies that were measured; less than 1 blurs, and rings where `edge` is 0.
    edge : 0 cuts k-space off sharply (Gibbs ringing); 1 rounds it off over its outer half.
    sigma : standard deviation of the noise of each channel in the result; interpolation correlates its neighbours.
    """
    windows = {axis: _window(image.shape[axis], share, edge) for axis, share in kept.items()}
    energy = np.prod([np.mean(np.square(window)) for window in windows.values()])
    noise = rng.standard_normal((2, *image.shape), dtype=np.float32) * np.float32(sigma / np.sqrt(max(energy, 1e-9)))
    signal = (image + noise[0]) + 1j * noise[1]
    axes = tuple(windows)
    spectrum = np.fft.fftn(signal.astype(np.complex64), axes=axes)
    for axis, window in windows.items():
        spectrum *= window.reshape(along(axis))
    return np.abs(np.fft.ifftn(spectrum, axes=axes)).astype(np.float32)


def _window(size: int, kept: float, edge: float) -> np.ndarray:
    """Weights (N,) of k-space lines in the order of an FFT."""
    frequency = np.abs(np.fft.fftfreq(size)) / (0.5 * min(kept, 1.0))
    ease = np.clip((frequency - (1 - 0.5 * edge)) / max(0.5 * edge, 1e-6), 0, 1)
    window = np.cos(ease * np.pi / 2) ** 2 if edge > 0 else np.ones(size)
    return np.where(frequency <= 1, window, 0).astype(np.float32)


def shifted(image: np.ndarray, voxels: float, axis: int) -> np.ndarray:
    """An image moved along an axis by a fraction of voxels or more, linear between voxels, periodic as k-space is."""
    whole = int(np.floor(voxels))
    part = np.float32(voxels - whole)
    return (1 - part) * np.roll(image, whole, axis) + part * np.roll(image, whole + 1, axis)


def interleave(shape: Sequence[int], axis: int, parity: float, each: float, rng: np.random.Generator) -> np.ndarray:
    """Gain per slice: slices of odd number differ by `parity` from even ones (cross-talk), each by `each` more."""
    count = shape[axis]
    gain = np.exp(rng.normal(0, each, count) + parity * (np.arange(count) % 2 - 0.5))
    return gain.astype(np.float32).reshape(along(axis))


def metal(image: np.ndarray, share: np.ndarray, reach: Sequence[float], pile: float, axis: int) -> np.ndarray:
    """Signal loss around metal and a bright rim beside it along the frequency-encoding axis.

    `share` (I, J, K) is the metal in each voxel, `reach` how far the loss extends along each axis in voxels, `pile` how
    bright the rim is. Nothing changes where there is no metal.
    """
    if not share.any():
        return image
    field = np.clip(blurred(share.astype(np.float32), reach) * 6 * (1 + float(np.mean(reach)) / 2), 0, None)
    loss = np.exp(-np.square(field))
    lost = image * (1 - loss)
    step = max(round(2 * reach[axis]), 1)
    return image * loss + pile * np.roll(lost, step, axis) * loss


def blurred(values: np.ndarray, sigma: Sequence[float]) -> np.ndarray:
    """Gaussian blur, `sigma` (3,) in voxels; less than 0.2 voxels is none."""
    for axis, voxels in enumerate(sigma):
        values = _blur(values, axis, float(voxels))
    return values


def _blur(values: np.ndarray, axis: int, sigma: float) -> np.ndarray:
    """Gaussian blur along one axis, `sigma` in voxels; the ends see zeros."""
    if sigma < 0.2:
        return values
    reach = int(np.ceil(2.5 * sigma))
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    weights /= weights.sum()
    padded = np.moveaxis(np.pad(values, [(reach, reach) if a == axis else (0, 0) for a in range(3)]), axis, 0)
    size = values.shape[axis]
    result = np.zeros_like(padded[:size])
    for first, weight in enumerate(weights.astype(np.float32)):
        result += weight * padded[first : first + size]
    return np.moveaxis(result, 0, axis)
