"""Weights of imported models in the form that OpenVINO takes, kept beside the model, so that torch is needed once.

They lie in <model>/cache/<weights>-<version>/, where <weights> is the beginning of the SHA-256 of the weights that they
were made of and <version> counts the forms, with the SHA-256 of their file. They are numbers alone, float32, in the
order of :func:`openvino_network.parts`: the graph is made anew each time, in a hundredth of a second, for the size of
the windows. So no file says what OpenVINO is to do, and OpenVINO's own version does not matter. What is damaged is
thrown away and made again.
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np

from ... import files
from ...errors import ModelError, WriteError
from .. import checksums
from . import openvino_network
from .store import CACHE, Fold, Imported

NUMBERS = "weights.bin"
# Counted up when the weights are kept in another order or form.
_FORM = 1


class Weights:
    """Arrays of weights as :func:`openvino_network.network` takes them.

    Parameters
    ----------
    arrays : {name: float32}. notes : sentences for the user. mapped : the file that they lie in, if they do.
    """

    def __init__(self, arrays: dict[str, np.ndarray], notes: tuple[str, ...] = (), mapped: Any = None) -> None:
        self.arrays, self.notes, self._mapped = arrays, notes, mapped

    def leave(self) -> None:
        """Let them leave the main memory, once OpenVINO has them in a form of its own; they come back if needed."""
        if self._mapped is not None:
            self._mapped.madvise(mmap.MADV_DONTNEED)


def open_converted(model: Imported, configuration: str, fold: Fold) -> Weights:
    """The weights of one configuration and fold.

    Raises
    ------
    ModelError : there is no such fold, its weights are damaged, or torch is missing, which the first time needs.
    """
    definition = model.plans.configurations[configuration].network
    folder = folder_of(model, configuration, fold)
    found = _read(folder, definition)
    if found is not None:
        return found
    arrays = _convert(model, configuration, fold)
    try:
        with files.build_folder(folder, replace=True) as target:
            files.write_verified(target / NUMBERS, b"".join(array.data for array in arrays.values()))
            checksums.seal(target)
        _sweep(folder)
    except (WriteError, OSError) as error:
        reason = str(error).rstrip(".")
        return Weights(arrays, (f"The network's form for OpenVINO could not be kept for the next time ({reason}).",))
    # From the file, so that they can leave the memory.
    return _read(folder, definition) or Weights(arrays)


def is_converted(model: Imported, configuration: str, fold: Fold) -> bool:
    """Whether torch is no longer needed for it; what is there may still turn out to be damaged."""
    return (folder_of(model, configuration, fold) / NUMBERS).is_file()


def folder_of(model: Imported, configuration: str, fold: Fold) -> Path:
    """Where the converted weights lie, or will lie; ModelError if the model has no such fold."""
    file = model.weights.get((configuration, fold))
    if file is None:
        raise ModelError(f"The model {model.name} has no fold {fold} of {configuration}.")
    return model.folder / CACHE / f"{model.sums[file][:32]}-{_FORM}"


def _convert(model: Imported, configuration: str, fold: Fold) -> dict[str, np.ndarray]:
    from . import weights

    loaded = weights.load(model, configuration, fold)
    whole = {name: tensor.float().numpy() for name, tensor in loaded.items()}
    wanted = openvino_network.parts(model.plans.configurations[configuration].network)
    return {
        part: np.ascontiguousarray(whole[name] if channels == slice(None) else whole[name][:, channels])
        for part, (name, channels, _) in wanted.items()
    }


def _read(folder: Path, definition: dict[str, Any]) -> Weights | None:
    """Converted weights, or None if there are none that can be used."""
    wanted = {part: shape for part, (_, _, shape) in openvino_network.parts(definition).items()}
    counts = [math.prod(shape) for shape in wanted.values()]
    try:
        if not folder.is_dir() or set(checksums.verify(folder, (NUMBERS,))) != {NUMBERS}:
            return None
        with open(folder / NUMBERS, "rb") as stream:
            # Where a mapped file cannot leave the memory it could not be removed either while it is mapped.
            given = _mapped(stream) if hasattr(mmap, "MADV_DONTNEED") else bytearray(stream.read())
    except (ModelError, OSError, ValueError):
        return None
    if len(given) != 4 * sum(counts):
        return None
    pieces = np.split(np.frombuffer(given, np.float32), np.cumsum(counts)[:-1])
    arrays = {part: piece.reshape(shape) for (part, shape), piece in zip(wanted.items(), pieces, strict=True)}
    return Weights(arrays, mapped=given if isinstance(given, mmap.mmap) else None)


def _mapped(stream: Any) -> mmap.mmap:
    # As a copy, because OpenVINO takes only arrays that could be written to.
    return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)


def _sweep(folder: Path) -> None:
    """Remove former forms of the same weights."""
    weights = folder.name.partition("-")[0]
    for other in folder.parent.glob(f"{weights}-*"):
        if other != folder:
            files.remove_folder(other)
