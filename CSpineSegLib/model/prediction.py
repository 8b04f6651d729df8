"""From an image to a mask on the image's own grid: the one function that every front end ends in."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .. import progress as progressing
from .. import volume
from ..errors import ModelError
from ..progress import Progress
from ..volume import Volume
from . import checks, devices, networks, plausibility, postprocess, preprocess, running
from .bundle import Bundle, Imported
from .plausibility import Verdict
from .postprocess import Cleaned
from .quality import Quality, assess, tempered

if TYPE_CHECKING:
    from .nnunet.prediction import Run

NO_SCORE = "This model was not calibrated, so there is no quality score and no doubt map."


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model said about an image.

    Parameters
    ----------
    mask : uint8 (0 background, 1 bodies, 2 discs) on the image's own grid and header geometry.
    probabilities : (3, I, J, K) float16 in the image's own axes, calibrated if the model is, or None if they were not
        asked for.
    engine : "torch" or "openvino".
    device : "cuda", "mps" or "cpu".
    seconds : wall time, loading of the network included.
    notes : sentences on the engine and the device, the precision, the resampling and anything unusual, for the record.
    quality : how far the mask can be trusted, or None if that was not asked for or the model was never calibrated.
    verdict : whether it is a cervical spine at all.
    cleaned : what was removed and filled, or None if that was not asked for.
    """

    mask: Volume
    probabilities: np.ndarray | None
    engine: str
    device: str
    seconds: float
    notes: list[str] = field(default_factory=list)
    quality: Quality | None = None
    verdict: Verdict | None = None
    cleaned: Cleaned | None = None


@dataclass(frozen=True, eq=False)
class Look:
    """An exam as the network sees it, and what runs the network.

    Parameters
    ----------
    slices, way : from :func:`preprocess.to_network`.
    engine : see :func:`running.open_engine`.
    step : what the sides of the network's inputs are padded to a multiple of.
    away : how many slices away the neighbours are; 0 for a network of single slices.
    window : side of windows in network pixels, or None for whole slices.
    """

    slices: np.ndarray
    way: preprocess.Way
    engine: running.Engine
    step: int
    away: int
    window: int | None

    def forward(self, slices: np.ndarray) -> np.ndarray:
        """Class probabilities (3, n, H, W) float32 of slices (n, H, W) like `slices`, for instance another view."""
        return running.forward(self.engine, slices, self.step, self.away, self.window)


def predict(
    bundle: Bundle | Imported,
    vol: Volume,
    device: str = "auto",
    progress: Progress | None = None,
    probabilities: bool = False,
    window: int | None = None,
    *,
    engine: str = "auto",
    anyway: bool = False,
    clean: bool | None = None,
    quality: bool = True,
    run: Run | None = None,
) -> Prediction:
    """Segment an image. The same machine, engine and number of threads give the same voxels; nothing is written.

    Parameters
    ----------
    bundle : from :func:`bundle.load`; for an imported model see also :func:`nnunet.prediction.predict`.
    vol : any orientation and voxel size; every orientation of the same image gives the same mask.
    device, engine : "auto" or a name; see :func:`devices.choose`.
    progress : told, and asked for cancellation, at every batch of slices.
    probabilities : also return class probabilities.
    window : run overlapping windows of this many network pixels a side (a multiple of the network's stride) instead
        of whole slices. None: whole slices, and windows of 512 for slices over 768 pixels.
    anyway : segment also what is no MR image, has an odd geometry or does not look like a cervical spine.
    clean : remove specks outside the spine and fill small holes; see :func:`postprocess.clean`. None does so for a
        packaged model, and leaves the mask of an imported one as nnU-Net would make it.
    quality : also look at the exam in further views, to say how far the mask can be trusted; takes about twice as long.
        Imported models have no calibration for that.
    run : mode, configuration, folds and mirroring of an imported model; None: the usual.

    Raises
    ------
    InputError : no cervical MR exam can be like this image; see :func:`checks.check_image`.
    NotCervicalError : it does not look like a cervical spine exam.
    ModelError : the device or engine is missing or has not enough memory, the weights are damaged, the window does
        not fit, or `window` was given for an imported model or `run` for a packaged one.
    Cancelled : the user cancelled.
    """
    if isinstance(bundle, Imported):
        if window is not None:
            raise ModelError(f"The imported model {bundle.name} has windows of its own, in its plans; leave yours out.")
        from .nnunet import prediction as imported

        options = {"engine": engine, "anyway": anyway, "clean": bool(clean), "run": run}
        return imported.predict(bundle, vol, device, progress, probabilities, **options)
    if run is not None:
        raise ModelError(
            f"Mode, configuration, folds and mirroring are for imported models, and {bundle.name} is none; "
            "leave them out, or choose another model."
        )
    clean = True if clean is None else clean
    began = time.perf_counter()
    progress = progressing.ensure(progress)
    progress.update("load model", 0.0)
    choice = devices.choose(device, engine, converted=bundle.is_converted)
    step = networks.stride(bundle.definition)
    if window is not None and (window < 2 * step or window % step):
        raise ModelError(f"A window of {window} does not suit the model; choose a multiple of {step} from {2 * step}.")
    notes = [choice.sentence]
    runner = running.open_engine(bundle, choice)
    progress.update("prepare", 0.03)

    def judge(some: Volume) -> Verdict:
        there = _look(bundle, some, runner, step, window, [])
        return _verdict(bundle, there, *_plain(there, progress.part(0.05, 0.95), []))

    try:
        notes += checks.check_image(vol, anyway, judge)
        look = _look(bundle, vol, runner, step, window, notes)
        views = bundle.calibration.views if quality and bundle.calibration is not None else ()
        first = 0.05 + 0.95 / (1 + len(views))
        labels, maps = _plain(look, progress.part(0.05, first), notes)
        verdict = _verdict(bundle, look, labels, maps)
        if not verdict.accepted:
            if not anyway:
                raise checks.refused(vol, verdict)
            notes.append(checks.in_spite_of(verdict.sentence))
        cleaned = None
        if clean:
            place = volume.reorient(vol, preprocess.ORIENTATION).affine
            cleaned = postprocess.clean(labels, (look.way.across, *look.way.spacing), maps, place)
            labels = cleaned.labels
            notes += cleaned.notes
        known = _known(bundle, look, labels, maps, progress.part(first, 1.0), notes) if quality else None
        mask = volume.restore(labels, preprocess.ORIENTATION, vol)
        on_image = _on_image(bundle, maps, vol) if probabilities else None
    except MemoryError as error:
        raise ModelError(
            f"There is not enough main memory for an image of {' x '.join(map(str, vol.shape))} voxels; "
            "close other programs or crop the image."
        ) from error
    progress.update("segment", 1.0)
    seconds = time.perf_counter() - began
    return Prediction(mask, on_image, choice.engine, choice.device, seconds, notes, known, verdict, cleaned)


def _look(bundle: Bundle, vol: Volume, runner: running.Engine, step: int, window: int | None, notes: list[str]) -> Look:
    slices, way = preprocess.to_network(vol, bundle.spacing)
    away = preprocess.neighbour(way.across, bundle.distance) if bundle.slices > 1 else 0
    return Look(slices, way, runner, step, away, _mode(slices.shape[1:], way, away, window, notes))


def _verdict(bundle: Bundle, look: Look, labels: np.ndarray, maps: np.ndarray) -> Verdict:
    """Whether labels (n, rows, columns) and their probabilities are those of a neck."""
    coefficients = bundle.calibration.plausibility if bundle.calibration is not None else None
    return plausibility.judge(labels, maps, (look.way.across, *look.way.spacing), coefficients)


def _plain(look: Look, progress: Progress, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (n, rows, columns) uint8 and probabilities (3, n, rows, columns) float16 on the image's own pixels."""
    shape = (len(look.slices), *look.way.shape)
    labels, maps = np.empty(shape, np.uint8), np.empty((3, *shape), np.float16)
    run = running.segment(
        look.engine, look.slices, look.step, look.away, window=look.window, progress=progress, notes=notes
    )
    for part, values in run:
        on_image = preprocess.from_network(values, look.way)
        labels[part] = on_image.argmax(axis=0)
        maps[:, part] = on_image
    return labels, maps


def _known(
    bundle: Bundle, look: Look, labels: np.ndarray, maps: np.ndarray, progress: Progress, notes: list[str]
) -> Quality | None:
    """The quality of labels (n, rows, columns); None, with a note, if the model was not calibrated."""
    if bundle.calibration is None:
        notes.append(NO_SCORE)
        return None
    area = float(np.prod(look.way.spacing))
    return assess(bundle.calibration, labels, maps, look.slices, look.way, area, look.forward, progress)


def _on_image(bundle: Bundle, maps: np.ndarray, vol: Volume) -> np.ndarray:
    """Probabilities (3, n, rows, columns), calibrated, in the image's own axes, (3, I, J, K) float16."""
    # Through float32, as NIfTI headers know no half precision.
    maps = maps.astype(np.float32)
    if bundle.calibration is not None:
        maps = tempered(maps, bundle.calibration.plain)
    turned = (volume.restore(one, preprocess.ORIENTATION, vol).array for one in maps)
    return np.stack([one.astype(np.float16) for one in turned])


def _mode(shape: tuple[int, ...], way: preprocess.Way, away: int, window: int | None, notes: list[str]) -> int | None:
    """Side of the windows, or None for whole slices; the choice is noted."""
    if window is None and max(shape) > running.LARGEST_SIDE:
        window = running.WINDOW
    if way.shape == way.network_shape:
        grid = "at their own pixel size"
    else:
        grid = f"resampled in plane to {way.network_spacing[0]:.3g} x {way.network_spacing[1]:.3g} mm"
    beside = f" with their neighbours {away * way.across:.3g} mm away" if away else ""
    run = f"in windows of {window} x {window} pixels" if window else "whole"
    notes.append(f"Slices {grid}{beside}, run {run}, in float32.")
    return window
