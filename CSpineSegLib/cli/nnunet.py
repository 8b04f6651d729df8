"""The commands that train nnU-Net on one's own data: `cspineseg nnunet export | splits | plan | train | ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..review import places
from ..training.nnunet import Folders, commands, exporting, folds, images, inputs, jobarray, running
from ..training.nnunet.commands import Training
from .app import app
from .options import DatasetFolder, Events, Force, GoldList, Json, Query, need_dataset
from .output import print_json, print_warnings, shown_progress

nnunet = typer.Typer(
    name="nnunet",
    help="Train nnU-Net on your own data, with nnU-Net's own commands, which have to be installed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(nnunet)

Work = Annotated[
    Path | None,
    typer.Option(
        "--work",
        "-w",
        envvar="CSPINESEG_NNUNET",
        help="Folder for nnU-Net's raw, preprocessed and results folders; without it, its own variables count.",
    ),
]
Id = Annotated[int, typer.Option("--id", help="nnU-Net's number of the dataset.")]
Preset = Annotated[str, typer.Option("--preset", help="plain, resenc-m, resenc-l (24 GB GPU) or resenc-xl.")]
Trainer = Annotated[str, typer.Option("--trainer", help="nnU-Net's trainer class.")]
Processes = Annotated[int | None, typer.Option("--processes", help="How many processes nnU-Net may use.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the command instead of running it.")]
Configurations = Annotated[list[str], typer.Option("--configuration", "-c", help="2d or 3d_fullres; give each.")]
Configuration = Annotated[str, typer.Option("--configuration", "-c", help="2d or 3d_fullres.")]
FoldNames = Annotated[list[str], typer.Option("--fold", "-f", help="0 to 4, or all; give each.")]
NnunetDevice = Annotated[str | None, typer.Option("--device", help="cuda (nnU-Net's default), cpu or mps.")]
More = Annotated[list[str] | None, typer.Argument(metavar="-- OPTIONS", help="nnU-Net's own options, after --.")]
BOTH = list(commands.CONFIGURATIONS)
FIVE = [str(fold) for fold in commands.FOLDS]


@nnunet.command(epilog="Example: cspineseg nnunet export --dataset DIR --work WORK")
def export(
    dataset: DatasetFolder = None,
    work: Work = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="nnUNet_raw itself, instead of --work.")] = None,
    number: Id = exporting.NUMBER,
    name: Annotated[str, typer.Option(help="nnU-Net's name of the dataset.")] = exporting.NAME,
    query: Query = None,
    masks: Annotated[
        str,
        typer.Option(
            help="best (accepted revision, else as released), human (accepted or Gold), released, or any (also a "
            "model's prediction)."
        ),
    ] = "best",
    splits: Annotated[Path | None, typer.Option(help="Table of the split; by default the one in splits/.")] = None,
    link: Annotated[bool, typer.Option("--link/--copy", help="Hard-link images instead of copying them.")] = False,
    seed: Annotated[int, typer.Option(help="For folds that the split does not name.")] = folds.SEED,
    gold_list: GoldList = None,
    force: Force = False,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Write a dataset as nnU-Net's raw data, with folds by patient; what was written before and is whole is kept."""
    if output is not None and work is not None:
        raise InputError("Name nnU-Net's folders with --work or with --output, but not both.")
    places_of = Folders.of(work) if output is None else _beside(output)
    opened = need_dataset(dataset, gold_list)
    how = {"number": number, "name": name, "query": query, "which": masks, "table": splits, "seed": seed}
    with shown_progress(events, quiet=as_json) as progress:
        made = exporting.export(
            opened, places_of, **how, way=images.LINK if link else images.COPY, force=force, progress=progress
        )
    counts = {"training": made.count("train"), "test": made.count("test"), "written": made.written}
    if as_json:
        found = {"folder": str(made.folder), **counts, "left_out": made.left_out, "notes": made.notes}
        print_json({**found, "cases": [asdict(case) for case in made.cases]})
        return
    print_warnings(made.notes, most=len(made.notes))
    for sentence in made.left_out[:5]:
        print(f"Note: {sentence}", file=sys.stderr)
    if len(made.left_out) > 5:
        print(f"Note: {len(made.left_out) - 5} more are left out; cspineseg.json lists all.", file=sys.stderr)
    print(
        f"{counts['training']} exams for training and {counts['test']} for testing in {made.folder}, "
        f"{made.written} of them written now."
    )


@nnunet.command(epilog="Example: cspineseg nnunet splits --work WORK --seed 7")
def splits(
    work: Work = None,
    number: Id = exporting.NUMBER,
    seed: Annotated[int | None, typer.Option(help="Draw all folds anew; without it they are written again.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Change folds that were trained with already.")] = False,
    as_json: Json = False,
) -> None:
    """Write the folds by patient again, where nnU-Net's planner and trainer find them."""
    where = Folders.of(work)
    record = folds.renew(where, where.dataset(number), seed=seed, force=force)
    patients = {case.patient: case.fold for case in record.cases if case.part == "train"}
    if as_json:
        print_json({"dataset": where.dataset(number), "folds": patients})
        return
    sizes = [sum(case.part == "train" and case.fold == fold for case in record.cases) for fold in range(record.folds)]
    print(f"{len(patients)} patients in {record.folds} folds of {', '.join(map(str, sizes))} exams.")


@nnunet.command(epilog="Example: cspineseg nnunet plan --work WORK --preset resenc-l")
def plan(
    work: Work = None,
    number: Id = exporting.NUMBER,
    preset: Preset = commands.DEFAULT_PRESET,
    configuration: Configurations = BOTH,
    processes: Processes = None,
    dry_run: DryRun = False,
    more: More = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Run nnU-Net's planning and preprocessing."""
    training = Training(Folders.of(work), number, preset, processes=processes)
    command = training.plan(configuration, _checked(more))
    notes = [] if dry_run else training.check_plannable()
    _run(command, dry_run, as_json, events, notes)


@nnunet.command(epilog="Example: cspineseg nnunet train --work WORK --configuration 3d_fullres --fold 0")
def train(
    fold: Annotated[str, typer.Option("--fold", "-f", help="0 to 4, or all for a model of all data.")],
    work: Work = None,
    number: Id = exporting.NUMBER,
    preset: Preset = commands.DEFAULT_PRESET,
    configuration: Configuration = "3d_fullres",
    trainer: Trainer = commands.TRAINER,
    device: NnunetDevice = None,
    processes: Processes = None,
    npz: Annotated[bool, typer.Option("--npz/--no-npz", help="Keep probabilities of the validation.")] = True,
    resume: Annotated[bool, typer.Option("--continue", help="Go on from the latest checkpoint, if any.")] = False,
    dry_run: DryRun = False,
    more: More = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Train one fold with nnU-Net, and validate it on the patients held out."""
    training = Training(Folders.of(work), number, preset, trainer, processes)
    command = training.train(configuration, fold, device=device, npz=npz, resume=resume, more=_checked(more))
    notes = [] if dry_run else training.check_trainable(configuration, fold)
    _run(command, dry_run, as_json, events, notes)


@nnunet.command(epilog="Example: cspineseg nnunet predict --work WORK --output MASKS --configuration 2d")
def predict(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.")],
    source: Annotated[
        Path | None, typer.Option("--input", "-i", help="Folder of <case>_0000.nii.gz; by default the test exams.")
    ] = None,
    work: Work = None,
    number: Id = exporting.NUMBER,
    preset: Preset = commands.DEFAULT_PRESET,
    configuration: Configuration = "3d_fullres",
    fold: FoldNames = FIVE,
    trainer: Trainer = commands.TRAINER,
    device: NnunetDevice = None,
    processes: Processes = None,
    no_mirror: Annotated[bool, typer.Option("--no-mirror", help="Without mirrored copies: faster, worse.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="For an ensemble.")] = False,
    dry_run: DryRun = False,
    more: More = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Run nnU-Net's prediction on a folder of images."""
    training = Training(Folders.of(work), number, preset, trainer, processes)
    folder = training.folders.raw / training.dataset / "imagesTs" if source is None else source
    how = {"fold": fold, "device": device, "mirror": not no_mirror, "probabilities": probabilities}
    command = training.predict(folder, output, configuration, **how, more=_checked(more))
    places.check_targets([output / "x"])
    if not dry_run:
        inputs.check_images(folder)
    _run(command, dry_run, as_json, events)


@nnunet.command("find-best", epilog="Example: cspineseg nnunet find-best --work WORK")
def find_best(
    work: Work = None,
    number: Id = exporting.NUMBER,
    preset: Preset = commands.DEFAULT_PRESET,
    configuration: Configurations = BOTH,
    fold: FoldNames = FIVE,
    trainer: Trainer = commands.TRAINER,
    processes: Processes = None,
    dry_run: DryRun = False,
    more: More = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Let nnU-Net say which configuration or ensemble is best in the cross-validation; train all folds before."""
    training = Training(Folders.of(work), number, preset, trainer, processes)
    _run(training.find_best(configuration, fold=fold, more=_checked(more)), dry_run, as_json, events)


@nnunet.command(epilog="Example: cspineseg nnunet ensemble --input MASKS_2D --input MASKS_3D --output MASKS")
def ensemble(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the masks.")],
    source: Annotated[list[Path], typer.Option("--input", "-i", help="Predictions with probabilities; give each.")],
    work: Work = None,
    processes: Processes = None,
    dry_run: DryRun = False,
    more: More = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Run nnU-Net's ensemble of several predictions."""
    # nnU-Net reads none of its folders here; whatever they are called, they are set, and nothing else of the user's.
    training = Training(Folders.of(output.parent if work is None else work), exporting.NUMBER, processes=processes)
    places.check_targets([output / "x"])
    _run(training.ensemble(source, output, _checked(more)), dry_run, as_json, events)


@nnunet.command("export-model", epilog="Example: cspineseg nnunet export-model --work WORK --output model.zip")
def export_model(
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip file.")],
    work: Work = None,
    number: Id = exporting.NUMBER,
    preset: Preset = commands.DEFAULT_PRESET,
    configuration: Configurations = BOTH,
    fold: FoldNames = FIVE,
    trainer: Trainer = commands.TRAINER,
    force: Force = False,
    dry_run: DryRun = False,
    more: More = None,
    as_json: Json = False,
    events: Events = False,
) -> None:
    """Write a trained model into one zip, which 'cspineseg models import' and nnU-Net read."""
    training = Training(Folders.of(work), number, preset, trainer)
    command = training.export_model(output, configuration, fold=fold, more=_checked(more))
    inputs.check_new_file(output, force)
    if dry_run:
        _run(command, dry_run, as_json, events)
        return
    output.unlink(missing_ok=True)
    try:
        _run(command, dry_run, as_json, events)
        inputs.check_zip(output, configuration, fold)
    except BaseException:
        # Half a zip must not pass for a model.
        output.unlink(missing_ok=True)
        raise


@nnunet.command("job-array", epilog="Example: cspineseg nnunet job-array --cluster slurm --work WORK > train.sbatch")
def job_array(
    cluster: Annotated[str, typer.Option(help="slurm or lsf.")],
    work: Work = None,
    number: Id = exporting.NUMBER,
    preset: Preset = commands.DEFAULT_PRESET,
    configuration: Configuration = "3d_fullres",
) -> None:
    """Print a job array that trains the five folds on a cluster, one job each."""
    if work is None:
        raise InputError("A job array needs the folder of nnU-Net's files: name it with --work.")
    # Their words are checked here and not first on the cluster.
    Training(Folders.of(work), number, preset)
    commands.check_configurations([configuration])
    values = {"WORK": work.absolute(), "CSPINESEG": jobarray.command_line(), "ID": number, "PRESET": preset}
    print(jobarray.filled(cluster, {**values, "CONFIGURATION": configuration}), end="")


def _beside(raw: Path) -> Folders:
    """nnU-Net's folders with the raw one given, and the others beside it."""
    where = Folders.of(raw.parent)
    return Folders(where.raw.parent / raw.name, where.preprocessed, where.results)


def _checked(more: Sequence[str] | None) -> list[str]:
    """nnU-Net's own options; InputError for a word that stands where an option should."""
    if more and not more[0].startswith("-"):
        raise InputError(f"{more[0]!r} is not understood; options for nnU-Net itself stand after -- and begin with -.")
    return list(more or ())


def _run(
    command: running.Command, dry_run: bool, as_json: bool, events: bool, notes: Sequence[str] = ()
) -> None:
    """Print nnU-Net's command and, unless it is a dry run, run it with its output shown as it comes."""
    found = {"command": command.words(), "environment": dict(command.variables)}
    if dry_run:
        print_json({**found, "line": command.line()}) if as_json else print(command.line())
        return
    print_warnings(notes, most=len(notes))
    shown = sys.stderr if as_json else sys.stdout

    def echo(text: str) -> None:
        shown.write(text)
        shown.flush()

    if not events:
        echo(f"{command.line()}\n")
    with shown_progress(events, quiet=not events) as progress:
        seconds = running.run(command, progress, None if events else echo)
    if as_json:
        print_json({**found, "seconds": round(seconds, 1)})
