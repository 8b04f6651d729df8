"""How an exam is segmented: the options that the jobs, the worker and the command line share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..model import Bundle

if TYPE_CHECKING:
    from ..model.nnunet.prediction import Run


@dataclass(frozen=True)
class Options:
    """Options of one segmentation; the meaning of most is told by :func:`model.predict`.

    Parameters
    ----------
    device, engine : "auto" or a name.
    anyway : also what does not look like a cervical spine MRI exam.
    clean : None cleans the mask of a packaged model and never that of an imported one.
    force : do it again, and replace what lies there.
    run : mode, configuration, folds and mirroring of an imported model; None for the usual.
    """

    device: str = "auto"
    engine: str = "auto"
    anyway: bool = False
    clean: bool | None = None
    force: bool = False
    run: Run | None = None

    def to_json(self) -> dict[str, Any]:
        """The options that differ from the usual, as plain values."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        found = {name: value for name, value in found.items() if value != getattr(Options, name)}
        if self.run is not None:
            found["run"] = _plain(self.run)
        return found

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Options:
        """The reverse of :meth:`to_json`; ModelError for a run that cannot be."""
        content = dict(content)
        if content.get("run") is not None:
            from ..model.nnunet.prediction import Run

            run = dict(content["run"])
            if run.get("folds") is not None:
                run["folds"] = tuple(run["folds"])
            content["run"] = Run(**run)
        return cls(**content)

    def settings(self, model: Bundle) -> dict[str, Any]:
        """What of these changes the mask, for the record of where it came from."""
        found = {"anyway": self.anyway, "clean": self.cleans(model)}
        if is_imported(model):
            from ..model.nnunet.prediction import Run

            found.update((self.run or Run()).settings())
        return found

    def cleans(self, model: Bundle) -> bool:
        """Whether the mask is cleaned: an imported model's is nnU-Net's own, unless it was asked for."""
        return not is_imported(model) if self.clean is None else self.clean

    def predicting(self, model: Bundle) -> dict[str, Any]:
        """The arguments of :func:`model.predict`; ModelError for a run of a model that was not imported."""
        found = {"device": self.device, "engine": self.engine, "anyway": self.anyway, "clean": self.cleans(model)}
        if is_imported(model):
            return {**found, "run": self.run}
        if self.run is not None:
            raise ModelError(
                f"Mode, configuration, folds and mirroring are for imported models, and {model.name} is none; "
                "leave them out, or choose another --model."
            )
        return found


def is_imported(model: Bundle) -> bool:
    """True for a model that was imported from nnU-Net."""
    return model.metadata.get("format") == "nnunet"


def _plain(run: Run) -> dict[str, Any]:
    found = {field.name: getattr(run, field.name) for field in fields(run)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}
