"""The main job from end to end on sample data, in ten lines that say what was done and where it lies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from .. import anatomy, files, jobs, model, volume
from ..dataset import Dataset
from ..errors import WriteError
from ..progress import Progress
from ..review import places
from .app import app
from .options import Device, Events, Json
from .output import print_json, shown_progress

PATIENT = "593973-900001"
BRUSH_MM = 4.0
FOLDER = Path("cspineseg-demo")


@app.command(epilog="Example: cspineseg demo --output my-demo")
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for sample data and results.")] = FOLDER,
    device: Device = "auto",
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Make a sample dataset and run the main job on it: find, load, segment, edit, accept, verify, measure, draw."""
    with shown_progress(events, quiet=as_json) as progress:
        steps = run(output, device, progress)
    if as_json:
        print_json(steps)
        return
    for number, (name, text) in enumerate(steps.items(), start=1):
        print(f"{number:2}. {name:<9} {text}")


def run(folder: Path, device: str, progress: Progress) -> dict[str, str]:
    """The demo's ten steps; returns a sentence for each."""
    from .. import session

    began, folder = time.monotonic(), folder.absolute()
    places.check_targets([folder / "dataset", folder / "demo.png"])
    dataset = _sample(folder / "dataset", progress.part(0.0, 0.3))
    exam = dataset.exams(patient=PATIENT)[0]
    progress.update("Segmenting", 0.3, exam.stem)
    bundle = model.load(jobs.DEFAULT_MODEL)
    result = jobs.segment(exam, bundle, device=device, force=True, progress=progress.part(0.3, 0.6))

    progress.update("Loading into MRML", 0.6)
    opened = session.open_exam(exam, model=bundle.name)
    before = opened.mask()
    progress.update("Editing", 0.7)
    added = _edit(opened, before)
    progress.update("Saving", 0.75)
    revision = session.save(opened, status="accepted", annotator="demo")
    progress.update("Verifying", 0.85)
    checks = _verify(exam.image, exam.corrected_mask, opened.mask())
    metrics = files.read_json(exam.metrics_path)
    progress.update("Drawing", 0.9)
    picture = session.picture(opened, folder / "demo.png")
    progress.update("Done", 1.0)

    counts = jobs.report(dataset)["dataset"]
    spacing = " x ".join(f"{size:.4g}" for size in opened.image.spacing)
    return {
        "Dataset": f"{counts['exams']} sample exams of {counts['patients']} patients (phantoms) in {dataset.root}",
        "Patient": f"{PATIENT}: exam {exam.stem}, {exam.source}, {exam.fields['manufacturer']}",
        "Image": f"{' x '.join(map(str, opened.image.shape))} voxels of {spacing} mm, {opened.image.orientation}"
        f"{', left-handed' if opened.image.is_left_handed else ''}: {exam.image}",
        "Segment": f"{bundle.name} {bundle.version} on {result.device}, {result.seconds:.1f} s: {result.mask}",
        "Edit": f"{2 * BRUSH_MM:.0f} mm sphere painted with Slicer's editor, undone and redone: {added} voxels changed",
        "Accept": f"revision {revision.number} by {revision.annotator}: {revision.mask}",
        "Verify": checks,
        "Metrics": f"{_summary(metrics)}: {exam.metrics_path}",
        "Picture": f"slice and surfaces: {picture}",
        "Done": f"in {time.monotonic() - began:.0f} s; corrected mask: {exam.corrected_mask}",
    }


def _sample(folder: Path, progress: Progress) -> Dataset:
    """The sample dataset, made once; later runs add revisions to it, as real work would."""
    if (folder / "extracted" / "structured").is_dir():
        return Dataset.open(folder)
    # Here, because every other command would import the phantoms for nothing.
    from ..dataset import sample

    return sample.make(folder, progress=progress)


def _edit(opened: Any, before: volume.Volume) -> int:
    """Paint a sphere at the front of a vertebral body, undo, redo; returns the voxels that it changed.

    Raises WriteError if undo does not give back exactly what was there: the demo shows what it claims.
    """
    from ..scene import Editor

    inside = np.argwhere(before.array == anatomy.BODY)
    edge = inside[np.argmin((inside @ before.affine[:3, :3].T + before.affine[:3, 3])[:, 1] * -1)]
    centre = before.affine[:3, :3] @ edge + before.affine[:3, 3]
    editor = Editor(opened.context, opened.case)
    editor.paint_sphere("bodies", centre, BRUSH_MM)
    painted = opened.mask().array
    editor.undo()
    if not np.array_equal(opened.mask().array, before.array):
        raise WriteError("Undo did not give back the mask as it was; nothing was saved.")
    editor.redo()
    if not np.array_equal(opened.mask().array, painted):
        raise WriteError("Redo did not give back the painted mask; nothing was saved.")
    return int(np.count_nonzero(painted != before.array))


def _verify(image: Path, corrected: Path, expected: volume.Volume) -> str:
    """Read the corrected mask and its image from disk and compare; WriteError if anything differs."""
    source, mask = volume.read(image), volume.read_mask(corrected)
    same = {
        "grid": volume.compare_grids(source.grid, mask.grid).kind == "same",
        "affine bits": np.array_equal(source.affine, mask.affine),
        "voxels": np.array_equal(mask.array, expected.array),
        "type uint8": mask.array.dtype == np.uint8,
    }
    wrong = [name for name, held in same.items() if not held]
    if wrong:
        raise WriteError(f"{corrected} differs from what was drawn in: {', '.join(wrong)}.")
    return f"{', '.join(same)} equal to the image's and the scene's; read back from disk"


def _summary(metrics: dict[str, Any]) -> str:
    parts = []
    for structure in anatomy.STRUCTURES:
        found = metrics["revisions"][-1]["against_parent"][structure.key]
        parts.append(
            f"{structure.key} {found['volume_mm3']['candidate'] / 1000:.1f} cm3, "
            f"Dice to the prediction {found['dice']:.4f}, "
            f"+{found['voxels_added']} -{found['voxels_removed']} voxels"
        )
    return "; ".join(parts)
