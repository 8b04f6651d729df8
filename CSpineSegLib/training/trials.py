"""The single trials of a validation: an exam, what is done to it, and what is measured then; plain JSON values."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .. import model, volume
from ..errors import InputError
from ..model import preprocess, quality
from ..phantom.grids import turned
from . import exams, fitting, looking, spoiling
from .exams import Exam

ORIENTATIONS = ("PSR", "RAS", "LPI", "RSP", "ASL", "IPL", "SLA", "PIR")
_DEGREES = 12.0
# How much larger or smaller than it is a person is made to look.
_LARGER, _SMALLER = 1.18, 0.85
_NOISE = 0.06
# Thin slices that together make a thick one, and what both then look like.
_THICK = 4
# mm2 of a part on a slice that counts, mm3 of a part that is more than a speck.
_LEAST_PART, _SPECK = 20.0, 300.0


@cache
def opened(bundle: str) -> model.Bundle:
    """The bundle, loaded and checked once a process."""
    return model.load(bundle)


def run(bundle: str, trial: str, path: str, option: str) -> dict[str, Any]:
    """One trial of :data:`TRIALS` on a kept exam or an image file; `option` says what of it."""
    began = time.perf_counter()
    figures = TRIALS[trial](opened(bundle), Path(path), option)
    return {**figures, "seconds": round(time.perf_counter() - began, 3)}


def _scored(bundle: model.Bundle, exam: Exam, *, score: bool = False) -> dict[str, Any]:
    """Dice of an exam's mask and whether it would be refused; with the predicted Dice and reliability if asked."""
    found = model.predict(bundle, exam.image, "cpu", probabilities=score, anyway=True, quality=score)
    truth, counted = exam.truth()
    figures: dict[str, Any] = {"dice": fitting.dice(truth, found.mask.array, counted), **_verdict(found)}
    figures["truly"] = {key: int((truth == value).sum()) for value, key in enumerate(("bodies", "discs"), 1)}
    if score:
        figures |= _reliability(bundle, exam, found.probabilities)
    if found.quality is not None:
        known = found.quality
        figures["predicted"] = {"bodies": known.dice_bodies, "discs": known.dice_discs, "score": known.score}
    return figures


def _verdict(found: model.Prediction) -> dict[str, Any]:
    verdict = found.verdict
    if verdict is None:
        return {}
    return {"cervical": round(float(verdict.probability), 4), "refused": not verdict.accepted}


def _reliability(bundle: model.Bundle, exam: Exam, maps: np.ndarray) -> dict[str, Any]:
    """Tables of reliability of the probabilities as given out, and as the network gave them."""
    truth, counted = exam.truth()
    rng = np.random.default_rng([int(exam.about["seed"]), 24])
    chosen = looking.around(truth, counted, exam.image.spacing, rng)
    labels = truth.reshape(-1)[chosen]
    given = maps.reshape(3, -1)[:, chosen].astype(np.float32)
    temperature = 1.0 if bundle.calibration is None else bundle.calibration.plain
    raw = quality.tempered(given, 1 / temperature)
    return {
        "reliability": fitting.reliability(given, labels).round(4).tolist(),
        "reliability_uncalibrated": fitting.reliability(raw, labels).round(4).tolist(),
    }


def _plain(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    return _scored(bundle, exams.load(path), score=True)


def _spoilt(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    exam = exams.load(path)
    spoilt = spoiling.spoil(exam, int(exam.about["seed"]) * 16 + int(option))
    return {**_scored(bundle, spoilt, score=True), "what": spoilt.name}


def _changed(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    return _scored(bundle, CHANGES[option](exams.load(path)))


def _mirrored(exam: Exam) -> Exam:
    """The person with left and right exchanged."""

    def flip(part: volume.Volume) -> volume.Volume:
        return volume.from_array(np.ascontiguousarray(np.flip(part.array, part.sagittal_axis)), part.affine)

    return replace(exam, image=flip(exam.image), mask=flip(exam.mask), spared=flip(exam.spared))


def _rotated(degrees: float) -> Callable[[Exam], Exam]:
    """The person nodding: sampled anew on a grid that is turned about the left-right axis."""

    def change(exam: Exam) -> Exam:
        grid = turned(exam.image.grid, (np.deg2rad(degrees), 0.0, 0.0))
        return replace(
            exam,
            image=volume.resample(exam.image, grid),
            mask=volume.resample(exam.mask, grid, order=0),
            spared=volume.resample(exam.spared, grid, order=0),
        )

    return change


def _sized(factor: float) -> Callable[[Exam], Exam]:
    """The person larger or smaller in the sagittal plane, by other pixel sizes on the same pixels."""

    def change(exam: Exam) -> Exam:
        scale = np.full(4, factor)
        scale[[exam.image.sagittal_axis, 3]] = 1.0
        affine = exam.image.affine * scale
        parts = {name: replace(getattr(exam, name), affine=affine) for name in ("image", "mask", "spared")}
        return replace(exam, **parts)

    return change


def _intensities(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Exam], Exam]:
    return lambda exam: spoiling.change(exam, change(spoiling.slices_of(exam)), "")


def _noisy(array: np.ndarray) -> np.ndarray:
    return spoiling.rician(array, float(spoiling.bright(array)) * _NOISE, np.random.default_rng(25))


CHANGES: dict[str, Callable[[Exam], Exam]] = {
    "mirrored": _mirrored,
    "rotated forwards": _rotated(_DEGREES),
    "rotated backwards": _rotated(-_DEGREES),
    "larger": _sized(_LARGER),
    "smaller": _sized(_SMALLER),
    "inverted": _intensities(spoiling.inverted),
    "gamma 0.6": _intensities(lambda array: spoiling.curve(array, 0.6)),
    "gamma 1.6": _intensities(lambda array: spoiling.curve(array, 1.6)),
    "noise": _intensities(_noisy),
}


def _turned(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    """The least agreement of the masks of one exam stored in eight orientations."""
    exam, masks = exams.load(path), []
    for codes in ORIENTATIONS:
        found = model.predict(bundle, volume.reorient(exam.image, codes), "cpu", anyway=True, quality=False)
        masks.append(volume.reorient(found.mask, preprocess.ORIENTATION).array)
    worst = {"bodies": 1.0, "discs": 1.0}
    for mask in masks[1:]:
        worst = {key: min(worst[key], value or 0.0) for key, value in fitting.dice(masks[0], mask).items()}
    return {"agreement": worst, "orientations": list(ORIENTATIONS)}


def _thick(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    """An isotropic exam against the thick sagittal slices that can be made of it."""
    exam = exams.load(path)
    thin = model.predict(bundle, exam.image, "cpu", anyway=True, quality=False).mask
    labels = {name: thickened(getattr(exam, name), mean=False) for name in ("mask", "spared")}
    thick = replace(exam, image=thickened(exam.image, mean=True), **labels)
    found = model.predict(bundle, thick.image, "cpu", anyway=True, quality=False).mask
    figures = {"agreement": fitting.dice(thickened(thin, mean=False).array, found.array)}
    for name, one, mask in (("thin", exam, thin), ("thick", thick, found)):
        truth, counted = one.truth()
        figures[f"dice_{name}"] = fitting.dice(truth, mask.array, counted)
    return figures


def thickened(thin: volume.Volume, mean: bool) -> volume.Volume:
    """Four neighbouring sagittal slices made one, "PSR": their mean, or the label of most of them."""
    turned = volume.reorient(thin, "RAS")
    count = turned.shape[0] // _THICK
    blocks = turned.array[: count * _THICK].reshape(count, _THICK, *turned.shape[1:])
    if mean:
        array = blocks.mean(axis=1, dtype=np.float32)
    else:
        votes = [(blocks == value).sum(axis=1) for value in range(int(blocks.max(initial=0)) + 1)]
        array = np.argmax(votes, axis=0).astype(np.uint8)
    affine = turned.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (_THICK - 1) / 2
    affine[:3, 0] *= _THICK
    return volume.reorient(volume.from_array(array, affine), "PSR")


def _negative(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    """Whether an image that is no cervical spine exam is refused, and in which words."""
    try:
        found = model.predict(bundle, volume.read(path), "cpu", quality=False)
    except InputError as error:
        return {"refused": True, "sentence": str(error).replace(str(path), path.name)}
    return {"sentence": None, **_verdict(found), "refused": False}


def _scan(bundle: model.Bundle, path: Path, option: str) -> dict[str, Any]:
    """What is found in a real exam without a truth: parts on the middle slices, and specks."""
    found = model.predict(bundle, volume.read(path), "cpu", anyway=True)
    figures: dict[str, Any] = {**counted_parts(found.mask), **_verdict(found)}
    if found.quality is not None:
        figures["predicted"] = {"bodies": found.quality.dice_bodies, "discs": found.quality.dice_discs}
    return figures


def counted_parts(mask: volume.Volume) -> dict[str, Any]:
    """Parts of bodies and discs of at least 20 mm2 on the three slices around the one that shows most, and specks.

    A speck is a part of the whole mask, bodies and discs together, of less than 300 mm3, in all slices.
    """
    from scipy import ndimage

    turned = volume.reorient(mask, preprocess.ORIENTATION)
    labels, spacing = turned.array, turned.spacing
    middle = int(np.clip((labels > 0).sum(axis=(1, 2)).argmax(), 1, max(1, len(labels) - 2)))
    figures: dict[str, Any] = {"slices": list(range(max(0, middle - 1), min(middle + 2, len(labels))))}
    for value, key in enumerate(("bodies", "discs"), 1):
        least = _LEAST_PART / (spacing[1] * spacing[2])
        sizes = [np.bincount(ndimage.label(labels[index] == value)[0].ravel())[1:] for index in figures["slices"]]
        figures[key] = [int(np.count_nonzero(size >= least)) for size in sizes]
    parts = np.bincount(ndimage.label(labels > 0, np.ones((3, 3, 3)))[0].ravel())[1:] * float(np.prod(spacing))
    return {**figures, "parts": len(parts), "specks": int(np.count_nonzero(parts < _SPECK))}


TRIALS: dict[str, Callable[[model.Bundle, Path, str], dict[str, Any]]] = {
    "plain": _plain,
    "spoilt": _spoilt,
    "changed": _changed,
    "turned": _turned,
    "thick": _thick,
    "negative": _negative,
    "scan": _scan,
}
