"""The model card of a bundle, composed from its metadata: what it is for, what it saw, what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LIMITS = (
    "It knows two classes. Arches, facets, cord and canal are background; levels are not named by this network.",
    "It segments whatever it is given: it does not recognise that an exam is not a cervical spine.",
    "Every mask is meant to be looked at, and corrected where needed, before it is used.",
)


def compose(metadata: Mapping[str, Any], training_data: str, limits: Sequence[str] = ()) -> str:
    """Model card in Markdown.

    The sections follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019 (doi:10.1145/3287560.3287596).
    """
    preprocessing = metadata["preprocessing"]
    labels = ", ".join(f"{value} {name}" for value, name in metadata["labels"].items())
    sections = [
        f"# {metadata['name']} {metadata['version']}",
        metadata["description"],
        "## Intended use",
        "Research on sagittal cervical spine MRI, T2-weighted first: a starting mask that a person reviews and "
        f"corrects. {metadata['intended_use']}",
        "## Input and output",
        f"Input: one MR volume of any orientation and voxel size. Sagittal slices at "
        f"{preprocessing['in_plane_spacing_mm']} mm in plane (axes {preprocessing['orientation']}); intensities: "
        f"{preprocessing['normalisation']}. Output: a mask on the volume's own grid: {labels}.",
        "## Network",
        f"MONAI {metadata['network']['name']}, {metadata['network']['spatial_dims']}D, filters "
        f"{', '.join(map(str, metadata['network']['filters']))}; weights stored in half precision.",
        "## Training data",
        training_data,
        _table(metadata["training"]),
        "## Figures",
        _table(metadata["evaluation"]) or "Nothing has been measured.",
        "## Limits",
        "\n".join(f"- {sentence}" for sentence in (*limits, *_LIMITS)),
        "## Licence",
        f"{metadata['copyright']}. See LICENSE.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _table(values: Mapping[str, Any]) -> str:
    rows = [f"| {name} | {value} |" for name, value in _flat(values)]
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as lines: ("held-out phantoms, bodies", "0.95")."""
    for key, value in values.items():
        name = prefix + str(key).replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}, ")
        elif isinstance(value, (list, tuple)):
            yield name, ", ".join(map(str, value))
        else:
            yield name, f"{value:.4g}" if isinstance(value, float) else str(value)
