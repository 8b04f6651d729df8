"""Which fields MONAI wants in a bundle's metadata, and of which type: checked here, without a network.

MONAI's own check fetches a JSON schema at run time from the address in the metadata. What that schema asks for is
pinned below as facts, as read in meta_schema_20240725.json of release 0.8.1 of Project-MONAI/MONAI-extra-test-data
(kept also in Project-MONAI/project-monai.github.io, public/schema, commit abfc0515409b).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ModelError

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"

TEXTS = {
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task", "description", "authors"),
    *("copyright", "data_source", "data_type", "image_classes", "label_classes", "pred_classes", "intended_use"),
}
TABLES = {"changelog", "required_packages_version", "eval_metrics", "supported_apps"}
REQUIRED = {
    *("schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version", "task"),
    *("description", "authors", "copyright", "network_data_format"),
}
TENSOR_REQUIRED = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}
_FORMATS = re.compile(r"[_a-zA-Z0-9]+_data_format")


def problems(metadata: Any) -> list[str]:
    """What MONAI's schema would object to in a metadata.json, a clause each; none if it is valid."""
    if not isinstance(metadata, Mapping):
        return ["it is not a table of names and values"]
    return [*_missing(metadata, REQUIRED, ""), *_fields(metadata)]


def check(metadata: Mapping[str, Any]) -> None:
    """ModelError if MONAI's schema would refuse the metadata; it says why."""
    found = problems(metadata)
    if found:
        raise ModelError(f"The metadata does not fit MONAI's schema: {'; '.join(found)}.")


def _fields(metadata: Mapping[str, Any]) -> Iterator[str]:
    for name, value in metadata.items():
        if name in TEXTS and not isinstance(value, str):
            yield f"{name} is not a text"
        elif name in TABLES and not isinstance(value, Mapping):
            yield f"{name} is not a table"
        elif name == "references" and not _is_list(value, str):
            yield f"{name} is not a list of texts"
        elif _FORMATS.fullmatch(name):
            yield from _format(name, value)


def _format(name: str, value: Any) -> Iterator[str]:
    """Inputs and outputs of a network."""
    if not isinstance(value, Mapping):
        yield f"{name} is not a table"
        return
    yield from _missing(value, {"inputs", "outputs"}, f"{name}.")
    for part in ("inputs", "outputs", "post_processed_outputs"):
        tensors = value.get(part, {})
        if not isinstance(tensors, Mapping):
            yield f"{name}.{part} is not a table"
            continue
        for key, tensor in tensors.items():
            if not isinstance(tensor, (bool, int, float, str)):
                yield from _tensor(f"{name}.{part}.{key}", tensor)


def _tensor(name: str, tensor: Any) -> Iterator[str]:
    if not isinstance(tensor, Mapping):
        yield f"{name} is not a table"
        return
    yield from _missing(tensor, TENSOR_REQUIRED, f"{name}.")
    kinds = {
        **dict.fromkeys(("type", "format", "dtype"), lambda value: isinstance(value, str)),
        "num_channels": _is_whole,
        "spatial_shape": lambda value: _is_list(value, (str, int)),
        "value_range": lambda value: _is_list(value, (int, float)),
        "is_patch_data": lambda value: isinstance(value, bool),
        "channel_def": lambda value: isinstance(value, Mapping),
    }
    for key, fits in kinds.items():
        if key in tensor and not fits(tensor[key]):
            yield f"{name}.{key} is {tensor[key]!r}, of another type than MONAI knows"


def _missing(table: Mapping[str, Any], required: set[str], where: str) -> list[str]:
    return [f"{where}{name} is missing" for name in sorted(required - set(table))]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_list(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(v, kinds) and not isinstance(v, bool) for v in value)
