"""The commands about models: import one of nnU-Net's, list, show, compare its modes, remove."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import model, volume
from ..errors import InputError
from ..model.nnunet import importing, store
from ..model.nnunet.compare import compare_modes
from .app import app
from .options import (
    Anyway,
    Configuration,
    Device,
    Engine,
    Events,
    Folds,
    Force,
    Json,
    NoMirror,
    Orientation,
    parse_folds,
)
from .output import print_json, print_pairs, print_table, print_warnings, shown_progress

models = typer.Typer(
    name="models",
    help="Models: import one of nnU-Net's, list, show, compare its modes and remove.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(models)


@models.command(
    "import",
    epilog="Examples: cspineseg models import Dataset108_CSpineSeg.zip;  "
    "cspineseg models import nnUNet_results/Dataset500_Neck --orientation RAS --name neck",
)
def import_model(
    source: Annotated[
        Path, typer.Argument(help="Zip by nnUNetv2_export_model_to_zip, or a dataset's folder in nnUNet_results.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="Name for the model; by default the dataset's.")] = None,
    orientation: Orientation = None,
    plans: Annotated[str | None, typer.Option("--plans", help="Plans to take, where there are several.")] = None,
    trainer: Annotated[str | None, typer.Option("--trainer", help="Trainer to take, where there are several.")] = None,
    force: Force = False,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Import a trained nnU-Net (2d, 3d_fullres, all folds). Nothing in the file is executed."""
    how = {"name": name, "orientation": orientation, "plans": plans, "trainer": trainer, "force": force}
    with shown_progress(events, quiet=as_json) as progress:
        made = importing.import_model(source, **how, progress=progress)
    if as_json:
        print_json(_details(made))
        return
    print_warnings(made.metadata["notes"], most=20)
    print_pairs(f"{made.name} imported", ((key, _text(value)) for key, value in _summary(made).items()))


@models.command("list", epilog="Example: cspineseg models list")
def list_models(as_json: Json = False) -> None:
    """List the packaged and the imported models, and what is wrong with folders that cannot be used."""
    found, problems = model.survey()
    if as_json:
        print_json({"models": [_summary(one) for one in found], "problems": problems})
        return
    rows = [[row["name"], row["version"], row["kind"], row["holds"], row["folder"]] for row in map(_summary, found)]
    print_table(f"{len(rows)} models", ["Model", "Version", "Kind", "Holds", "Folder"], rows)
    print_warnings(problems, most=20)


@models.command("show", epilog="Example: cspineseg models show cspine-phantom")
def show_model(
    name: Annotated[str, typer.Argument(help="The model's name, or its folder.")], as_json: Json = False
) -> None:
    """Show what a model is and where it comes from; all its files are compared with their checksums."""
    found = model.load(name)
    details = _details(found)
    if as_json:
        print_json(details)
        return
    notes = details.pop("notes", [])
    print_pairs(found.name, ((key, _text(value)) for key, value in details.items()))
    print_warnings(notes, most=20)


@models.command("compare", epilog="Example: cspineseg models compare nnunet-Dataset108_CSpineSeg IMAGE.nii.gz")
def compare_model(
    name: Annotated[str, typer.Argument(help="Name of an imported model.")],
    image: Annotated[Path, typer.Argument(help="An image to segment in every mode; nothing is written.")],
    configuration: Configuration = None,
    folds: Folds = None,
    no_mirror: NoMirror = False,
    device: Device = "auto",
    engine: Engine = "auto",
    anyway: Anyway = False,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Segment an image in the modes exact, default and fast: the time of each, and Dice with the exact mask."""
    found = model.load(name)
    if not isinstance(found, model.Imported):
        raise InputError(f"{name} was not imported from nnU-Net and has one mode only; there is nothing to compare.")
    run = model.Run("exact", configuration, parse_folds(folds), not no_mirror)
    read = volume.read(image)
    with shown_progress(events, quiet=as_json) as progress:
        told = compare_modes(found, read, device, progress, engine=engine, anyway=anyway, run=run)
    if as_json:
        print_json([{"mode": one.mode, "seconds": one.seconds, "dice": one.dice, "notes": one.notes} for one in told])
        return
    labels = [label for label in sorted(found.labels) if label]
    print_table(
        f"{found.name} on {image.name}, Dice with the mask of the mode exact",
        ["Mode", "Seconds", *(found.labels[label] for label in labels)],
        [[one.mode, f"{one.seconds:.1f}", *(f"{one.dice[label]:.4f}" for label in labels)] for one in told],
    )


@models.command("remove", epilog="Example: cspineseg models remove nnunet-Dataset108_CSpineSeg --yes")
def remove_model(
    name: Annotated[str, typer.Argument(help="Name of an imported model.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete an imported model; packaged ones stay."""
    if not yes:
        if not sys.stdin.isatty():
            raise InputError("This deletes the model's folder; where nobody can be asked, say --yes.")
        typer.confirm(f"Delete {store.user_folder() / name}?", abort=True)
    gone = importing.remove(name)
    if as_json:
        print_json({"removed": name, "folder": str(gone)})
    else:
        print(f"Removed {gone}")


def _summary(found: model.Bundle | model.Imported) -> dict[str, Any]:
    """What a list shows of a model."""
    imported = isinstance(found, model.Imported)
    kind = "nnU-Net, imported" if imported else "packaged" if _is_packaged(found) else "own bundle"
    return {
        "name": found.name,
        "version": found.version,
        "kind": kind,
        "holds": _holds(found) if imported else f"{found.slices} slices of {found.spacing:g} mm",
        "folder": str(found.folder),
    }


def _details(found: model.Bundle | model.Imported) -> dict[str, Any]:
    """What is worth knowing of a model, as plain JSON values."""
    labels = {str(value): name for value, name in found.labels.items()}
    content = _summary(found) | {"sha256": found.sha256, "labels": labels}
    if not isinstance(found, model.Imported):
        keys = ("description", "training", "evaluation", "limits")
        return content | {key: found.metadata[key] for key in keys if key in found.metadata}
    return content | {
        "orientation": found.orientation,
        "best": found.best,
        "configurations": {
            name: {
                "network": one.network["name"],
                "patch": list(one.patch_size),
                "spacing": list(one.spacing),
                "folds": list(found.folds(name)),
                "mirroring": list(found.mirroring[name]),
                "trainer": found.metadata.get("trainers", {}).get(name),
            }
            for name, one in found.plans.configurations.items()
        },
        "source": found.metadata.get("source", {}),
        "notes": list(found.metadata.get("notes", [])),
    }


def _holds(found: model.Imported) -> str:
    """Configurations and their folds: "2d (folds 0, 1), 3d_fullres (fold all)"."""
    parts = []
    for name in found.plans.configurations:
        folds = found.folds(name)
        parts.append(f"{name} (fold{'s' if len(folds) > 1 else ''} {', '.join(map(str, folds))})")
    return ", ".join(parts)


def _is_packaged(found: model.Bundle | model.Imported) -> bool:
    from .. import resources

    return found.folder.is_relative_to(resources.path("Models"))


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return "; ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
