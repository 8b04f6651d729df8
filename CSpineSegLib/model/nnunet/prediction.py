"""From an image to a mask with an imported model: what `nnUNetv2_predict` and `nnUNetv2_ensemble` give, and why not.

Two refusals are not nnU-Net's: images that cannot be cervical MR exams, and masks that do not look like a neck. The
mask itself is nnU-Net's own: it is cleaned only where that is asked for.
"""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass

import numpy as np

from ... import progress as progressing
from ... import volume
from ...errors import ModelError
from ...progress import Progress
from ...volume import Volume
from .. import checks, devices, plausibility, postprocess
from ..plausibility import Verdict
from ..prediction import NO_SCORE, Prediction
from ..preprocess import ORIENTATION
from . import preprocess
from .forward import cost, logits_of
from .preprocess import Exam
from .run import Part, Run, parts_of
from .store import Imported

__all__ = ["Outcome", "Run", "predict"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the networks said of an exam, on its own voxels, in the axes of the network.

    Parameters
    ----------
    labels : (z, y, x) uint8 of the part of the exam that the network sees.
    scores : (3, z, y, x), logits in float16 or, of an ensemble, probabilities in float32.
    """

    exam: Exam
    labels: np.ndarray
    scores: np.ndarray

    def probabilities(self, index: int) -> np.ndarray:
        """(3, y, x) float32 of one plane."""
        plane = self.scores[:, index]
        return plane if plane.dtype == np.float32 else softmax(plane)

    def own(self) -> np.ndarray:
        """Probability of each voxel's own label (z, y, x) float16; zero in the background."""
        found = np.zeros(self.labels.shape, np.float16)
        there = self.labels > 0
        scores = self.scores[:, there]
        values = scores if scores.dtype == np.float32 else softmax(scores)
        found[there] = np.take_along_axis(values, self.labels[there][None].astype(np.intp), axis=0)[0]
        return found


def predict(
    model: Imported,
    vol: Volume,
    device: str = "auto",
    progress: Progress | None = None,
    probabilities: bool = False,
    *,
    engine: str = "auto",
    anyway: bool = False,
    clean: bool = False,
    run: Run | None = None,
) -> Prediction:
    """Segment an image with an imported model; nothing is written.

    The axes of the image are brought to the model's orientation first, and the mask back onto the image's own grid, so
    every orientation of an image gives the same mask. Logits are added up in half precision, as nnU-Net does, in every
    mode; see :class:`Run` for what else a mode changes.

    Parameters
    ----------
    vol : any orientation and voxel size.
    device, engine : "auto" or a name; see :func:`devices.choose`.
    progress : told, and asked for cancellation, several times a second.
    probabilities : also return class probabilities.
    anyway : segment also what is no MR image, has an odd geometry or does not look like a cervical spine.
    clean : remove specks outside the spine and fill small holes; nnU-Net does not. See :func:`postprocess.clean`.
    run : mode, configuration, folds and mirroring; None: the usual.

    Raises
    ------
    InputError : no cervical MR exam can be like this image; see :func:`checks.check_image`.
    NotCervicalError : it does not look like a cervical spine exam.
    ModelError : what `run` asks for is not in the model, the device or engine is missing or has not enough memory, or
        the weights are damaged.
    Cancelled : the user cancelled.
    """
    began = time.perf_counter()
    run, progress = run or Run(), progressing.ensure(progress)
    progress.update("load model", 0.0)
    parts = parts_of(model, run)
    choice = devices.choose(device, engine, converted=model.is_converted)
    notes = [choice.sentence]
    segment = functools.partial(_segment, model, choice=choice, exact=run.mode == "exact")

    def judge(some: Volume) -> Verdict:
        quick = Part(parts[0].configuration, parts[0].folds[:1], (), parts[0].fast)
        return _verdict(segment(some, (quick,), progress=progress.part(0.01, 0.02), notes=[]))

    try:
        notes += checks.check_image(vol, anyway, judge)
        outcome = segment(vol, parts, progress=progress.part(0.02, 0.95), notes=notes)
        notes += _told(model, run, parts, outcome.exam)
        verdict = _verdict(outcome)
        progress.update("finish", 0.97)
        if not verdict.accepted:
            if not anyway:
                raise checks.refused(vol, verdict)
            notes.append(checks.in_spite_of(verdict.sentence))
        mask = volume.restore(outcome.exam.back(outcome.labels), model.orientation, vol)
        cleaned = None
        if clean:
            labels, own, spacing, affine = _upright(outcome)
            cleaned = postprocess.clean(labels, spacing, own, affine)
            mask = volume.restore(cleaned.labels, ORIENTATION, vol)
            notes += cleaned.notes
        on_image = _on_image(outcome, model.orientation, vol, progress.part(0.97, 1.0)) if probabilities else None
    except MemoryError as error:
        raise ModelError(
            f"There is not enough main memory for an image of {' x '.join(map(str, vol.shape))} voxels; "
            "close other programs or crop the image."
        ) from error
    progress.update("finish", 1.0)
    notes.append(NO_SCORE)
    seconds = time.perf_counter() - began
    return Prediction(mask, on_image, choice.engine, choice.device, seconds, notes, None, verdict, cleaned)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (3, ...) float32 of logits (3, ...)."""
    values = logits.astype(np.float32)
    values -= values.max(axis=0)
    np.exp(values, out=values)
    values /= values.sum(axis=0)
    return values


def highest(scores: np.ndarray) -> np.ndarray:
    """The class (...) uint8 of the highest of scores (c, ...); the first of equals."""
    best, labels = scores[0], np.zeros(scores.shape[1:], np.uint8)
    for label, values in enumerate(scores[1:], 1):
        higher = values > best
        labels[higher] = label
        best = np.where(higher, values, best)
    return labels


def _segment(
    model: Imported,
    vol: Volume,
    parts: tuple[Part, ...],
    *,
    choice: devices.Choice,
    exact: bool,
    progress: Progress,
    notes: list[str],
) -> Outcome:
    """The logits of a single configuration, or the mean of the probabilities of several, and their labels."""
    exam = preprocess.examine(vol, model.plans, model.orientation)
    work = [cost(exam, part) for part in parts]
    ends = [sum(work[:index]) / sum(work) for index in range(len(work) + 1)]
    total: np.ndarray | None = None
    for part, begin, end in zip(parts, ends[:-1], ends[1:], strict=True):
        logits = logits_of(model, exam, part, choice, exact, progress.part(0.98 * begin, 0.98 * end), notes)
        if len(parts) == 1:
            total = logits
            break
        if total is None:
            total = np.zeros(logits.shape, np.float32)
        for index in range(logits.shape[1]):
            progress.update("ensemble", 0.98 * end)
            total[:, index] += softmax(logits[:, index])
    labels = np.empty(total.shape[1:], np.uint8)
    for index in range(len(labels)):
        progress.update("finish", 0.98 + 0.02 * index / len(labels))
        if len(parts) > 1:
            total[:, index] /= len(parts)
        labels[index] = highest(total[:, index].astype(np.float32))
    return Outcome(exam, labels, total)


def _upright(outcome: Outcome) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels (n, rows, columns) and their probabilities (3, n, rows, columns; the same thrice) as packaged models see
    exams, with the spacing (3,) and the affine (4, 4) of this array."""
    exam = outcome.exam
    turned = [
        volume.reorient(Volume(exam.back(values), exam.turned.affine), ORIENTATION)
        for values in (outcome.labels, outcome.own())
    ]
    labels, own = turned[0].array, turned[1].array
    return labels, np.broadcast_to(own, (3, *own.shape)), turned[0].spacing, turned[0].affine


def _verdict(outcome: Outcome) -> Verdict:
    labels, own, spacing, _ = _upright(outcome)
    return plausibility.judge(labels, own, spacing)


def _on_image(outcome: Outcome, orientation: str, vol: Volume, progress: Progress) -> np.ndarray:
    """Probabilities in the image's own axes, (3, I, J, K) float16; background where the network saw nothing."""
    found = np.empty(outcome.scores.shape, np.float32)
    for index in range(found.shape[1]):
        progress.update("finish", index / found.shape[1])
        found[:, index] = outcome.probabilities(index)
    # Through float32, as NIfTI headers know no half precision.
    turned = (volume.restore(outcome.exam.back(one, label == 0), orientation, vol) for label, one in enumerate(found))
    return np.stack([one.array.astype(np.float16) for one in turned])


def _told(model: Imported, run: Run, parts: tuple[Part, ...], exam: Exam) -> list[str]:
    """What was done, for the record."""
    means = "; the mean of their probabilities" if len(parts) > 1 else ""
    told = [f"nnU-Net {' and '.join(part.sentence for part in parts)}{means}, mode {run.mode}."]
    if run.mode == "fast":
        told.append("Mode fast trades accuracy for time: one fold, not mirrored, the whole image at once.")
    told.append(f"The image was taken as {model.orientation}, as the model was trained.")
    for part in parts:
        wanted, name = preprocess.target(exam, part.configuration), part.configuration.name
        if preprocess.shape_of(exam, part.configuration) == exam.shape:
            told.append(f"{name}: at its own voxel size, {_size(exam.spacing)} mm.")
        else:
            told.append(f"{name}: resampled from {_size(exam.spacing)} to {_size(wanted)} mm by splines as in nnU-Net.")
    return told


def _size(spacing: tuple[float, ...]) -> str:
    return " x ".join(f"{size:.3g}" for size in spacing)
