"""An imported nnU-Net against nnU-Net's own command line: the same weights, the same exam, processes of their own.

The networks are what nnU-Net's default planner plans for an exam of 20 x 384 x 384 voxels of 4 x 0.6 x 0.6 mm; their
weights are random, which takes as long as trained ones. Peers run with `-npp 1 -nps 1`, their fastest way for one exam.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from CSpineSegLib import model, phantom, volume

SHAPE, SPACING = (384, 384, 20), (0.6, 0.6, 4.0)
# One 3D window: mirrored, the eight windows of the whole exam take nnU-Net a quarter of an hour on two cores.
SMALL = (320, 320, 16)
PARTS = ("2d", "2d-mirror", "3d", "warm", "ensemble", "peak")
DATASET = "Dataset108_CSpineSeg"
PLANS = {
    "2d": {
        "patch_size": [384, 384],
        "spacing": [0.6, 0.6],
        "kernel_sizes": [[3, 3]] * 7,
        "strides": [[1, 1]] + [[2, 2]] * 6,
        "features_per_stage": [32, 64, 128, 256, 512, 512, 512],
    },
    "3d_fullres": {
        "patch_size": [16, 320, 320],
        "spacing": [4.0, 0.6, 0.6],
        "kernel_sizes": [[1, 3, 3]] * 2 + [[3, 3, 3]] * 5,
        "strides": [[1, 1, 1], [1, 2, 2], [1, 2, 2], [2, 2, 2], [2, 2, 2], [1, 2, 2], [1, 2, 2]],
        "features_per_stage": [32, 64, 128, 256, 320, 320, 320],
    },
}


def plans() -> dict[str, Any]:
    """plans.json as nnU-Net writes it."""
    return {
        "dataset_name": DATASET,
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [4.0, 0.6, 0.6],
        "original_median_shape_after_transp": [20, 384, 384],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {name: configuration(name) for name in PLANS},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": dict.fromkeys(("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std"), 1.0)
        },
    }


def configuration(name: str) -> dict[str, Any]:
    planned, dims = PLANS[name], len(PLANS[name]["patch_size"])
    stages = len(planned["strides"])
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    return {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": planned["patch_size"],
        "median_image_size_in_voxels": [384.0, 384.0] if dims == 2 else [20.0, 384.0, 384.0],
        "spacing": planned["spacing"],
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": planned["features_per_stage"],
                "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                "kernel_sizes": planned["kernel_sizes"],
                "strides": planned["strides"],
                "n_conv_per_stage": [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": dims == 2,
    }


def network_of(name: str, deep: bool = True) -> Any:
    """nnU-Net's own network, with random weights; `deep`: with the outputs that only training uses."""
    import torch
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    torch.manual_seed(1)
    network = get_network_from_plans(*configuration(name)["architecture"].values(), 1, 3, True, deep)
    _lean(network, [side if side <= 16 else 128 for side in PLANS[name]["patch_size"]])
    return network


def _lean(network: Any, size: Sequence[int]) -> None:
    """Let each class take about one voxel in fifty, as in a neck: a mask of noise is odd to judge and to write."""
    import torch

    network.eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 1, *size))
        logits = (logits[0] if isinstance(logits, (list, tuple)) else logits)[0].flatten(1)
    with torch.no_grad():
        head = network.decoder.seg_layers[-1]
        for label in (1, 2):
            head.bias[label] -= torch.quantile((logits[label] - logits[0])[:: len(logits[0]) // 10_000], 0.98)


def results(folder: Path) -> Path:
    """nnU-Net's results folder with one fold of both networks, with random weights."""
    import torch

    dataset = {
        "channel_names": {"0": "T2"},
        "labels": {"background": 0, "vertebrae": 1, "inter-vetebral disc": 2},
        "numTraining": 10,
        "file_ending": ".nii.gz",
    }
    for name in PLANS:
        network = network_of(name)
        here = folder / DATASET / f"nnUNetTrainer__nnUNetPlans__{name}"
        (here / "fold_0").mkdir(parents=True)
        (here / "plans.json").write_text(json.dumps(plans()), encoding="utf-8")
        (here / "dataset.json").write_text(json.dumps(dataset), encoding="utf-8")
        (here / "dataset_fingerprint.json").write_text("{}", encoding="utf-8")
        checkpoint = {
            "network_weights": network.state_dict(),
            "optimizer_state": {},
            "grad_scaler_state": None,
            "logging": {},
            "_best_ema": 0.0,
            "current_epoch": 1,
            "init_args": {"configuration": name, "fold": 0},
            "trainer_name": "nnUNetTrainer",
            "inference_allowed_mirroring_axes": tuple(range(len(PLANS[name]["patch_size"]))),
        }
        torch.save(checkpoint, here / "fold_0" / "checkpoint_final.pth")
    return folder


def exam(folder: Path, shape: tuple[int, int, int] = SHAPE) -> Path:
    """One exam, int16, PSR, as both sides read it."""
    affine = np.array([[0, 0, SPACING[2], -38.0], [-SPACING[0], 0, 0, 100], [0, SPACING[1], 0, -110], [0, 0, 0, 1.0]])
    drawn = phantom.make(11, volume.Grid(shape, affine))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cspine_1_0000.nii.gz"
    volume.write(volume.from_array(np.rint(drawn.image).astype(np.int16), affine), path)
    return path


def timed(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall time of a command (s) and the largest resident memory of one of its processes (GiB; 0 where not told)."""
    watcher = (
        "import subprocess, sys\n"
        "code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "try:\n    import resource\n    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "except ImportError:\n    print(0)\n"
        "sys.exit(code)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", watcher, *map(str, command)], env=environment, capture_output=True, text=True
    )
    spent = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return spent, int(done.stdout.split()[-1]) * unit / 2**30


def environment(folder: Path) -> dict[str, str]:
    """Both sides' environment: nnU-Net's three folders, ours for models, nothing that another run left."""
    own = {name: str(folder / name) for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}
    return {**os.environ, **own, "CSPINESEG_MODELS": str(folder / "models")}


def stock(folder: Path, name: str, mirror: bool, out: str) -> list[str]:
    """nnU-Net's own command for the exams in `folder`/images."""
    script = str(Path(sys.executable).with_name("nnUNetv2_predict"))
    words = [script, "-i", folder / "images", "-o", folder / out, "-d", "108", "-c", name, "-f", "0"]
    words += ["-device", "cpu", "-npp", "1", "-nps", "1"]
    return [*map(str, words), *([] if mirror else ["--disable_tta"])]


def ours(folder: Path, image: Path, name: str, mirror: bool, out: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "CSpineSegLib.cli", "segment", image, "--output", out, "--model", "bench"]
    words += ["--configuration", name, "--device", "cpu", "--anyway", "--force", "--json", *more]
    return [*map(str, words), *([] if mirror else ["--no-mirror"])]


def conv_peak(runs: int = 7) -> float:
    """GFLOP/s of a plain 3 x 3 convolution of 256 channels on 128 x 128 pixels: what the processor can do at best."""
    import torch
    from torch.nn.functional import conv2d

    image, weight = torch.rand(1, 256, 128, 128), torch.rand(256, 256, 3, 3)
    times = []
    with torch.inference_mode():
        for _ in range(runs + 2):
            began = time.perf_counter()
            conv2d(image, weight, padding=1)
            times.append(time.perf_counter() - began)
    return 2 * 256 * 256 * 9 * 128 * 128 / min(times) / 1e9


def work_of(name: str) -> float:
    """GFLOP of one forward pass over one patch: two for every multiplication of a convolution."""
    import torch

    total = 0.0

    def count(module: Any, _: Any, output: Any) -> None:
        nonlocal total
        weight = module.weight
        inner = weight[0].numel() if "Transpose" not in type(module).__name__ else weight.shape[0]
        total += 2.0 * output.numel() * inner

    network = network_of(name, deep=False).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.conv._ConvNd):
            module.register_forward_hook(count)
    with torch.inference_mode():
        network(torch.zeros(1, 1, *PLANS[name]["patch_size"]))
    return total / 1e9


def forward_seconds(name: str, runs: int) -> float:
    """Median seconds per patch of our runner, warm, with as many patches at a time as it takes."""
    from CSpineSegLib.model import devices
    from CSpineSegLib.model.nnunet import runners

    loaded = model.load("bench")
    choice = devices.choose("cpu", converted=loaded.is_converted)
    runner = runners.open_runner(loaded, name, 0, choice, exact=False)
    inputs = np.random.default_rng(0).normal(size=(runner.batch, 1, *PLANS[name]["patch_size"])).astype(np.float32)
    runner(inputs)
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        runner(inputs)
        times.append((time.perf_counter() - began) / len(inputs))
    return statistics.median(times)


def measure(folder: Path, entry: Callable[..., dict[str, Any]], runs: int, long_runs: int, parts: Sequence[str]):
    """The table of figures; `entry` makes a row of our times and the peer's.

    Parameters
    ----------
    runs : of the 2D network without mirroring. long_runs : of everything that takes minutes.
    parts : which of :data:`PARTS`.
    """
    surroundings = environment(folder)
    os.environ["CSPINESEG_MODELS"] = surroundings["CSPINESEG_MODELS"]
    results(folder / "nnUNet_results")
    image, out = exam(folder / "images"), folder / "ours_SEG.nii.gz"
    importing = [sys.executable, "-m", "CSpineSegLib.cli", "models", "import", folder / "nnUNet_results" / DATASET]
    timed([*importing, "--name", "bench", "--orientation", "PSR"], surroundings)
    found: dict[str, Any] = {}
    ready: set[str] = set()

    def versus(label: str, name: str, mirror: bool, count: int, peer: Callable[[int], float]) -> None:
        if name not in ready:
            # The first run of a network converts it and does not count.
            timed(ours(folder, image, name, False, out), surroundings)
            ready.update(PLANS if name == "ensemble" else [name])
        times, peaks, theirs = [], [], []
        for number in range(count):
            spent, peak = timed(ours(folder, image, name, mirror, out), surroundings)
            times.append(spent)
            peaks.append(peak)
            theirs.append(peer(number))
        found[f"nnU-Net {label}, cold"] = entry(times, "nnUNetv2_predict", theirs)
        found[f"nnU-Net {label}, peak memory"] = entry(peaks, None, None, "GiB")

    def predicted(name: str, mirror: bool, *more: str) -> Callable[[int], float]:
        return lambda number: timed([*stock(folder, name, mirror, f"{name}-{number}"), *more], surroundings)[0]

    if "2d" in parts:
        versus("2D without mirroring", "2d", False, runs, predicted("2d", False))
    if "2d-mirror" in parts:
        versus("2D with mirroring", "2d", True, long_runs, predicted("2d", True))
    if "3d" in parts:
        versus("3D without mirroring", "3d_fullres", False, long_runs, predicted("3d_fullres", False))
    if "warm" in parts:
        found["nnU-Net 2D without mirroring, second exam in a worker"] = entry(
            _second(image, out, runs), "nnUNetv2_predict", [predicted("2d", False)(-1) for _ in range(min(runs, 3))]
        )
    if "ensemble" in parts:
        image.unlink()
        image = exam(folder / "images", SMALL)
        label = f"2D + 3D with mirroring, {' x '.join(map(str, reversed(SMALL)))}"
        versus(label, "ensemble", True, 1, lambda _: _ensemble(folder, surroundings))
    if "peak" in parts:
        peak = conv_peak()
        found["convolution peak, oneDNN"] = entry([peak], None, None, "GFLOP/s")
        for name in PLANS:
            share = work_of(name) / forward_seconds(name, 3) / peak
            found[f"nnU-Net {name}, share of that peak"] = entry([share], None, None, "")
    return found


def _ensemble(folder: Path, surroundings: dict[str, str]) -> float:
    """nnU-Net's three commands for an ensemble, in all."""
    total = 0.0
    for name in PLANS:
        command = [*stock(folder, name, True, f"ens-{name}"), "--save_probabilities"]
        total += timed(command, surroundings)[0]
    script = str(Path(sys.executable).with_name("nnUNetv2_ensemble"))
    inputs = [folder / f"ens-{name}" for name in PLANS]
    return total + timed([script, "-i", *inputs, "-o", folder / "ens", "-np", "1"], surroundings)[0]


def _second(image: Path, out: Path, runs: int) -> list[float]:
    """Seconds of every exam but the first in one worker."""
    from CSpineSegLib.jobs.worker import Worker
    from CSpineSegLib.model.nnunet.run import Run

    run, times = Run(configuration="2d", mirror=False), []
    with Worker() as worker:
        for _ in range(runs + 1):
            began = time.perf_counter()
            job = worker.segment_file(image, out, "bench", device="cpu", anyway=True, force=True, run=run)
            job.result()
            times.append(time.perf_counter() - began)
    return times[1:]
