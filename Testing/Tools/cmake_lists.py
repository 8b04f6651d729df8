"""Keeps the lists of files in the CMakeLists.txt equal to the tree, since Slicer packages only what is listed.

    python Testing/Tools/cmake_lists.py            rewrite the lists
    python Testing/Tools/cmake_lists.py --check    change nothing; say what differs and end with 1
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "python Testing/Tools/cmake_lists.py"
# In which CMakeLists.txt a list is, and the folders and endings of its files, relative to that file.
LISTS = {
    "LIBRARY_PYTHON_SCRIPTS": (".", ("CSpineSegLib",), ".py"),
    "LIBRARY_RESOURCES": (".", ("Resources",), ""),
    "MODULE_PYTHON_SCRIPTS": ("CSpineSeg", (".",), ".py"),
    "MODULE_PYTHON_RESOURCES": ("CSpineSeg", ("Resources",), ""),
}


def wanted(name: str, root: Path = ROOT) -> list[str]:
    """The files that belong in a list, as paths relative to its CMakeLists.txt, with `/`."""
    folder, parts, ending = LISTS[name]
    base = root / folder
    found = [path.relative_to(base) for part in parts for path in (base / part).rglob(f"*{ending}") if path.is_file()]
    # Never packaged: other extensions too have a folder of that name, and Slicer puts all into one.
    found = [path for path in found if path.parts[0] != "Testing"]
    kept = [path for path in found if not any(part.startswith((".", "__pycache__")) for part in path.parts)]
    wrong = [str(path) for path in kept if re.search(r"[\s;]", str(path))]
    if wrong:
        raise ValueError(f"CMake lists cannot hold names with spaces or semicolons: {', '.join(wrong)}.")
    return sorted(path.as_posix() for path in kept if path.suffix not in (".pyc", ".cspineseg-tmp"))


def listed(name: str, root: Path = ROOT) -> list[str]:
    """The files that a list has now."""
    return _pattern(name).search(_text(name, root))[2].split()


def differences(root: Path = ROOT) -> Iterator[str]:
    """A sentence for each list that is not equal to the tree."""
    for name in LISTS:
        now, right = listed(name, root), wanted(name, root)
        if now != right:
            missing, surplus = sorted(set(right) - set(now)), sorted(set(now) - set(right))
            yield f"{name} lacks {missing or 'nothing'} and has in excess {surplus or 'nothing'} (or is not sorted)."


def rewrite(root: Path = ROOT) -> None:
    """Write the lists as the tree is."""
    for name in LISTS:
        lines = "".join(f"  {path}\n" for path in wanted(name, root))
        text = _pattern(name).sub(lambda match, lines=lines: f"{match[1]}{lines}{match[3]}", _text(name, root))
        _path(name, root).write_text(text, encoding="utf-8", newline="\n")


def _path(name: str, root: Path) -> Path:
    return root / LISTS[name][0] / "CMakeLists.txt"


def _text(name: str, root: Path) -> str:
    return _path(name, root).read_text(encoding="utf-8")


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(set\({name}\n)([^)]*?)( *\))")


if __name__ == "__main__":
    if "--check" not in sys.argv[1:]:
        rewrite()
    found = list(differences())
    print("\n".join([*found, f"Run: {COMMAND}"]) if found else "The lists are equal to the tree.")
    sys.exit(1 if found else 0)
