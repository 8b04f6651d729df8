"""How an imported model is asked to run: mode, configurations, folds, mirroring; checked against what the model has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...errors import ModelError
from .plans import CONFIGURATIONS, Configuration
from .store import Fold, Imported

MODES = ("exact", "default", "fast")
ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Run:
    """How to run an imported model.

    Parameters
    ----------
    mode : "default": as nnU-Net does, with the forward pass in bfloat16 or float16 where the device is faster by it.
        "exact": the same in float32. "fast": the first fold, unmirrored, the whole image at once where the memory
        allows; a trade of accuracy for time, see :func:`compare.compare_modes`.
    configuration : "2d", "3d_fullres" or "ensemble" (the mean of their probabilities); None: what nnU-Net's
        cross-validation found best, or else all that there are.
    folds : whose logits are averaged; None: all, or the one that was trained on all cases if there is no other.
    mirror : also show the network mirrored images, along the axes that it was trained for, and take the mean.

    Raises
    ------
    ModelError : a mode or configuration that there is not.
    """

    mode: str = "default"
    configuration: str | None = None
    folds: tuple[Fold, ...] | None = None
    mirror: bool = True

    def __post_init__(self) -> None:
        known = (*CONFIGURATIONS, ENSEMBLE)
        if self.mode not in MODES:
            raise ModelError(f"{self.mode!r} is not a mode; choose one of {', '.join(MODES)}.")
        if self.configuration is not None and self.configuration not in known:
            raise ModelError(f"{self.configuration!r} is not a configuration; choose one of {', '.join(known)}.")

    def settings(self) -> dict[str, Any]:
        """Plain values, for the record of where a mask came from."""
        folds = None if self.folds is None else list(self.folds)
        return {"mode": self.mode, "configuration": self.configuration, "folds": folds, "mirror": self.mirror}


@dataclass(frozen=True)
class Part:
    """One configuration of a run: its folds, the axes of a window to mirror along, and whether it runs fast."""

    configuration: Configuration
    folds: tuple[Fold, ...]
    axes: tuple[int, ...]
    fast: bool = False

    @property
    def sentence(self) -> str:
        """For the record."""
        folds = f"fold {self.folds[0]}" if len(self.folds) == 1 else f"folds {', '.join(map(str, self.folds))}"
        views = f"mirrored ({2 ** len(self.axes)} views)" if self.axes else "not mirrored"
        return f"{self.configuration.name}, {folds}, {views}"


def parts_of(model: Imported, run: Run) -> tuple[Part, ...]:
    """What to run, in the order in which probabilities are added up; ModelError if the model does not have it."""
    present = [name for name in CONFIGURATIONS if name in model.plans.configurations]
    wanted = run.configuration or model.best
    if wanted is None or (run.configuration is None and not set(_names(wanted)) <= set(present)):
        wanted = ENSEMBLE if len(present) > 1 else present[0]
    missing = [name for name in _names(wanted) if name not in present]
    if missing:
        raise ModelError(
            f"The model {model.name} has no configuration {' and no '.join(missing)}, only {', '.join(present)}; "
            "choose another, or import the others too."
        )
    return tuple(_part(model, name, run) for name in _names(wanted))


def _part(model: Imported, name: str, run: Run) -> Part:
    there = model.folds(name)
    wanted = there if run.folds is None else tuple(run.folds)
    if run.folds is None and any(isinstance(fold, int) for fold in there):
        # Trained on all cases: nnU-Net, too, takes it only where it is asked for.
        wanted = tuple(fold for fold in there if isinstance(fold, int))
    missing = [str(fold) for fold in wanted if fold not in there]
    if missing or not wanted:
        raise ModelError(
            f"The model {model.name} has no fold {' and no fold '.join(missing) or 'of that'} of {name}, "
            f"only {', '.join(map(str, there))}."
        )
    fast = run.mode == "fast"
    axes = model.mirroring.get(name, ()) if run.mirror and not fast else ()
    return Part(model.plans.configurations[name], wanted[:1] if fast else wanted, tuple(axes), fast)


def _names(wanted: str) -> tuple[str, ...]:
    return tuple(CONFIGURATIONS) if wanted == ENSEMBLE else (wanted,)
