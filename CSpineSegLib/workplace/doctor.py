"""What the doctor panel shows: what is installed, in which state, and what to do; the same as text to send."""

from __future__ import annotations

import contextlib
import getpass
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..jobs import graphics
from . import packages

GOOD, NOTE, BAD = "good", "note", "bad"
MARKS = {GOOD: "\u2713", NOTE: "!", BAD: "\u2717"}
OLDEST_SLICER = (5, 12)


class Row(NamedTuple):
    """One line of the report: `what` is in which `state`, what to do (or ""), and how bad that is."""

    what: str
    state: str
    advice: str = ""
    level: str = GOOD


def rows(report: dict[str, Any], problems: Sequence[str] = ()) -> list[Row]:
    """The report in words.

    Parameters
    ----------
    report : of :func:`jobs.doctor.report`, or of :func:`jobs.doctor.glance` until that has come.
    problems : sentences on the open dataset.
    """
    return [
        *_surroundings(report),
        *_processor(report),
        *_graphics(report),
        *_models(report),
        *(Row("Dataset", problem, "", NOTE) for problem in problems),
    ]


def urgent_first(found: Iterable[Row]) -> list[Row]:
    """The rows in which there is something to do before the others."""
    return sorted(found, key=lambda row: (BAD, NOTE, GOOD).index(row.level))


def summary(found: Iterable[Row]) -> str:
    """One sentence on all rows."""
    levels = [row.level for row in found]
    if BAD in levels:
        count = levels.count(BAD)
        return f"{count} {'thing is' if count == 1 else 'things are'} missing or broken; the table says what to do."
    if NOTE in levels:
        return "Everything that is needed is there; the table has remarks."
    return "Everything that is needed is there."


def text(report: dict[str, Any], problems: Sequence[str] = ()) -> str:
    """The report to send to somebody, without names of people, patients or folders under a home folder.

    Problems of the dataset are counted, not told: they name exams.
    """
    found = rows(report)
    lines = ["CSpineSeg, report of the doctor", summary(found)]
    for row in found:
        lines.append(f"[{row.level}] {row.what}: {row.state}" + (f" -> {row.advice}" if row.advice else ""))
    for use, versions in report["packages"].items():
        lines.append(f"For {use}: " + ", ".join(f"{name} {found or '-'}" for name, found in versions.items()))
    if problems:
        lines.append(f"Problems of the open dataset: {len(problems)}")
    return anonymous("\n".join(lines)) + "\n"


def anonymous(said: str) -> str:
    """A text in which the home folder is ~, and the login name in other paths is hidden."""
    with contextlib.suppress(RuntimeError):
        home = Path.home()
        for form in {str(home), str(home.resolve()), home.as_posix(), str(home).replace("\\", "\\\\")}:
            # A home that is the root of the disk names nobody.
            if len(form) > 1:
                said = re.sub(re.escape(form) + r"(?![\w-])", "~", said, flags=re.IGNORECASE)
    with contextlib.suppress(OSError, KeyError, ImportError):
        name = re.escape(getpass.getuser())
        said = re.sub(rf"(?<=[\\/]){name}(?=[\\/\s'\",;:)]|$)", "<user>", said, flags=re.IGNORECASE)
    return said


def _surroundings(report: dict[str, Any]) -> Iterator[Row]:
    yield Row("CSpineSeg", report["cspineseg"])
    kind, version = report["slicer"]["kind"], report["slicer"]["version"]
    if kind == "application":
        old = packages.numbers(version) < OLDEST_SLICER
        yield Row("Slicer", version, "Update to Slicer 5.12 or newer." if old else "", BAD if old else GOOD)
    memory = report.get("devices", {}).get("devices", [{}])[0]
    total, free = memory.get("total_bytes"), memory.get("free_bytes")
    if total:
        state = f"{total / 1024**3:.1f} GB" + (f", {free / 1024**3:.1f} GB of it free" if free is not None else "")
        yield Row("Main memory", state)
    yield Row("Python", f"{report['python']} on {report['system']}")


def _processor(report: dict[str, Any]) -> Iterator[Row]:
    versions = _versions(report)
    install = f"Press 'Install for the processor' ({packages.cost_text(packages.SIZES[packages.PROCESSOR])})."
    with_torch = bool(versions.get("torch") and versions.get("monai"))
    for name in packages.SIZES[packages.PROCESSOR]:
        if versions.get(name) is not None:
            yield _there(report, name)
        elif name == "openvino" and with_torch:
            yield Row(name, "not installed; PyTorch is used, which is slower on a processor", install, NOTE)
        else:
            yield Row(name, "not installed", install, BAD)
    for name in packages.COMMANDS:
        yield _there(report, name) if versions.get(name) else Row(name, "not installed; only the command line needs it")
    if "devices" in report:
        yield Row("Segmentation", report["devices"]["auto"])


def _graphics(report: dict[str, Any]) -> Iterator[Row]:
    cards, problem = report["graphics"]["cards"], report["graphics"]["problem"]
    for card in cards:
        yield Row("Graphics card", str(graphics.Card(**card)))
    if problem is not None:
        what, _, advice = problem.partition("; ")
        yield Row("Graphics card", f"{what}.", f"{advice[:1].upper()}{advice[1:]}", NOTE)
    elif not cards:
        yield Row("Graphics card", "none that PyTorch could use; the processor is used")
    yield _torch(report, bool(cards))
    versions = _versions(report)
    if versions.get("monai") is not None:
        yield _there(report, "monai")
    elif versions.get("torch") is not None and cards:
        yield Row("monai", "not installed", "Press 'Install for the graphics card'.", BAD)


def _torch(report: dict[str, Any], has_card: bool) -> Row:
    found, name = _versions(report).get("torch"), "torch (PyTorch)"
    cost = packages.cost_text(("torch", "monai"))
    if found is None and not has_card:
        return Row(name, "not installed; needed only for a graphics card and to import models of nnU-Net")
    if found is None:
        advice = f"Press 'Install for the graphics card' ({cost})."
        return Row(name, "not installed, so the graphics card is not used", advice, NOTE)
    if packages.numbers(found) < packages.numbers(packages.TORCH):
        advice = "Remove it in the module PyTorch Utils, then press 'Install for the graphics card'."
        return Row(name, f"{found}, older than {packages.TORCH}", advice, BAD)
    row = _there(report, "torch")._replace(what=name)
    devices = report.get("devices", {}).get("devices")
    sees = devices is None or any(device["device"] != "cpu" for device in devices)
    if row.level == GOOD and has_card and not sees:
        advice = "In the module PyTorch Utils, remove it and install a build for this card, or use the processor."
        return Row(name, f"{found}, which sees no graphics card", advice, NOTE)
    return row


def _there(report: dict[str, Any], name: str) -> Row:
    """The row of a package that is installed."""
    version, why = _versions(report)[name], report.get("broken", {}).get(name)
    if why is None:
        return Row(name, version if "broken" in report else f"{version}, being tried")
    advice = f"In Slicer's Python console, slicer.packaging.pip_uninstall('{name}'); then install it again here."
    return Row(name, f"{version}, cannot be imported: {why}", advice, BAD)


def _models(report: dict[str, Any]) -> Iterator[Row]:
    for model in report.get("models", ()):
        yield Row(f"Model {model['name']}", f"version {model['version']}, SHA-256 {model['sha256']}")
    for problem in report.get("model_problems", ()):
        yield Row("Model", problem, "Import it again, or remove its folder.", BAD)
    if "models" in report and not report["models"]:
        yield Row("Model", "none can be used", "Install CSpineSeg again.", BAD)


def _versions(report: dict[str, Any]) -> dict[str, str | None]:
    return {name: version for group in report["packages"].values() for name, version in group.items()}
