"""From an image to nnU-Net's own mask: folds, mirroring, ensembles, orientations, modes, refusals, cancelling."""

import dataclasses

import nnunet_zips as zips
import numpy as np
import pytest

from CSpineSegLib import model, phantom, volume
from CSpineSegLib.errors import Cancelled, InputError, ModelError
from CSpineSegLib.model import devices
from CSpineSegLib.model.nnunet import compare, forward, importing, prediction
from CSpineSegLib.model.nnunet.run import Run, parts_of
from CSpineSegLib.model.plausibility import NotCervicalError
from CSpineSegLib.progress import Progress

# The smallest exam that is not refused unseen; not the spacing of the plans, and larger than their patches.
GRID = phantom.grid_around((64, 46, 6), (0.7, 0.75, 4.0), "PSR")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A results folder of nnU-Net with tiny networks, the model imported from it, and an exam as a file."""
    folder = tmp_path_factory.mktemp("nnunet")
    for configuration in ("2d", "3d_fullres"):
        zips.write_folder(folder / "results", zips.training(configuration, (0, 1)))
    imported = importing.import_model(folder / "results" / zips.DATASET, name="tiny", root=folder / "models")
    drawn = phantom.render(phantom.trace(3, GRID), 1)
    volume.write(volume.from_array(drawn.image.astype(np.int16), GRID.affine), folder / "case_0000.nii.gz")
    return folder, imported, volume.read(folder / "case_0000.nii.gz")


def stock(folder, configuration, folds, mirror):
    """What nnU-Net's predictor says of the exam: (mask, probabilities (3, I, J, K) float32) on its file."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    trained = next((folder / "results").rglob(f"*__{configuration}"))
    predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False, use_mirroring=mirror)
    predictor.initialize_from_trained_model_folder(str(trained), folds)
    out = folder / f"{configuration}_{len(folds)}_{mirror}"
    out.mkdir(exist_ok=True)
    predictor.predict_from_files_sequential([[str(folder / "case_0000.nii.gz")]], [str(out / "case")], True)
    return volume.read(out / "case.nii.gz").array, np.load(out / "case.npz")["probabilities"].transpose(0, 3, 2, 1)


def ours(home, mode="exact", **options):
    _, imported, vol = home
    return prediction.predict(
        imported, vol, "cpu", None, True, engine="torch", anyway=True, run=Run(mode=mode, **options)
    )


@pytest.mark.parametrize(
    ("configuration", "folds", "mirror"), [("2d", (0, 1), True), ("2d", (0,), False), ("3d_fullres", (0, 1), False)]
)
def test_the_mask_is_that_of_nnunet_voxel_for_voxel(home, configuration, folds, mirror):
    expected, probabilities = stock(home[0], configuration, folds, mirror)
    found = ours(home, configuration=configuration, folds=folds, mirror=mirror)
    assert len(np.unique(expected)) > 1, "an empty mask would prove nothing"
    assert np.array_equal(found.mask.array, expected)
    assert np.abs(found.probabilities - probabilities).max() < 5e-4, "half a step of float16 below one"


def test_an_ensemble_is_the_mean_of_probabilities_as_nnunet_takes_it(home):
    from nnunetv2.ensembling.ensemble import average_probabilities

    files = []
    for configuration in ("2d", "3d_fullres"):
        stock(home[0], configuration, (0,), False)
        files.append(str(home[0] / f"{configuration}_1_False" / "case.npz"))
    expected = average_probabilities(files).transpose(0, 3, 2, 1)
    found = ours(home, configuration="ensemble", folds=(0,), mirror=False)
    assert np.array_equal(found.mask.array, expected.argmax(0))
    assert np.abs(found.probabilities - expected).max() < 5e-4
    assert any("2d, fold 0" in note and "3d_fullres, fold 0" in note for note in found.notes)


class Bright:
    """A runner that calls bright voxels bodies and brighter ones discs; remembers what it was asked."""

    name, device, precision, notes, batch, memory = "torch", "cpu", "float32", (), 4, 10**9

    def __init__(self, *asked, **options):
        self.asked, self.options, self.shapes = asked, options, []

    def __call__(self, inputs, check=None):
        check()
        self.shapes.append(inputs.shape)
        if inputs.size > self.memory:
            raise MemoryError
        return np.concatenate([np.zeros_like(inputs), inputs - 0.5, 2 * inputs - 2.2], axis=1)

    def release(self):
        pass


@pytest.fixture
def bright(monkeypatch):
    """Every network is :class:`Bright`; the runners that were opened, in order."""
    opened = []

    def opens(*asked, **options):
        opened.append(Bright(*asked, **options))
        return opened[-1]

    monkeypatch.setattr(forward, "open_runner", opens)
    return opened


def quick(home, vol=None, **options):
    given = {"engine": "torch", "anyway": True, **options}
    return prediction.predict(home[1], vol or home[2], "cpu", **given)


@pytest.mark.parametrize("configuration", ["2d", "ensemble"])
def test_what_is_cropped_away_is_background_for_certain(home, bright, configuration):
    array = home[2].array.copy()
    array[:10] = 0
    empty = volume.like(home[2], array)
    found = quick(home, empty, run=Run(configuration=configuration), probabilities=True)
    assert np.all(found.probabilities[0, :10] == 1) and not found.mask.array[:10].any()
    assert np.allclose(found.probabilities.astype(float).sum(axis=0), 1, atol=2e-3)
    assert np.array_equal(found.probabilities.argmax(axis=0), found.mask.array)


@pytest.mark.parametrize("codes", ["RAS", "LIP", "SAL"])
def test_every_orientation_of_an_image_gives_the_same_mask_on_its_own_grid(home, bright, codes):
    turned = volume.reorient(home[2], codes)
    straight, found = quick(home), quick(home, turned)
    assert straight.mask.array.any() and found.mask.array.dtype == np.uint8
    assert np.array_equal(volume.reorient(found.mask, "PSR").array, straight.mask.array)
    assert np.allclose(found.mask.affine, turned.affine)
    assert np.array_equal(straight.mask.header["pixdim"], home[2].header["pixdim"])


def test_every_fold_is_opened_once_and_in_the_precision_that_the_mode_says(home, bright):
    found = quick(home, run=Run(mode="exact"))
    assert [one.asked[1:3] for one in bright] == [("2d", 0), ("2d", 1), ("3d_fullres", 0), ("3d_fullres", 1)]
    assert all(one.options == {"exact": True, "size": None} for one in bright)
    assert sum(shape[0] for shape in bright[0].shapes) % 4 == 0, "four views of each window"
    assert sum(shape[0] for shape in bright[2].shapes) % 8 == 0
    assert any("folds 0, 1, mirrored (8 views); the mean" in note for note in found.notes)
    assert {shape[0] for shape in bright[0].shapes[:-1]} == {4}, "windows and views fill the batches"
    bright.clear()
    quick(home, run=Run(mirror=False, configuration="2d"))
    assert [one.options["exact"] for one in bright] == [False, False]


def test_fast_takes_the_whole_image_at_once_and_says_that_it_is_a_trade(home, bright):
    found = quick(home, run=Run(mode="fast", configuration="2d"))
    whole = bright[0].shapes[0][2:]
    assert len(bright) == 1 and bright[0].options == {"exact": False, "size": whole}
    assert all(side % 4 == 0 for side in whole) and sum(shape[0] for shape in bright[0].shapes) == GRID.shape[2]
    assert any("trades accuracy for time" in note for note in found.notes)
    expected = quick(home, run=Run(configuration="2d", mirror=False)).mask.array
    assert np.array_equal(found.mask.array, expected), "this network sees single voxels, so that nothing is lost"


def test_fast_goes_on_in_windows_where_the_memory_does_not_suffice(home, bright, monkeypatch):
    monkeypatch.setattr(Bright, "memory", 32 * 32)
    found = quick(home, run=Run(mode="fast", configuration="2d"))
    assert any("did not suffice for the whole image" in note for note in found.notes) and found.mask.array.any()
    assert [one.options["size"] is None for one in bright] == [False, True]
    monkeypatch.setattr(devices, "memory", lambda: (1000, 2000))
    bright.clear()
    found = quick(home, run=Run(mode="fast", configuration="2d"))
    assert any("it was run in windows" in note for note in found.notes) and bright[0].options["size"] is None


def test_without_memory_for_a_window_nothing_is_returned(home, bright, monkeypatch):
    monkeypatch.setattr(Bright, "memory", 10)
    with pytest.raises(ModelError, match="not enough memory for a window of 32 x 32 voxels"):
        quick(home)


def test_modes_are_compared_with_the_exact_one(home, bright):
    found = compare.compare_modes(home[1], home[2], "cpu", engine="torch", anyway=True, run=Run(configuration="2d"))
    assert [one.mode for one in found] == ["exact", "default", "fast"] and all(one.seconds > 0 for one in found)
    assert found[0].dice == {1: 1.0, 2: 1.0} and set(found[2].dice) == {1, 2}
    some = compare.compare_modes(home[1], home[2], "cpu", engine="torch", anyway=True, modes=["fast"])
    assert [one.mode for one in some] == ["exact", "fast"]
    assert compare._dice(np.array([1, 1, 0], bool), np.array([1, 0, 0], bool)) == pytest.approx(2 / 3)


def test_what_is_not_a_neck_is_refused_and_segmented_only_on_demand(home, bright):
    with pytest.raises(NotCervicalError, match=r"case_0000\.nii\.gz: this does not look like a cervical spine"):
        quick(home, anyway=False)
    flat = volume.like(home[2], np.full(home[2].shape, 7, np.int16))
    with pytest.raises(InputError, match="all its voxels have the same value"):
        quick(home, flat, anyway=False)
    assert any("segmented anyway" in note for note in quick(home, flat).notes)
    thick = volume.from_array(home[2].array, home[2].affine @ np.diag([6, 1, 0.2, 1]))
    with pytest.raises(NotCervicalError, match="stacked in the"):
        quick(home, thick, anyway=False)
    assert sum(shape[0] for shape in bright[-1].shapes) > 0, "a few slices were looked at"


def test_a_mask_is_cleaned_only_on_demand(home, bright):
    plain = model.predict(home[1], home[2], "cpu", engine="torch", anyway=True)
    assert plain.cleaned is None and plain.quality is None and plain.engine == "torch" and plain.verdict is not None
    cleaned = model.predict(home[1], home[2], "cpu", engine="torch", anyway=True, clean=True)
    assert cleaned.cleaned.removed or cleaned.cleaned.filled
    assert not np.array_equal(cleaned.mask.array, plain.mask.array)
    assert all("probability" in entry for entry in cleaned.cleaned.removed)


def test_options_of_the_other_kind_of_model_are_refused(home):
    with pytest.raises(ModelError, match="windows of its own"):
        model.predict(home[1], home[2], window=64)
    with pytest.raises(ModelError, match="are for imported models"):
        model.predict(model.load("cspine-phantom"), home[2], run=Run())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mode": "slow"}, "'slow' is not a mode; choose one of exact, default, fast"),
        ({"configuration": "3d_lowres"}, "'3d_lowres' is not a configuration; choose one of 2d, 3d_fullres, ensemble"),
        ({"folds": (0, 7)}, "has no fold 7 of 2d, only 0, 1"),
        ({"folds": ()}, "has no fold of that of 2d"),
    ],
)
def test_what_the_model_does_not_have_is_told(home, options, sentence):
    with pytest.raises(ModelError, match=sentence):
        parts_of(home[1], Run(**options))


def imported(home, **changes):
    return dataclasses.replace(home[1], **changes)


def test_configurations_and_folds_are_chosen_as_nnunet_would(home):
    assert [part.configuration.name for part in parts_of(home[1], Run())] == ["2d", "3d_fullres"]
    best = imported(home, metadata={**home[1].metadata, "best": "3d_fullres"})
    assert [part.configuration.name for part in parts_of(best, Run())] == ["3d_fullres"]
    weights = {("2d", 1): "a", ("2d", 0): "b", ("2d", "all"): "c"}
    one = {"2d": home[1].plans.configurations["2d"]}
    single = imported(home, weights=weights, plans=dataclasses.replace(home[1].plans, configurations=one))
    (part,) = parts_of(single, Run())
    assert part.folds == (0, 1) and part.axes == (0, 1)
    assert parts_of(single, Run(folds=("all",)))[0].folds == ("all",)
    assert parts_of(single, Run(mode="fast"))[0] == type(part)(part.configuration, (0,), (), True)
    with pytest.raises(ModelError, match="has no configuration 3d_fullres, only 2d"):
        parts_of(single, Run(configuration="ensemble"))
    assert parts_of(imported(home, mirroring={}), Run())[0].axes == ()
    whole = imported(home, weights={("2d", "all"): "c"}, plans=single.plans)
    assert parts_of(whole, Run())[0].folds == ("all",)


def test_a_run_is_recorded_as_plain_values():
    assert Run(folds=(0, 2)).settings() == {
        "mode": "default",
        "configuration": None,
        "folds": [0, 2],
        "mirror": True,
    }


def test_progress_grows_over_all_stages_and_cancelling_works_at_each(home, bright):
    events = []
    options = {"engine": "torch", "anyway": True, "run": Run(folds=(0,))}
    prediction.predict(home[1], home[2], "cpu", Progress(events.append), True, **options)
    fractions = [event.fraction for event in events]
    assert np.diff(fractions).min() > -1e-9 and fractions[-1] == 1
    stages = [event.stage for event in events]
    assert {"load model", "prepare", "segment", "resample", "finish"} <= set(stages)
    for stage in set(stages):
        left = stages.index(stage) + 1
        asked = []

        def cancelled(left=left, asked=asked):
            asked.append(True)
            return len(asked) > left

        with pytest.raises(Cancelled):
            prediction.predict(home[1], home[2], "cpu", Progress(None, cancelled), True, **options)
        assert len(asked) == left + 1
