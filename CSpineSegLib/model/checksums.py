"""SHA256SUMS of a bundle, in the format of the `sha256sum` command: what is listed is what is trusted."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from .. import files
from ..errors import ModelError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"^([0-9a-f]{64}) [ *](.+)$")

# What file managers leave in folders; it is never read by us.
_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini", SUMS}


def seal(folder: Path | str) -> str:
    """List every file of a bundle folder with its SHA-256 in SHA256SUMS; returns the SHA-256 of that list."""
    folder = Path(folder)
    lines = [f"{files.sha256(folder / name)}  {name}\n" for name in _present(folder, None)]
    return files.write_verified(folder / SUMS, "".join(lines).encode("utf-8"))


def verify(
    folder: Path, required: tuple[str, ...], *, apart: str | None = None, unread: str | None = None
) -> dict[str, str]:
    """Check every file of a bundle; returns {path within the bundle: SHA-256}.

    Parameters
    ----------
    required : files that must be listed.
    apart : a folder of the bundle that is none of its business, for instance a cache.
    unread : a folder of the bundle whose files are only checked for being there.

    Raises
    ------
    ModelError : names the file that is missing, was changed, or is there without being listed.
    """
    known = listed(folder)
    for name in required:
        if name not in known:
            raise ModelError(f"The model in {folder} is incomplete: {SUMS} does not list {name}; install it again.")
    whole = [name for name in known if unread is None or not name.startswith(f"{unread}/")]
    for name, found in _digests(folder, whole).items():
        path = folder / name
        if isinstance(found, FileNotFoundError):
            raise ModelError(f"{path} is missing from the model; install it again.")
        if isinstance(found, OSError):
            raise ModelError(f"{path} cannot be read ({found.strerror or found}).")
        if found != known[name]:
            raise ModelError(f"{path} was changed or damaged: its SHA-256 is not the one in {SUMS}; install it again.")
    for name in known:
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name} is missing from the model; install it again.")
    for name in _present(folder, apart):
        if name not in known:
            raise ModelError(f"{folder / name} does not belong to the model: {SUMS} does not list it; remove it.")
    return known


def _digests(folder: Path, names: list[str]) -> dict[str, str | OSError]:
    """SHA-256 of files, or why one could not be read; some at a time, because the weights of five folds are many."""
    from concurrent.futures import ThreadPoolExecutor

    def digest(name: str) -> str | OSError:
        try:
            return files.sha256(folder / name)
        except OSError as error:
            return error

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(names, pool.map(digest, names), strict=True))


def _present(folder: Path, apart: str | None) -> list[str]:
    """Files of a bundle except in `apart`, as paths with "/" relative to it, in order."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name not in _LITTER)
    kept = (path for path in found if not path.name.endswith(".cspineseg-tmp") and path.parts[0] != apart)
    return sorted(path.as_posix() for path in kept)


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


def read_table(path: Path, again: str) -> dict[str, Any]:
    """The table of names and values in a JSON file of a model; `again`: what renews it, "export" or "import".

    ModelError if it cannot be read or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a readable JSON file ({error}).") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a table of names and values; {again} the model again.")
    return content
