"""Installs what Slicer lacks, at the moment a button needs it and only after asking. Nothing here runs at import."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from slicer.i18n import tr as _

from CSpineSegLib import resources
from CSpineSegLib.errors import CSpineSegError

REQUESTER = "CSpineSeg"
TORCH = "2.6"
# Packages that replace one of these with another version break Slicer itself.
SHIPPED = ("numpy", "scipy", "SimpleITK", "requests", "torch")
# Needed only by the child process that segments.
FOR_SEGMENTATION = ("monai",)


def ensure(segmentation: bool = False, interactive: bool = True) -> None:
    """Install what is missing from `Resources/requirements.txt`, keeping the versions that Slicer ships.

    Parameters
    ----------
    segmentation : also what the segmenting process needs: torch, by the PyTorch extension, and MONAI.
    interactive : ask first; False for runs without a window.

    Raises
    ------
    CSpineSegError : declined, failed, or Slicer is too old; the sentence says what to do.
    """
    try:
        from slicer import packaging
    except ImportError:
        raise CSpineSegError(_("CSpineSeg needs Slicer 5.12 or newer; please update Slicer.")) from None
    if segmentation:
        _ensure_torch(interactive)
    wanted = [
        requirement
        for requirement in packaging.load_requirements(resources.path("requirements.txt"))
        if segmentation or requirement.name not in FOR_SEGMENTATION
    ]
    if packaging.pip_check(wanted):
        return
    try:
        with _constraints() as path:
            packaging.pip_ensure(wanted, constraints=path, requester=REQUESTER, prompt_install=interactive)
    except subprocess.CalledProcessError as error:
        raise CSpineSegError(
            _("Packages could not be installed ({error}); check the network connection and Slicer's log.").format(
                error=error
            )
        ) from error
    except RuntimeError as error:
        raise CSpineSegError(_("CSpineSeg cannot go on without these packages; nothing was installed.")) from error
    missing = [str(requirement) for requirement in wanted if not packaging.pip_check(requirement)]
    if missing:
        # Slicer installs nothing in testing mode, and says so only in its log.
        raise CSpineSegError(_("These packages are missing: {names}.").format(names=", ".join(missing)))


def _ensure_torch(interactive: bool) -> None:
    """Torch in a build that fits the graphics card, which only the PyTorch extension knows to choose."""
    found = installed("torch")
    if found is not None and _numbers(found) >= _numbers(TORCH):
        return
    try:
        import PyTorchUtils
    except ImportError:
        raise CSpineSegError(
            _("Segmentation needs PyTorch: install the extension 'PyTorch' in the Extensions Manager, then try again.")
        ) from None
    logic = PyTorchUtils.PyTorchUtilsLogic()
    if logic.installTorch(askConfirmation=interactive, torchVersionRequirement=f">={TORCH}") is None:
        raise CSpineSegError(_("Segmentation needs PyTorch, which was not installed."))


def installed(package: str) -> str | None:
    """Version of an installed package, asked without importing it; None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@contextmanager
def _constraints() -> Iterator[Path]:
    """A constraints file that holds the packages of Slicer at the versions they have."""
    lines = [f"{name}=={found}\n" for name in SHIPPED if (found := installed(name))]
    with tempfile.TemporaryDirectory(prefix="cspineseg-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(lines), encoding="utf-8")
        yield path


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".")[:2])
