"""How an exam is segmented: the options that the jobs, the worker and the command line share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from ..errors import ModelError
from ..model import Bundle
from ..model.nnunet.run import Run, parts_of
from ..model.nnunet.store import Imported


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
            found["run"] = self.run.settings()
        return found

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Options:
        """The reverse of :meth:`to_json`; ModelError for a run that cannot be."""
        content = dict(content)
        if content.get("run") is not None:
            run = dict(content["run"])
            if run.get("folds") is not None:
                run["folds"] = tuple(run["folds"])
            content["run"] = Run(**run)
        return cls(**content)

    def settings(self, model: Bundle | Imported) -> dict[str, Any]:
        """What of these changes the mask, for the record of where it came from."""
        found = {"anyway": self.anyway, "clean": self.cleans(model)}
        if isinstance(model, Imported):
            found.update((self.run or Run()).settings())
        return found

    def cleans(self, model: Bundle | Imported) -> bool:
        """Whether the mask is cleaned: an imported model's is nnU-Net's own, unless it was asked for."""
        return not isinstance(model, Imported) if self.clean is None else self.clean

    def predicting(self, model: Bundle | Imported) -> dict[str, Any]:
        """The arguments of :func:`model.predict`; ModelError for a run that this model does not have."""
        if isinstance(model, Imported):
            parts_of(model, self.run or Run())
        elif self.run is not None:
            raise ModelError(
                f"Mode, configuration, folds and mirroring are for imported models, and {model.name} is none; "
                "leave them out, or choose another --model."
            )
        clean = self.cleans(model)
        return {"device": self.device, "engine": self.engine, "anyway": self.anyway, "clean": clean, "run": self.run}
