"""The model card of a bundle, composed from its metadata: what it is for, what it saw, what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_OUT_OF_SCOPE = (
    "Diagnosis, treatment, or any decision on a patient: it is research software, not a medical device.",
    "Other parts of the spine, other modalities than MRI, and exams whose slices are not sagittal.",
    "Naming levels: it tells bodies and discs from each other, not one vertebra from the next.",
    "Figures on groups of people: no real person was seen in training, and fairness between groups was not measured.",
)

_LIMITS = (
    "It knows two classes. Arches, facets, cord and canal are background.",
    "How much of the dens belongs to C2 differs from reader to reader: its tip was neither trained nor scored.",
    "Every mask is meant to be looked at, and corrected where needed, before it is used.",
)

_CHECKS = (
    "Before the network runs, CSpineSeg refuses, with one sentence: images that are no MR intensities, fewer than 5 "
    "slices, and voxels over twice as long one way if that way is not left-right. What the network then finds is "
    'judged: "this does not look like a cervical spine exam", with a probability, and no mask is written. Either is '
    "overruled by `--anyway`, and recorded. Specks outside the spine are removed and small holes filled, unless "
    "`--no-clean` is given; what was changed is recorded. These steps belong to CSpineSeg: MONAI's runner, with "
    "configs/inference.json, writes the mask as it is before them."
)


def compose(
    metadata: Mapping[str, Any], calibration: Mapping[str, Any] | None = None, files: Sequence[str] = ()
) -> str:
    """Model card in Markdown.

    The sections follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019 (doi:10.1145/3287560.3287596).

    Parameters
    ----------
    metadata : the bundle's.
    calibration : content of its configs/calibration.json, or None.
    files : its other files, by path within it; pictures named docs/failures.* are shown.
    """
    labels = ", ".join(f"{value} {name}" for value, name in metadata["labels"].items())
    pictures = [name.removeprefix("docs/") for name in sorted(files) if name.startswith("docs/failures.")]
    sections = [
        f"# {metadata['name']} {metadata['version']}",
        metadata["description"],
        "## Intended use",
        "Research on sagittal cervical spine MRI, T2-weighted first: a starting mask that a person reviews and "
        f"corrects. {metadata['intended_use']}",
        "## Out of scope",
        _list(_OUT_OF_SCOPE),
        "## Input and output",
        f"{_input(metadata['preprocessing'])} Output: a mask on the volume's own grid: {labels}.",
        "## Input checks and refusal",
        _CHECKS,
        "## Network",
        _network(metadata, files),
        "## Training data",
        metadata.get("data_source", ""),
        "What was spent on it:",
        _table(metadata["training"]) or "Nothing is known.",
        "## Figures",
        _table(metadata["evaluation"]) or "Nothing has been measured.",
        "Each line names what was measured on. Figures on phantoms say nothing certain about patients.",
        "## Calibration",
        _calibrated(calibration),
        "## Failures",
        "\n\n".join(f"![Held-out phantoms on which it did worst]({name})" for name in pictures)
        or "No pictures of failures were made.",
        "## Limits",
        _list((*metadata.get("limits", ()), *_LIMITS)),
        "## Licence",
        f"{metadata['copyright']}. See LICENSE.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _input(preprocessing: Mapping[str, Any]) -> str:
    count = preprocessing.get("context_slices", 1)
    beside = ""
    if count > 1:
        beside = f" Each slice is seen with its neighbours about {preprocessing['context_distance_mm']:g} mm away."
    return (
        "Input: one MR volume of any orientation and voxel size. Sagittal slices at "
        f"{preprocessing['in_plane_spacing_mm']} mm in plane (axes {preprocessing['orientation']}); intensities: "
        f"{preprocessing['normalisation']}.{beside}"
    )


def _network(metadata: Mapping[str, Any], files: Sequence[str]) -> str:
    network = metadata["network"]
    count = f" {metadata['parameters']:,} parameters;" if "parameters" in metadata else ""
    forms = "models/model.pt"
    if any(name.endswith(".xml") for name in files):
        forms += " for torch, and models/openvino for CPUs without torch: the same numbers"
    return (
        f"MONAI {network['name']}, {network['spatial_dims']}D, filters {', '.join(map(str, network['filters']))};"
        f"{count} weights in half precision ({forms})."
    )


def _calibrated(calibration: Mapping[str, Any] | None) -> str:
    if calibration is None:
        return "None: probabilities are the network's own, and no quality score is given."
    temperature = calibration["temperature"]
    told = (
        f"Probabilities are softened by a temperature of {temperature['plain']:.3g}. The quality score is the Dice "
        f"that is predicted from further views ({', '.join(calibration['quality']['views']) or 'none'}), whose mean "
        f"has a temperature of {temperature['averaged']:.3g}."
    )
    fitted = _table(calibration.get("fitted", {}))
    return f"{told}\n\n{fitted}" if fitted else told


def _list(sentences: Sequence[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


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
            yield name, ", ".join(map(_text, value))
        else:
            yield name, _text(value)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value).replace("|", "/")
