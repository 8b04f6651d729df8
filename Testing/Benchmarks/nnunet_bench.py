"""An imported nnU-Net against nnU-Net's own command line: the same weights, the same exam, processes of their own.

The networks are what nnU-Net's default planner plans for an exam of 20 x 384 x 384 voxels of 4 x 0.6 x 0.6 mm; their
weights are random, which takes as long as trained ones. Peers run with `-npp 1 -nps 1`, their fastest way for one exam.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from nnunet_made import DATASET, PLANS, exam, network_of, results

from CSpineSegLib import model

# One 3D window: mirrored, the eight windows of the whole exam take nnU-Net a quarter of an hour on two cores.
SMALL = (320, 320, 16)
PARTS = ("2d", "2d-mirror", "3d", "warm", "ensemble", "peak")


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
    """GFLOP/s of the fastest of some plain 3 x 3 convolutions, by OpenVINO on two images at a time and by torch."""
    return max(max(_by_openvino(*size, runs), _by_torch(*size, runs)) for size in ((64, 192), (128, 128), (256, 64)))


def _by_torch(channels: int, side: int, runs: int) -> float:
    import torch
    from torch.nn.functional import conv2d

    image, weight = torch.rand(2, channels, side, side), torch.rand(channels, channels, 3, 3)
    with torch.inference_mode():
        return _gflops(lambda: conv2d(image, weight, padding=1), channels, side, runs)


def _by_openvino(channels: int, side: int, runs: int) -> float:
    from CSpineSegLib.model import devices

    openvino = devices.import_openvino()
    from openvino import opset13

    image = opset13.parameter([1, channels, side, side], np.float32)
    weight = np.random.default_rng(0).random((channels, channels, 3, 3), np.float32)
    conv = opset13.convolution(image, opset13.constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
    count = devices.threads()
    settings = {"NUM_STREAMS": count, "INFERENCE_NUM_THREADS": count, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(openvino.Model([opset13.result(conv)], [image], "conv"), "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(2)]

    def both() -> None:
        for request in requests:
            request.start_async()
        for request in requests:
            request.wait()

    return _gflops(both, channels, side, runs)


def _gflops(work: Callable[[], Any], channels: int, side: int, runs: int) -> float:
    """Of the fastest run on two images."""
    times = []
    for _ in range(runs + 2):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return 2 * 2 * channels * channels * 9 * side * side / min(times) / 1e9


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
        found["convolution peak"] = entry([peak], None, None, "GFLOP/s")
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
