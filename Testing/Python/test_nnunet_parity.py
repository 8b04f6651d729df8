"""An imported model gives nnU-Net's own masks: every mask here is compared with the one of nnU-Net's own commands.

The exact mode on torch adds up logits in half precision just as nnU-Net does, and is held to its masks and, to 1e-3, to
its probabilities (`--save_probabilities`). On OpenVINO logits differ by about 1e-6 and at most 1e-4. That can turn the
last place of a half, which is 0.002 to 0.008 of most logits and, in the corners of the outermost windows, up to some
tenths, as nnU-Net's weights there are among the smallest numbers of half precision. Where two classes are that close,
either may win: such voxels are counted and checked to be such ties. Dice is of each class over all images of a
reference, as one voxel is more than 1e-4 of a small structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="the oracle")
pytest.importorskip("torch", reason="nnU-Net's engine, and one of ours")

import nnunet_cases as cases
from nnunet_cases import REFERENCES, Products, Reference

from CSpineSegLib import model, volume
from CSpineSegLib.model.nnunet import importing, torch_runner
from CSpineSegLib.model.nnunet.run import Run
from CSpineSegLib.volume import Volume

pytestmark = pytest.mark.slow

ENGINES = ("torch", "openvino")
# Of half precision on networks that were trained for seconds and are sure of little; see Docs/nnunet.md for others.
LEAST = {"float32": 0.999, "float16": 0.985, "bfloat16": 0.985}
BODY_AND_DISC = (1, 2)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two masks of one image in the axes of the oracle's, and their probabilities (3, ...) if there are any."""

    case: str
    ours: np.ndarray
    stock: np.ndarray
    said: np.ndarray | None = None
    stock_said: np.ndarray | None = None
    precision: str = ""

    @property
    def differing(self) -> int:
        return int(np.count_nonzero(self.ours != self.stock))

    @property
    def margin(self) -> float:
        """By how much nnU-Net's own probability of its label exceeds that of ours, at most, where the masks differ."""
        there = self.ours != self.stock
        if not there.any() or self.stock_said is None:
            return 0.0
        values = self.stock_said[:, there]
        rows = np.arange(values.shape[1])
        return float((values[self.stock[there], rows] - values[self.ours[there], rows]).max())


@pytest.fixture(scope="module")
def products(tmp_path_factory) -> Products:
    return cases.products(tmp_path_factory.getbasetemp() / "oracle")


@pytest.fixture(scope="module")
def imported(products, tmp_path_factory):
    """Imports a kind of model once."""
    root, made = tmp_path_factory.mktemp("models"), {}

    def get(kind: str):
        if kind not in made:
            made[kind] = model.load(importing.import_model(products.zip(kind), name=kind, root=root).folder)
        return made[kind]

    return get


def compare(products: Products, one, reference, case: str, run: Run, engine: str, said: bool = False) -> Pair:
    """Ours and nnU-Net's result for an image that each got in axes of its own, in the axes of the training data."""
    vol = volume.read(products.image(case))
    found = model.predict(one, vol, anyway=True, engine=engine, probabilities=said, run=run)
    assert found.engine == engine or engine == "auto"
    assert found.mask.array.dtype == np.uint8 and np.array_equal(found.mask.affine, vol.affine)
    stock, ours = (volume.reorient(mask, one.orientation) for mask in (products.mask(reference, case), found.mask))
    assert np.allclose(ours.affine, stock.affine, atol=1e-3)
    about = None
    if said:
        parts = (Volume(part.astype(np.float32), vol.affine) for part in found.probabilities)
        about = np.stack([volume.reorient(part, one.orientation).array for part in parts])
    is_told = getattr(reference, "probabilities", True)
    stock_said = products.probabilities(reference, case) if is_told else None
    (precision,) = {note.split()[-1].rstrip(".") for note in found.notes if "the network ran in" in note}
    return Pair(case, ours.array, stock.array, about, stock_said, precision)


def dice(pairs: list[Pair], label: int) -> float:
    """Of all images together."""
    both = sum(int((pair.ours == label).sum() + (pair.stock == label).sum()) for pair in pairs)
    return 2 * sum(int(((pair.ours == label) & (pair.stock == label)).sum()) for pair in pairs) / both


def report(title: str, pairs: list[Pair]) -> None:
    scores = ", ".join(f"{dice(pairs, label):.6f}" for label in BODY_AND_DISC)
    counts = ", ".join(f"{pair.case} {pair.differing} of {pair.stock.size} ({pair.margin:.4f})" for pair in pairs)
    print(f"{title}: Dice {scores}; voxels that differ, and nnU-Net's margin there: {counts}")


def ids(reference: Reference) -> str:
    return reference.name


@pytest.mark.parametrize("reference", REFERENCES, ids=ids)
def test_references_hold_bodies_and_discs_in_every_image(products, reference):
    for case in reference.cases:
        counts = np.bincount(products.mask(reference, case).array.ravel(), minlength=3)
        assert min(counts[1:]) > 200, (case, counts)


@pytest.mark.parametrize("reference", REFERENCES, ids=ids)
def test_exact_masks_on_torch_are_nnunets_voxel_for_voxel(products, imported, reference):
    run = Run("exact", reference.configuration, reference.folds, reference.mirror)
    one, said = imported(reference.kind), reference.probabilities
    pairs = [compare(products, one, reference, case, run, "torch", said) for case in reference.cases]
    report(f"torch exact {reference.name}", pairs)
    assert [pair.differing for pair in pairs] == [0] * len(pairs)
    if said:
        assert max(np.abs(pair.said - pair.stock_said).max() for pair in pairs) <= 1e-3


@pytest.mark.parametrize("reference", REFERENCES, ids=ids)
def test_exact_masks_on_openvino_differ_in_ties_alone(products, imported, reference):
    pytest.importorskip("openvino", reason="the engine under test")
    run = Run("exact", reference.configuration, reference.folds, reference.mirror)
    one, said = imported(reference.kind), reference.probabilities
    pairs = [compare(products, one, reference, case, run, "openvino", said) for case in reference.cases]
    report(f"openvino exact {reference.name}", pairs)
    assert min(dice(pairs, label) for label in BODY_AND_DISC) >= 0.9999
    assert max(pair.margin for pair in pairs) <= 0.05
    if said:
        assert max(np.quantile(np.abs(pair.said - pair.stock_said), 0.999) for pair in pairs) <= 1e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_the_ensemble_of_2d_and_3d_with_two_folds_each_is_nnunets(products, imported, engine):
    pytest.importorskip(engine, reason="the engine under test")
    run = Run("exact", "ensemble", (0, 1))
    pairs = [compare(products, imported("plain"), cases.ENSEMBLE, case, run, engine, True) for case in cases.FEW]
    report(f"{engine} exact ensemble", pairs)
    assert min(dice(pairs, label) for label in BODY_AND_DISC) >= 0.9999
    if engine == "torch":
        assert max(np.abs(pair.said - pair.stock_said).max() for pair in pairs) <= 1e-3


@pytest.mark.parametrize("reference", REFERENCES, ids=ids)
def test_the_default_mode_agrees_as_far_as_its_precision_allows(products, imported, reference):
    run = Run("default", reference.configuration, reference.folds, reference.mirror)
    pairs = [compare(products, imported(reference.kind), reference, case, run, "auto") for case in reference.cases]
    report(f"default {reference.name}", pairs)
    assert min(dice(pairs, label) for label in BODY_AND_DISC) >= LEAST[pairs[0].precision]


@pytest.mark.parametrize("reference", REFERENCES[:1], ids=ids)
def test_bfloat16_which_this_processor_may_only_imitate_stays_close(products, imported, reference, monkeypatch):
    monkeypatch.setattr(torch_runner, "half_precision", lambda engine, device: "bfloat16")
    run = Run("default", reference.configuration, reference.folds, reference.mirror)
    pairs = [compare(products, imported(reference.kind), reference, case, run, "torch") for case in cases.FEW]
    report(f"bfloat16 {reference.name}", pairs)
    assert {pair.precision for pair in pairs} == {"bfloat16"}
    assert LEAST["bfloat16"] <= min(dice(pairs, label) for label in BODY_AND_DISC) < 1


@pytest.mark.parametrize("reference", [one for one in REFERENCES if len(one.folds) == 2], ids=ids)
def test_what_the_fast_mode_loses_is_measured(products, imported, reference):
    run = Run("fast", reference.configuration, reference.folds)
    pairs = [compare(products, imported(reference.kind), reference, case, run, "auto") for case in reference.cases]
    report(f"fast {reference.name}", pairs)
    assert 0.3 < min(dice(pairs, label) for label in BODY_AND_DISC) < 1
