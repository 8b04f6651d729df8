"""SHA256SUMS of a bundle, in the format of the `sha256sum` command: what is listed is what is trusted."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from .. import files
from ..errors import ModelError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"^([0-9a-f]{64}) [ *](.+)$")

# What file managers leave in folders; it is never read by us.
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini", SUMS}


def seal(folder: Path | str) -> str:
    """List every file of a bundle folder with its SHA-256 in SHA256SUMS; returns the SHA-256 of that list."""
    folder = Path(folder)
    lines = [f"{files.sha256(folder / name)}  {name}\n" for name in _present(folder)]
    return files.write_verified(folder / SUMS, "".join(lines).encode("utf-8"))


def verify(folder: Path, required: tuple[str, ...]) -> dict[str, str]:
    """Check every file of a bundle; returns {path within the bundle: SHA-256}.

    Raises
    ------
    ModelError : names the file that is missing, was changed, or is there without being listed.
    """
    known = listed(folder)
    for name in required:
        if name not in known:
            raise ModelError(f"The model in {folder} is incomplete: {SUMS} does not list {name}; install it again.")
    for name, expected in known.items():
        path = folder / name
        try:
            found = files.sha256(path)
        except FileNotFoundError:
            raise ModelError(f"{path} is missing from the model; install it again.") from None
        except OSError as error:
            raise ModelError(f"{path} cannot be read ({error.strerror or error}).") from None
        if found != expected:
            raise ModelError(f"{path} was changed or damaged: its SHA-256 is not the one in {SUMS}; install it again.")
    for name in _present(folder):
        if name not in known:
            raise ModelError(f"{folder / name} does not belong to the model: {SUMS} does not list it; remove it.")
    return known


def _present(folder: Path) -> list[str]:
    """Files of a bundle, as paths with "/" relative to it, in order."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name not in _LITTER)
    return sorted(path.as_posix() for path in found if not path.name.endswith(".cspineseg-tmp"))


def listed(folder: Path) -> dict[str, str]:
    """{path within the bundle: SHA-256} as its SHA256SUMS says; ModelError if that is missing or damaged."""
    path = folder / SUMS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ModelError(f"{path} is missing from the model, so that it cannot be checked; install it again.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} cannot be read ({error}); install the model again.") from None
    known: dict[str, str] = {}
    for line in filter(None, lines):
        match = _LINE.match(line)
        name = PurePosixPath(match[2]) if match else None
        if match is None or name is None or name.is_absolute() or ".." in name.parts or "\\" in match[2]:
            raise ModelError(f"{path} is damaged: it holds the line {line[:80]!r}; install the model again.")
        known[match[2]] = match[1]
    return known
