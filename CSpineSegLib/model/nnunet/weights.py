"""nnU-Net's checkpoints read as data, and the weights of imported models.

A checkpoint is a pickle, which can run any program when it is opened without care, as nnU-Net itself does. Here torch
reads it with `weights_only`, which knows tensors and plain values alone; NumPy's scalars, which nnU-Net logs, are added
to that list, and anything else is refused by its name.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ModelError
from ..devices import import_torch, is_out_of_memory
from . import unets
from .store import Fold, Imported

_SCALARS = "?bBhHiIlLqQefd"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What inference needs of a checkpoint.

    Parameters
    ----------
    weights : {name: tensor} of the network, under all the names that nnU-Net gives them.
    trainer : name of the class that trained it. configuration : as that class was asked for.
    fold : a number, "all", or None if it does not say. epoch : how many were done, or None.
    mirroring : axes of the patch that it may be flipped along; empty if none.
    """

    weights: dict[str, Any]
    trainer: str
    configuration: str
    fold: Fold | None
    epoch: int | None
    mirroring: tuple[int, ...]


def load(model: Imported, configuration: str, fold: Fold) -> dict[str, Any]:
    """The weights of one network of an imported model, {name: tensor} as :func:`unets.shapes` lists them, on the CPU.

    Raises
    ------
    ModelError : it has no such configuration or fold (what it has is named), or its file cannot be read.
    """
    file = model.weights.get((configuration, fold))
    if file is None:
        known = ", ".join(f"{name} fold {one}" for name, one in model.weights)
        raise ModelError(f"The model {model.name} has no fold {fold} of {configuration}; it has {known}.")
    path = model.folder / file
    content = _load(path, str(path))
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} does not hold weights; import the model again.")
    try:
        return unets.strip(model.plans.configurations[configuration].network, content)
    except ModelError as error:
        raise ModelError(f"{path} cannot be used: {error}") from None


def read(source: Path | bytes, where: str) -> Checkpoint:
    """A checkpoint of nnU-Net.

    Parameters
    ----------
    source : its file or its bytes. where : names it in errors.

    Raises
    ------
    ModelError : damaged, not nnU-Net's, or something in it that is not a tensor or a plain value (named).
    """
    content = _load(source, where)
    if not isinstance(content, Mapping) or not isinstance(content.get("network_weights"), Mapping):
        raise ModelError(f"{where} is not a checkpoint of nnU-Net: it holds no network_weights.")
    arguments = content.get("init_args")
    configuration = arguments.get("configuration") if isinstance(arguments, Mapping) else None
    trainer, axes = content.get("trainer_name"), content.get("inference_allowed_mirroring_axes")
    if not isinstance(configuration, str) or not isinstance(trainer, str):
        raise ModelError(f"{where} is not a checkpoint of nnU-Net 2: it does not name its trainer and configuration.")
    axes = () if axes is None else axes
    if not isinstance(axes, (tuple, list)) or not all(_whole(axis) and 0 <= axis <= 2 for axis in axes):
        raise ModelError(f"{where} names the mirroring axes {str(axes)[:60]}, which are not axes of a patch.")
    fold, epoch = arguments.get("fold"), content.get("current_epoch")
    return Checkpoint(
        dict(content["network_weights"]),
        trainer,
        configuration,
        int(fold) if _whole(fold) else ("all" if fold == "all" else None),
        int(epoch) if _whole(epoch) else None,
        tuple(sorted({int(axis) for axis in axes})),
    )


def _load(source: Path | bytes, where: str) -> Any:
    """Content of a file of torch's, by `weights_only`."""
    torch = import_torch()
    _check_inner(source, where)
    # From a file only what is used is read into memory: half of a checkpoint is the optimiser's.
    given, mapped = (io.BytesIO(source), False) if isinstance(source, bytes) else (source, True)
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(given, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([A-Za-z_][\w.]*)|got <class '([\w.]+)'>", str(error))
        name = f"the program object {found[1] or found[2]!r}" if found else "what is neither a tensor nor a plain value"
        raise ModelError(f"{where} holds {name}, which could run a program; it is refused.") from None
    except MemoryError:
        raise ModelError(f"{where} does not fit into the main memory; close other programs.") from None
    except Exception as error:
        if is_out_of_memory(error):
            raise ModelError(f"{where} does not fit into the main memory; close other programs.") from None
        # Torch's reader raises whatever its parts raise when bytes are not what they should be.
        raise ModelError(f"{where} is damaged or not a checkpoint ({type(error).__name__}); export it again.") from None


def _check_inner(source: Path | bytes, where: str) -> None:
    """ModelError unless the file is torch's kind of zip: stored members, none twice, none larger than the file."""
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        size = len(source) if isinstance(source, bytes) else source.stat().st_size
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
    except FileNotFoundError:
        raise ModelError(f"{where} does not exist.") from None
    except OSError as error:
        raise ModelError(f"{where} cannot be read ({error.strerror or error}).") from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        raise ModelError(f"{where} is damaged, or not in the format in which torch saves weights.") from None
    stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    single = len({member.filename for member in members}) == len(members)
    if not stored or not single or sum(member.file_size for member in members) > size:
        raise ModelError(f"{where} is not a file as torch writes it (members compressed, repeated or too large).")


def _numpy_scalars() -> list[Any]:
    """NumPy's scalars of numbers under the names by which NumPy 1 and 2 store them."""
    types = {type(np.dtype(code)) for code in _SCALARS}
    scalar = np.array(0.0)[()].__reduce__()[0]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    return [*named, np.dtype, *sorted(types, key=lambda kind: kind.__name__)]


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
