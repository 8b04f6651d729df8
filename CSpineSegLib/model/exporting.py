"""Writing a bundle: a trained network as a MONAI bundle folder, the same bytes for the same weights and texts."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from .. import files, resources
from ..errors import ModelError
from . import card, metadata_schema, monai_config, networks, preprocess
from .calibration import CALIBRATION, parse
from .checksums import SUMS, listed, seal, verify

WEIGHTS = "models/model.pt"
METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
CONVERTED = "models/openvino/model.xml"
CONVERTED_WEIGHTS = "models/openvino/model.bin"
CARD = "docs/README.md"
LICENSE = "LICENSE"
REQUIRED = (METADATA, INFERENCE, WEIGHTS, CARD, LICENSE)

LABELS = {"0": "background", "1": "vertebral bodies", "2": "intervertebral discs"}

PHANTOMS_ONLY = "Synthetic phantoms only. No real image, of a patient or of a volunteer, was used."
UNSEEN_REALITY = (
    "It was never shown a real image: contrasts, anatomy and artefacts that the phantoms lack may be segmented badly."
)


def export(
    folder: Path | str,
    name: str,
    state_dict: Mapping[str, Any],
    definition: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    *,
    version: str = "0.1.0",
    description: str = "",
    authors: str = "CSpineSeg developers",
    training_data: str = PHANTOMS_ONLY,
    limits: Sequence[str] = (UNSEEN_REALITY,),
    calibration: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
    convert: bool | None = None,
) -> Path:
    """Write the bundle `folder`/`name` and its SHA256SUMS; all files of a former export are replaced or removed.

    Parameters
    ----------
    folder : for instance ``resources.path("Models")``.
    name : the model's name, letters, digits, "-", "_" and "." only.
    state_dict : tensors of ``networks.build(definition)``; stored in half precision.
    definition : see :func:`networks.build`.
    preprocessing : ``preprocess.describe(spacing)``.
    training : what was trained on what, for how long; plain JSON values, shown in the model card.
    evaluation : measured figures, plain JSON values, possibly nested, shown in the model card.
    version, description, authors : for the metadata and the model card.
    training_data : what the network saw, for the model card.
    limits : sentences on what the model does badly, for the model card, beside those that hold for every model.
    calibration : what was fitted to these weights, see :func:`calibration.compose`.
    extra : further files, by path within the bundle, for instance "docs/failures.png".
    convert : also write the network in OpenVINO's form; by default if OpenVINO is installed.

    Raises
    ------
    ModelError : the weights do not fit the definition, are not finite, a name cannot be used, or OpenVINO is missing.
    WriteError : it could not be written.
    """
    target = Path(folder) / check_name(name)
    preprocess.spacing_of(preprocessing)
    slices, _ = preprocess.context_of(preprocessing)
    if networks.check(definition)["in_channels"] != slices:
        raise ModelError(f"A network of {definition['in_channels']} channels is not for {slices} slices at a time.")
    network, weights = _weights(state_dict, definition)
    metadata = {
        **_metadata(name, definition, preprocessing, training, evaluation, version, description, authors),
        "parameters": sum(tensor.numel() for tensor in network.parameters()),
        "data_source": training_data,
        "limits": list(limits),
    }
    metadata_schema.check(metadata)
    contents = {
        WEIGHTS: weights,
        METADATA: _json(metadata),
        INFERENCE: _json(monai_config.inference(definition, preprocessing)),
        LICENSE: _license(),
    }
    if calibration is not None:
        contents[CALIBRATION] = _json(_checked(calibration))
    if find_spec("openvino") is not None if convert is None else convert:
        from . import openvino_engine

        contents[CONVERTED], contents[CONVERTED_WEIGHTS] = openvino_engine.convert(network, metadata["network"])
    contents |= _apart(extra or {}, {*contents, CARD})
    contents[CARD] = card.compose(metadata, calibration, sorted(contents)).encode("utf-8")
    former = _listed(target)
    _replace(target, contents, former - set(contents))
    return target


def amend(
    folder: Path | str,
    *,
    evaluation: Mapping[str, Any] | None = None,
    calibration: Mapping[str, Any] | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Put into a bundle what became known of its weights after its export; its card and checksums are renewed.

    Parameters
    ----------
    evaluation : all measured figures, in place of those that it holds; None keeps them.
    calibration, extra : as in :func:`export`; what the bundle holds of them is kept unless it is replaced.

    Raises
    ------
    ModelError : the bundle is damaged, or what is given cannot be used. WriteError : it could not be written.
    """
    target = Path(folder)
    present = verify(target, REQUIRED)
    metadata, known = files.read_json(target / METADATA), calibration
    contents = _apart(extra or {}, {*REQUIRED, CALIBRATION, CONVERTED, CONVERTED_WEIGHTS})
    if evaluation is not None:
        metadata |= {"evaluation": dict(evaluation), "eval_metrics": dict(evaluation)}
        metadata_schema.check(metadata)
        contents[METADATA] = _json(metadata)
    if calibration is not None:
        contents[CALIBRATION] = _json(_checked(calibration))
    elif CALIBRATION in present:
        known = files.read_json(target / CALIBRATION)
    contents[CARD] = card.compose(metadata, known, sorted({*present, *contents})).encode("utf-8")
    _replace(target, contents, set())
    return target


def _replace(target: Path, contents: Mapping[str, bytes], gone: set[str]) -> None:
    """Write the files of a bundle, remove those that are gone, and seal it."""
    # The former checksums go first: a bundle that is half replaced must not pass as either.
    (target / SUMS).unlink(missing_ok=True)
    for relative in gone:
        (target / relative).unlink(missing_ok=True)
    for relative, data in contents.items():
        files.write_verified(target / relative, data)
    seal(target)


def _checked(content: Mapping[str, Any]) -> dict[str, Any]:
    """A calibration that the loader will accept; ModelError otherwise."""
    try:
        parse(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"The calibration cannot be used: {error}.") from None
    return dict(content)


def _apart(extra: Mapping[str, bytes], contents: Collection[str]) -> dict[str, bytes]:
    """The further files; ModelError if one would replace a file of the bundle or lie outside it."""
    for name in extra:
        path = PurePosixPath(name)
        if name in contents or name == SUMS or path.is_absolute() or ".." in path.parts or "\\" in name:
            raise ModelError(f"{name!r} cannot be a further file of a model; choose another name within it.")
    return dict(extra)


def _listed(target: Path) -> set[str]:
    """Files of a former export; none if it is damaged."""
    with contextlib.suppress(ModelError):
        return set(listed(target))
    return set()


def check_name(name: str) -> str:
    """The name itself; ModelError if it could not be a folder's name everywhere."""
    if not name or name.startswith(".") or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name):
        raise ModelError(f"{name!r} cannot name a model; use letters, digits, '-', '_' and '.'.")
    return name


def _weights(state_dict: Mapping[str, Any], definition: Mapping[str, Any]) -> tuple[Any, bytes]:
    """The network with its weights rounded to half precision, and these, once each, in torch's own file format."""
    import torch

    network = networks.build(definition)
    given = {key: tensor.detach().half() for key, tensor in state_dict.items()}
    try:
        network.load_state_dict(given)
    except RuntimeError as error:
        raise ModelError(f"The weights do not fit the network definition: {error}") from error
    for key, tensor in given.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"The weights {key} are not finite in half precision; the training diverged.")
    tensors = network.state_dict()
    halves = {key: tensors[key].cpu().half().clone() for key in sorted(set(networks.names(network).values()))}
    buffer = io.BytesIO()
    torch.save(halves, buffer)
    return network, buffer.getvalue()


def _metadata(
    name: str,
    definition: Mapping[str, Any],
    preprocessing: Mapping[str, Any],
    training: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    version: str,
    description: str,
    authors: str,
) -> dict[str, Any]:
    from importlib.metadata import version as installed

    return {
        "schema": metadata_schema.SCHEMA,
        "name": name,
        "version": version,
        "changelog": {version: "see docs/README.md"},
        # Versions without local build tags ("+cpu"): the weights do not depend on the build.
        "monai_version": installed("monai").split("+")[0],
        "pytorch_version": installed("torch").split("+")[0],
        "numpy_version": installed("numpy").split("+")[0],
        "required_packages_version": {"nibabel": installed("nibabel")},
        "task": "Segmentation of vertebral bodies and intervertebral discs in cervical spine MRI",
        "description": description or "Sagittal cervical spine MRI to vertebral bodies (1) and discs (2).",
        "authors": authors,
        "copyright": f"Copyright (c) {authors}; Apache-2.0",
        "intended_use": "Research only; not a medical device, not for diagnosis or treatment.",
        "data_type": "nibabel",
        "image_classes": "one MR volume that shows the cervical spine",
        "pred_classes": "0 background, 1 vertebral bodies, 2 intervertebral discs",
        "eval_metrics": dict(evaluation),
        "network_data_format": monai_config.data_format(definition),
        "labels": LABELS,
        "preprocessing": dict(preprocessing),
        "network": networks.check(definition),
        "training": dict(training),
        "evaluation": dict(evaluation),
    }


def _json(content: Any) -> bytes:
    try:
        return (json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")
    except (TypeError, ValueError) as error:
        raise ModelError(f"The model's description is not plain JSON: {error}.") from error


def _license() -> bytes:
    """The project's licence, from the clone or, in an installed package, from a bundle that carries it."""
    root = resources.root()
    for candidate in (root.parent / "LICENSE", *sorted(root.glob("Models/*/LICENSE"))):
        if candidate.is_file():
            return candidate.read_bytes()
    raise ModelError(f"No LICENSE was found beside {root}; export from a clone of the repository.")
