"""From image to mask: the right voxels on the right grid, whatever the orientation, size, memory or patience."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from CSpineSegLib import model, resources, volume
from CSpineSegLib.errors import Cancelled, GraphicsMemoryError, ModelError
from CSpineSegLib.model import engine, networks, preprocess, running
from CSpineSegLib.progress import Progress

torch = pytest.importorskip("torch", reason="the model room needs torch")

SMALL = {
    **networks.DYNUNET_2D,
    "kernel_size": [3] * 4,
    "strides": [1, 2, 2, 2],
    "upsample_kernel_size": [2] * 3,
    "filters": [8, 16, 16, 16],
    "res_block": False,
}
CODES = [
    "".join(letters)
    for pairs in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*pairs)
]  # fmt: skip


def rods(grid: volume.Grid, seed: int = 0) -> tuple[volume.Volume, np.ndarray]:
    """Bright rods along left-right, their upper halves labelled 1, their lower halves 2: up and down matter."""
    rng = np.random.default_rng(seed)
    index = np.indices(grid.shape).reshape(3, -1).T
    middle = grid.corners().mean(axis=0)
    _, anterior, superior = (index @ grid.affine[:3, :3].T + grid.affine[:3, 3] - middle).T
    image, labels = np.full(len(index), 60.0), np.zeros(len(index), np.uint8)
    for y, z, radius in ((9.0, 11.0, 7.0), (-9.0, -8.0, 6.0)):
        inside = (anterior - y) ** 2 + (superior - z) ** 2 < radius**2
        image[inside] = 160.0
        labels[inside] = np.where(superior[inside] > z, 1, 2)
    image += rng.normal(0.0, 10.0, len(index))
    return volume.from_array(image.astype(np.int16).reshape(grid.shape), grid.affine), labels.reshape(grid.shape)


def oriented(codes: str, shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> volume.Grid:
    """A grid of sagittal slices (n, rows, columns) with axes as `codes`."""
    plain = volume.from_array(np.zeros(shape, np.uint8), np.diag([*spacing, 1.0]))
    return volume.reorient(plain, codes).grid


def predict(*arguments: object, **options: object) -> model.Prediction:
    """As the library's, also of what is no neck, with every voxel that the network found."""
    return model.predict(*arguments, **{"anyway": True, "clean": False, "quality": False, **options})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> model.Bundle:
    """A small network, fitted for seconds to tell the upper half of a bright disc from the lower."""
    rng, threads = np.random.default_rng(0), torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = networks.build(SMALL)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    y, x = np.mgrid[:64, :64]
    for _ in range(100):
        images, labels = np.full((8, 64, 64), 60.0), np.zeros((8, 64, 64), np.int64)
        for image, label in zip(images, labels, strict=True):
            for cy, cx, radius in zip(*rng.uniform(14, 50, (2, 2)), rng.uniform(7, 12, 2), strict=True):
                inside = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
                image[inside] = 160.0
                label[inside] = np.where(y[inside] < cy, 1, 2)
        images = [preprocess.normalise(image + rng.normal(0, 10, image.shape)) for image in images]
        logits = network(torch.from_numpy(np.stack(images))[:, None])
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels), weight=torch.tensor([1.0, 2.0, 2.0]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("modèles à tester")
    exported = model.export(folder, "rods", network.state_dict(), SMALL, preprocess.describe(), {}, {})
    yield model.load(exported)
    torch.set_num_threads(threads)


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """The lower of the two classes' Dice."""
    overlaps = [2 * np.sum((first == k) & (second == k)) / np.sum((first == k) + 1 * (second == k)) for k in (1, 2)]
    return float(min(overlaps))


# --- the right voxels ---


@pytest.mark.parametrize(
    ("codes", "shape", "spacing"),
    [
        ("PSR", (3, 90, 80), (4.0, 0.7, 0.7)),
        ("PSR", (3, 128, 120), (4.0, 0.4297, 0.4297)),
        ("RAS", (20, 64, 60), (1.0, 1.0, 1.0)),
        ("LIA", (2, 60, 90), (5.5, 0.9, 0.6)),
    ],
)
def test_structures_are_found_where_they_are_at_any_voxel_size(bundle, codes, shape, spacing):
    image, truth = rods(oriented(codes, shape, spacing))
    assert dice(predict(bundle, image, "cpu").mask.array, truth) > 0.9


def test_structures_are_found_on_an_oblique_grid(bundle):
    tilt = np.deg2rad(12.0)
    turn = np.array([[np.cos(tilt), -np.sin(tilt), 0], [np.sin(tilt), np.cos(tilt), 0], [0, 0, 1]])
    grid = oriented("PSR", (3, 90, 80), (4.0, 0.7, 0.7))
    affine = grid.affine.copy()
    affine[:3] = turn @ affine[:3]
    image, truth = rods(volume.Grid(grid.shape, affine))
    assert dice(predict(bundle, image, "cpu").mask.array, truth) > 0.9


def test_all_48_orientations_of_an_image_give_exactly_the_same_labels(bundle):
    image, _ = rods(oriented("PSR", (3, 44, 40), (3.0, 1.1, 0.9)))
    expected = predict(bundle, image, "cpu").mask.array
    assert {1, 2} <= set(np.unique(expected)) and len(set(CODES)) == 48
    for codes in CODES:
        turned = volume.reorient(image, codes)
        mask = predict(bundle, turned, "cpu").mask
        assert mask.orientation == codes
        assert np.array_equal(volume.reorient(mask, "PSR").array, expected), codes


def test_the_same_input_gives_the_same_voxels_also_with_the_network_loaded_anew(bundle):
    image, _ = rods(oriented("PSR", (3, 90, 80), (4.0, 0.6, 0.6)))
    first = predict(bundle, image, "cpu", probabilities=True)
    engine._network.cache_clear()
    second = predict(bundle, image, "cpu", probabilities=True)
    assert np.array_equal(first.mask.array, second.mask.array)
    assert np.array_equal(first.probabilities, second.probabilities)


# --- the right grid ---


def test_the_mask_has_the_grid_and_header_of_the_file_and_the_type_of_the_dataset(bundle, tmp_path):
    image, _ = rods(oriented("PSR", (3, 60, 70), (4.0, 0.7, 0.7)))
    path = tmp_path / "Aufnahme mit Ümlaut é.nii.gz"
    volume.write(image, path)
    source = volume.read(path)
    source.header["scl_slope"], source.header["scl_inter"] = 0.5, -10.0
    source.header["sform_code"], source.header["qform_code"] = 2, 1
    mask = predict(bundle, source, "cpu").mask
    assert mask.array.dtype == np.uint8 and mask.shape == source.shape
    assert set(np.unique(mask.array)) == {0, 1, 2}
    assert np.array_equal(mask.affine, source.affine)
    assert (int(mask.header["sform_code"]), int(mask.header["qform_code"])) == (2, 1)
    assert mask.header.get_data_dtype() == np.uint8 and volume.decode(volume.encode(mask)).orientation == "PSR"


def test_probabilities_lie_on_the_image_sum_to_one_and_agree_with_the_mask(bundle):
    image, _ = rods(oriented("PSR", (3, 70, 60), (4.0, 0.9, 0.9)))
    result = predict(bundle, image, "cpu", probabilities=True)
    maps = result.probabilities
    assert maps.shape == (3, *image.shape) and maps.dtype == np.float16
    assert np.isfinite(maps).all() and np.abs(maps.astype(np.float32).sum(axis=0) - 1).max() < 2e-3
    assert np.mean(maps.argmax(axis=0) == result.mask.array) > 0.999
    assert predict(bundle, image, "cpu").probabilities is None


@pytest.mark.parametrize(
    "voxels",
    [
        np.zeros((2, 9, 5), np.int16),
        np.full((4, 40, 40), -1000, np.int16),
        np.where(np.arange(6400).reshape(4, 40, 40) % 999 == 0, 3.0e38, 1.0e-30).astype(np.float32),
    ],
)
def test_strange_intensities_and_tiny_images_still_give_labels(bundle, voxels):
    result = predict(bundle, volume.from_array(voxels, np.diag([4.0, 0.7, 0.7, 1])), "cpu", probabilities=True)
    assert np.isfinite(result.probabilities).all()
    assert set(np.unique(result.mask.array)) <= {0, 1, 2} and result.mask.shape == voxels.shape


# --- windows, memory, device ---


def test_windows_agree_with_whole_slices(bundle):
    image, truth = rods(oriented("PSR", (2, 100, 110), (4.0, 0.7, 0.7)))
    whole, windows = predict(bundle, image, "cpu"), predict(bundle, image, "cpu", window=64)
    assert "windows of 64 x 64" in " ".join(windows.notes) and "run whole" in " ".join(whole.notes)
    assert not np.array_equal(whole.mask.array, windows.mask.array)
    assert dice(whole.mask.array, windows.mask.array) > 0.9 and dice(windows.mask.array, truth) > 0.9


def test_very_large_slices_run_in_windows_and_it_is_said(bundle):
    image, _ = rods(oriented("PSR", (1 + 1, 800, 64), (4.0, 0.7, 0.7)))
    result = predict(bundle, image, "cpu")
    assert "windows of 512 x 512" in " ".join(result.notes) and result.mask.shape == image.shape


@pytest.mark.parametrize("window", [0, 8, 60, -64])
def test_a_window_that_does_not_suit_the_network_is_refused(bundle, window):
    image, _ = rods(oriented("PSR", (2, 60, 60), (4.0, 0.7, 0.7)))
    with pytest.raises(ModelError, match="multiple of 8"):
        predict(bundle, image, "cpu", window=window)


def test_asking_for_a_missing_device_fails_before_any_work(bundle):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    image, _ = rods(oriented("PSR", (2, 60, 60), (4.0, 0.7, 0.7)))
    with pytest.raises(ModelError, match="'cuda' was asked for"):
        predict(bundle, image, "cuda")


class Hungry(torch.nn.Module):
    """A network for whose batches over `limit` the memory does not suffice."""

    def __init__(self, limit: int, error: Exception) -> None:
        super().__init__()
        self.limit, self.error = limit, error

    def forward(self, batch):
        if len(batch) > self.limit:
            raise self.error
        return torch.cat([batch, -batch, 0 * batch], dim=1)


def hungry(limit: int, error: Exception) -> engine.TorchEngine:
    return engine.TorchEngine(Hungry(limit, error), "cpu")


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("not enough memory: you tried")]
)
def test_memory_that_does_not_suffice_makes_batches_smaller_and_is_said(error):
    slices, notes = np.random.default_rng(0).normal(size=(10, 16, 16)).astype(np.float32), []
    parts = list(running.segment(hungry(2, error), slices, 8, batch=8, notes=notes))
    expected = list(running.segment(hungry(99, error), slices, 8, batch=8))
    assert np.array_equal(*(np.concatenate([maps for _, maps in found], axis=1) for found in (parts, expected)))
    assert [part.start for part, _ in parts] == [0, 2, 4, 6, 8]
    assert [note.split("for ")[1] for note in notes] == [
        "8 slices at once; went on with 4.",
        "4 slices at once; went on with 2.",
    ]
    with pytest.raises(ModelError, match="not enough memory for one slice of 16 x 16") as caught:
        list(running.segment(hungry(0, error), slices, 8, batch=8))
    assert type(caught.value) is ModelError
    card = hungry(0, error)
    card.device, card.release = "cuda", lambda: None
    with pytest.raises(GraphicsMemoryError, match="The device cuda"):
        list(running.segment(card, slices, 8, batch=8))


def test_other_failures_are_not_taken_for_missing_memory():
    slices = np.zeros((2, 16, 16), np.float32)
    with pytest.raises(RuntimeError, match="illegal instruction"):
        list(running.segment(hungry(0, RuntimeError("illegal instruction")), slices, 8))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space of a process")
def test_a_process_without_memory_ends_in_a_sentence(bundle):
    code = (
        "import resource, sys, numpy as np\n"
        "from CSpineSegLib import model, volume\n"
        f"bundle = model.load({str(bundle.folder)!r})\n"
        "make = lambda side: volume.from_array(np.ones((2, side, side), np.int16), np.diag([4, .7, .7, 1]))\n"
        "model.predict(bundle, make(64), 'cpu', anyway=True)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000, resource.RLIM_INFINITY))\n"
        "try: model.predict(bundle, make(764), 'cpu', anyway=True)\n"
        "except ValueError as error: print(error)\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    root = resources.root().parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, env=environment)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "not enough" in run.stdout and "memory" in run.stdout


# --- progress, cancel, privacy ---


def test_progress_runs_from_start_to_end(bundle):
    image, _ = rods(oriented("PSR", (4, 60, 60), (4.0, 0.7, 0.7)))
    events = []
    predict(bundle, image, "cpu", Progress(events.append), engine="torch")
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0
    assert "slice 3 of 4" in [event.message for event in events]


@pytest.mark.parametrize(("window", "at"), [*((None, at) for at in range(5)), (16, 4), (16, 20)])
def test_cancel_is_heard_at_every_batch_of_slices_and_of_windows(bundle, window, at):
    """Two slices ask five times in all, so that the twentieth question comes from between two batches of windows."""
    image, _ = rods(oriented("PSR", (2, 60, 60), (4.0, 0.7, 0.7)))
    asked = iter(range(10**6))
    with pytest.raises(Cancelled):
        predict(bundle, image, "cpu", Progress(cancelled=lambda: next(asked) >= at), window=window, engine="torch")
    assert next(asked) == at + 1


WATCH: dict[str, list] = {"events": []}


def _watch(event: str, arguments: tuple) -> None:
    """An audit hook, which cannot be removed: it notes connections and files opened for writing while asked to."""
    if WATCH.get("on") and (event.startswith("socket.") or event in ("os.mkdir", "os.rename")):
        WATCH["events"].append((event, arguments))
    if WATCH.get("on") and event == "open" and set(str(arguments[1])) & set("wax+"):
        WATCH["events"].append((event, arguments))


@pytest.mark.parametrize("cancelled", [False, True])
def test_nothing_is_written_and_nobody_is_called(bundle, cancelled):
    image, _ = rods(oriented("PSR", (3, 60, 60), (4.0, 0.9, 0.9)))
    engine._network.cache_clear()
    if "hooked" not in WATCH:
        WATCH["hooked"] = [sys.addaudithook(_watch)]
    asked = iter(range(10**6))
    WATCH.update(on=[True], events=[])
    try:
        predict(bundle, image, "cpu", Progress(cancelled=lambda: cancelled and next(asked) > 3))
    except Cancelled:
        assert cancelled
    finally:
        WATCH["on"] = []
    assert WATCH["events"] == []
