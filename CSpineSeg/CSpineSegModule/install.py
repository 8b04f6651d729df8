"""Installs what Slicer lacks, at the moment a button needs it and only after asking. Nothing here runs at import."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from CSpineSegLib import resources
from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.workplace import packages
from CSpineSegLib.workplace.packages import GRAPHICS, PROCESSOR, READING, SIZES

from .interpreter import python_slicer

REQUESTER = "CSpineSeg"
# Packages that replace one of these with another version break Slicer itself.
SHIPPED = ("numpy", "scipy", "SimpleITK", "requests", "torch")


def ensure(
    segmentation: bool = False, interactive: bool = True, *, torch: bool = False, commands: bool = False
) -> None:
    """Install what is missing, keeping the versions that Slicer ships.

    With no graphics card only what a processor needs is asked for; with one, the user chooses.

    Parameters
    ----------
    segmentation : also what the segmenting process needs.
    interactive : ask first; False for runs without a window.
    torch : PyTorch is needed and not only useful: by the device that was chosen, or by a model.
    commands : also what the command line needs.

    Raises
    ------
    CSpineSegError : declined, failed, or Slicer is too old; the sentence says what to do.
    """
    if torch:
        needed = missing(SIZES[GRAPHICS])
    elif segmentation:
        needed = _to_segment()
    else:
        needed = missing(SIZES[READING])
    needed += missing(packages.COMMANDS) if commands else []
    if needed and interactive:
        needed = _ask(needed)
    install(needed, interactive)


def missing(names: Iterable[str]) -> list[str]:
    """Those of these packages that are not installed, or too old."""
    packaging = _packaging()
    known = _requirements()
    return [name for name in names if not (_has_torch() if name == "torch" else packaging.pip_check(known[name]))]


def install(names: Sequence[str], interactive: bool = True) -> None:
    """Install packages, PyTorch by its extension, and see in a process of its own that they can be imported.

    Nobody is asked whether. Raises as :func:`ensure`.
    """
    packaging = _packaging()
    if not names:
        return
    if "torch" in names:
        _install_torch()
    known = _requirements()
    wanted = [known[name] for name in names if name != "torch"]
    advice = _("check the network connection, or install from a folder of wheels in the Doctor panel")
    if wanted:
        with _told(advice), _constraints() as path:
            packaging.pip_ensure(
                wanted,
                constraints=path,
                requester=REQUESTER,
                prompt_install=False,
                prompt_restart=interactive,
                show_progress=interactive,
            )
    _verify(names)


def missing_from_wheels(folder: str) -> list[str]:
    """What is missing and can be installed from the wheels in a folder; CSpineSegError if one is not there.

    All that a graphics card needs if a wheel of torch is among them, else what a processor needs.
    """
    with_torch = "torch" in packages.wheels(folder)
    names = missing(SIZES[GRAPHICS] if with_torch else SIZES[PROCESSOR])
    packages.check_wheels(folder, names, ".".join(map(str, sys.version_info[:2])))
    return names


def install_wheels(folder: str, names: Sequence[str], interactive: bool = True) -> None:
    """Install packages from the wheels in a folder, without any network; PyTorch too. Raises as :func:`ensure`."""
    packaging = _packaging()
    if not names:
        return
    known = _requirements()
    wanted = [f"torch>={packages.TORCH}" if name == "torch" else str(known[name]) for name in names]
    advice = _("wheels may be for another Python or another system, or what they need may be missing in the folder")
    with _told(advice), _constraints(without=names) as path:
        packaging.pip_install(
            ["--no-index", "--find-links", str(folder), *wanted],
            constraints=path,
            requester=REQUESTER,
            show_progress=interactive,
        )
    _verify(names)


def installed(package: str) -> str | None:
    """Version of an installed package, asked without importing it; None if it is not there."""
    from CSpineSegLib.jobs import doctor

    return doctor.installed(package)


def _to_segment() -> list[str]:
    """What the segmentation lacks: PyTorch that is there for a card is used, else OpenVINO is enough."""
    if _has_torch() and _cards():
        return missing((*SIZES[READING], "monai"))
    return missing(SIZES[PROCESSOR])


def _cards() -> Sequence[Any]:
    """The graphics cards."""
    from CSpineSegLib.jobs import graphics

    return graphics.known()


def _ask(names: list[str]) -> list[str]:
    """What the user wants installed of the two sizes; CSpineSegError if nothing."""
    question = _("CSpineSeg needs packages that Slicer lacks: {names}, {cost}. Install them?").format(
        names=packages.listed(names), cost=packages.cost_text(names)
    )
    larger = [name for name in missing(SIZES[GRAPHICS]) if name not in names]
    if "openvino" not in names or "torch" not in larger:
        return _confirmed(question, names)
    # Both sizes are told before anything is downloaded.
    card = next(iter(_cards()), None)
    told = {"names": packages.listed(larger), "cost": packages.cost_text(larger)}
    if card is None:
        note = _("No graphics card was found. With one, {names} would be added, {cost}.").format(**told)
        return _confirmed(f"{question}\n\n{note}", names)
    note = _("For the graphics card, {card}, add {names}, {cost}; it segments faster.").format(card=card.name, **told)
    answer = _choose(f"{question}\n\n{note}")
    if answer is None:
        raise _declined()
    return [*names, *larger] if answer == GRAPHICS else names


def _confirmed(question: str, names: list[str]) -> list[str]:
    import slicer.util

    if not slicer.util.confirmOkCancelDisplay(question):
        raise _declined()
    return names


def _declined() -> CSpineSegError:
    return CSpineSegError(_("CSpineSeg cannot go on without these packages; nothing was installed."))


def _choose(question: str) -> str | None:
    """PROCESSOR, GRAPHICS, or None if the user wants neither."""
    import qt
    import slicer.util

    from . import asking

    box = qt.QMessageBox
    offered = (
        (PROCESSOR, _("For the processor"), box.AcceptRole),
        (GRAPHICS, _("With the graphics card"), box.AcceptRole),
        (None, _("Cancel"), box.RejectRole),
    )
    return asking.choose(question, offered, slicer.util.mainWindow())


def _install_torch() -> None:
    """Torch in a build that fits the graphics card, which only the PyTorch extension knows to choose."""
    try:
        import PyTorchUtils
    except ImportError:
        raise CSpineSegError(
            _("PyTorch is installed by the extension 'PyTorch': get it in the Extensions Manager, then try again.")
        ) from None
    with _told(_("check the network connection")), _torch_hidden():
        PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=f">={packages.TORCH}")
    if not _has_torch():
        raise CSpineSegError(_("PyTorch was not installed; Slicer's log says why."))


@contextmanager
def _torch_hidden() -> Iterator[None]:
    """The PyTorch extension imports torch once it is installed; in Slicer's process it is never to be.

    Loaded there it takes a gigabyte for nothing, and on Windows its files could no longer be replaced.
    """
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = None
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
    finally:
        del sys.modules["torch"]


@contextmanager
def _told(advice: str) -> Iterator[None]:
    """What pip and Slicer raise becomes one sentence, with what to do about it."""
    try:
        yield
    except (subprocess.CalledProcessError, RuntimeError) as error:
        raise CSpineSegError(
            _("Packages could not be installed ({error}); {advice}. Slicer's log tells more.").format(
                error=error, advice=advice
            )
        ) from error


@contextmanager
def _constraints(without: Sequence[str] = ()) -> Iterator[Path]:
    """A constraints file that holds the packages of Slicer at the versions they have."""
    held = [(name, installed(name)) for name in SHIPPED if name not in without]
    with tempfile.TemporaryDirectory(prefix="cspineseg-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(f"{name}=={found}\n" for name, found in held if found), encoding="utf-8")
        yield path


def _verify(names: Sequence[str]) -> None:
    """CSpineSegError unless all these are there now, and another process can import them."""
    from CSpineSegLib.jobs.trying import Check

    importlib.invalidate_caches()
    absent = missing(names)
    if absent:
        # Slicer installs nothing in testing mode, and says so only in its log.
        raise CSpineSegError(_("These packages are still missing: {names}.").format(names=packages.listed(absent)))
    broken = Check(python_slicer(), names).wait()["broken"]
    for name, why in broken.items():
        raise CSpineSegError(
            _("{name} {version} was installed and cannot be imported ({why}); the Doctor panel tells more.").format(
                name=name, version=installed(name), why=why
            )
        )


def _packaging() -> Any:
    try:
        from slicer import packaging
    except ImportError:
        raise CSpineSegError(_("CSpineSeg needs Slicer 5.12 or newer; please update Slicer.")) from None
    return packaging


def _requirements() -> dict[str, Any]:
    """What Resources/requirements.txt says, by name."""
    listed = _packaging().load_requirements(resources.path("requirements.txt"))
    return {requirement.name: requirement for requirement in listed}


def _has_torch() -> bool:
    found = installed("torch")
    return found is not None and packages.numbers(found) >= packages.numbers(packages.TORCH)
