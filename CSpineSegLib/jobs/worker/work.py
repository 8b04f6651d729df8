"""What the worker can be asked to do that takes time: load a model, segment an exam or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import model as models
from ...dataset import Exam
from ...model import Bundle, checksums, devices, running
from ...model.nnunet import store
from ...progress import Progress
from ..options import Options
from ..segment import segment, segment_file
from .shelf import Shelf


class Models:
    """Models that were opened and checked, each until a file of it changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Bundle, tuple]] = {}

    def open(self, name: str) -> Bundle:
        """A model by its name or folder; ModelError as of :func:`model.load`."""
        known = self._known.get(name)
        if known is not None and known[1] == _stamp(known[0]):
            return known[0]
        bundle = models.load(name)
        self._known[name] = bundle, _stamp(bundle)
        return bundle

    def names(self) -> list[str]:
        return sorted(bundle.name for bundle, _ in list(self._known.values()))

    def folder(self, name: str | None) -> Path | None:
        """Where an opened model lies."""
        return self._known[name][0].folder if name in self._known else None


def load(fields: dict[str, Any], known: Models, shelf: Shelf, progress: Progress) -> dict[str, Any]:
    """Open a model, check that it can run as asked, and make its network ready for the first exam."""
    progress.update("load model", 0.0)
    bundle = known.open(fields["model"])
    device, engine = fields.get("device", "auto"), fields.get("engine", "auto")
    choice = devices.choose(device, engine, converted=bundle.is_converted)
    if isinstance(bundle, Bundle):
        running.open_engine(bundle, choice)
    progress.update("load model", 1.0)
    content = {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256, "folder": str(bundle.folder)}
    return {"model": {**content, "engine": choice.engine, "device": choice.device, "sentence": choice.sentence}}


def run(fields: dict[str, Any], known: Models, shelf: Shelf, progress: Progress) -> dict[str, Any]:
    """Segment an exam of a dataset, or a file to a file."""
    bundle = known.open(fields["model"])
    names = ("device", "engine", "anyway", "clean", "force", "run")
    how = vars(Options.from_json({name: fields[name] for name in names if name in fields}))
    how |= {"progress": progress, "read": shelf.take}
    if "exam" in fields:
        result = segment(exam_from(fields["exam"]), bundle, **how)
    else:
        image, output = Path(fields["image"]), Path(fields["output"])
        result = segment_file(image, output, bundle, quality=fields.get("quality", False), **how)
    return {"result": result.to_json()}


def import_model(fields: dict[str, Any], known: Models, shelf: Shelf, progress: Progress) -> dict[str, Any]:
    """Make a model of the user's own of what nnU-Net exported."""
    from ...model.nnunet import importing

    made = importing.import_model(fields["source"], orientation=fields.get("orientation"), progress=progress)
    content = {"name": made.name, "version": made.version, "sha256": made.sha256, "folder": str(made.folder)}
    return {"model": {**content, "notes": list(made.metadata["notes"])}}


COMMANDS = {"load": load, "segment": run, "import": import_model}


def exam_to(exam: Exam) -> dict[str, Any]:
    """What a request says of an exam: nothing about the patient but the name of its files."""
    paths = {"image": exam.image, "mask": exam.mask, "processed": exam.processed}
    return {"stem": exam.stem, **{name: None if path is None else str(path) for name, path in paths.items()}}


def exam_from(content: dict[str, Any]) -> Exam:
    """The reverse of :func:`exam_to`, as far as segmenting needs it."""
    image, mask = (content.get(name) and Path(content[name]) for name in ("image", "mask"))
    return Exam(content["stem"], None, None, None, image, mask, "unknown", Path(content["processed"]))


def folders(fields: dict[str, Any], model: Path | None) -> list[tuple[Path, bool]]:
    """Where a job may leave temporary files, and whether to look in the folders below too."""
    found = []
    if "exam" in fields:
        found.append((Path(fields["exam"]["processed"]) / "predicted", True))
    if "output" in fields:
        found.append((Path(fields["output"]).parent, False))
    if "source" in fields:
        found.append((store.user_folder(), True))
    return found if model is None else [*found, (model, True)]


def _stamp(bundle: Bundle) -> tuple:
    """What changes when a file of a model does."""
    found = []
    for name in (checksums.SUMS, *bundle.sums):
        try:
            status = (bundle.folder / name).stat()
        except OSError:
            return ()
        found.append((name, status.st_mtime_ns, status.st_size))
    return tuple(found)
