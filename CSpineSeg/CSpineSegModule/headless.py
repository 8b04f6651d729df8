"""The command line inside Slicer, without a window, ending with the command line's exit code:

    Slicer --no-main-window --python-script headless.py segment --all --dataset DIR

It takes the words of `cspineseg` and runs them in a process of its own, so that torch never enters Slicer's. One
command more runs in Slicer itself: it loads an exam into the scene, checks that no voxel changed, and keeps a picture
or the scene:

    Slicer --no-main-window --python-script headless.py open PATIENT --dataset DIR --picture FILE.png --scene FILE.mrb

Words that Slicer itself knows (--help, --version, ...) never reach a script; put `--` before the words to pass them.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

_module = str(Path(__file__).resolve().parents[1])
if _module not in sys.path:
    # Run as a script: Slicer puts only the folder of this file on the path.
    sys.path.append(_module)

import CSpineSegModule  # noqa: E402, F401  (finds the library)
from CSpineSegLib.cli.main import BAD_INPUT, DONE, FAILED  # noqa: E402
from CSpineSegLib.errors import CSpineSegError, InputError, WriteError  # noqa: E402
from CSpineSegLib.jobs.child import relay  # noqa: E402
from CSpineSegModule.interpreter import in_slicer, python_slicer  # noqa: E402


def run(arguments: Sequence[str], exit: Callable[[int], Any] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 unusable input.

    Parameters
    ----------
    arguments : the words after the script's name.
    exit : called with the code whatever happens; without it Slicer would go on running after the script.
    """
    words = list(arguments)
    if words[:1] == ["--"]:
        del words[0]
    code = FAILED
    try:
        code = _command(words)
    except CSpineSegError as error:
        code = BAD_INPUT
        print(f"cspineseg: {error}", file=sys.stderr)
    except Exception as error:
        traceback.print_exc()
        print(f"cspineseg: An unexpected error ({error}); please report it with the lines above.", file=sys.stderr)
    finally:
        if exit is not None:
            exit(code)
    return code


def _command(words: list[str]) -> int:
    name = words[0] if words else ""
    if in_slicer():
        from CSpineSegModule import install

        segments = name in ("segment", "demo")
        install.ensure(segments, interactive=False, torch=_asks_for_torch(words), commands=name != "open")
    if name == "open":
        return _open(words[1:])
    return relay(words, python_slicer())


def _asks_for_torch(words: list[str]) -> bool:
    """True if a command says that it wants a graphics card or torch, or reads the weights of another framework.

    Otherwise what a processor needs is enough: nobody is there who could be asked about gigabytes.
    """
    pairs = [part for word in words for part in word.split("=", 1)]
    asked = {*pairwise(pairs)}
    return words[:2] == ["models", "import"] or bool(
        asked & {("--device", "cuda"), ("--device", "mps"), ("--engine", "torch")}
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see the first lines of headless.py.")


def _open(words: list[str]) -> int:
    """Load one exam into MRML, read it back, compare, and write what was asked for."""
    parser = _Parser(prog="headless.py open", add_help=False)
    parser.add_argument("target")
    parser.add_argument("--dataset", "-d", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--scene", type=Path)
    options = parser.parse_args(words)

    from CSpineSegLib import jobs, scene, session
    from CSpineSegLib.dataset import Dataset

    dataset = Dataset.open(options.dataset) if options.dataset else None
    opened = session.open_exam(jobs.resolve_one(options.target, dataset), record=False)
    check_voxels(opened)
    print(f"{opened.exam.stem}: every voxel of image and mask reads back from the scene as it is in the file.")
    if options.picture:
        print(f"Picture: {session.picture(opened, options.picture)}")
    if options.scene:
        scene.save_scene(opened.context, options.scene)
        print(f"Scene: {options.scene}")
    return DONE


def check_voxels(opened: Any) -> None:
    """Compare what the scene holds with the files; WriteError names what differs."""
    import numpy as np
    import slicer.util

    from CSpineSegLib import volume

    # Slicer's arrays run slice, row, column.
    shown = slicer.util.arrayFromVolume(opened.case.volume_node).transpose(2, 1, 0)
    affine = slicer.util.arrayFromVTKMatrix(_ijk_to_ras(opened.case.volume_node))
    mask = opened.mask().array
    if opened.start is None:
        expected = np.zeros_like(mask)
    else:
        expected = volume.conform(volume.read_mask(opened.start.path), opened.image).array
    same = {
        "the image's voxels": np.array_equal(shown, opened.image.intensities())
        or np.array_equal(shown, opened.image.array),
        "the image's position": np.array_equal(affine, opened.image.affine),
        "the mask's voxels": np.array_equal(mask, expected),
    }
    wrong = [name for name, held in same.items() if not held]
    if wrong:
        raise WriteError(f"{opened.exam.stem} changed on its way into the scene ({', '.join(wrong)}); report this.")


def _ijk_to_ras(node: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return matrix


if __name__ == "__main__":
    if in_slicer():
        import slicer.util

        run(sys.argv[1:], exit=slicer.util.exit)
    else:
        run(sys.argv[1:], exit=sys.exit)
