"""Speed and memory as figures: medians of several runs, each as a ratio to a named peer measured in the same process.

    python Testing/Benchmarks/bench.py --output build/bench.json

Writes {name: {value, unit, peer, peer_value, ratio, spread}} and prints a table. `ratio` is peer / ours, so above 1 we
are faster; `spread` is the interquartile range over the median of our runs. Machines are noisy: compare ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evaluate_bench
import metrics_bench
import module_bench
import nnunet_bench
import numpy as np

from CSpineSegLib import files, jobs, model, phantom, scene, volume
from CSpineSegLib.dataset import exam_from_file
from CSpineSegLib.review import revisions

SPACING = (0.6875, 0.6875, 4.0)
SHAPE = (320, 320, 15)


def seconds(work: Callable[[], Any], runs: int) -> list[float]:
    """Wall times of `runs` calls after one that does not count."""
    work()
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return found


def entry(ours: list[float], peer: str | None, theirs: list[float] | None, unit: str = "s") -> dict[str, Any]:
    middle = statistics.median(ours)
    low, _, high = statistics.quantiles(ours, n=4) if len(ours) > 1 else (middle, middle, middle)
    other = statistics.median(theirs) if theirs else None
    return {
        "value": round(middle, 4),
        "unit": unit,
        "peer": peer,
        "peer_value": round(other, 4) if other is not None else None,
        "ratio": round(other / middle, 2) if other is not None else None,
        "spread": round((high - low) / middle, 3),
    }


def exam(folder: Path) -> Path:
    """A sample exam of the dataset's commonest size, left-handed PSR, int16."""
    affine = np.array([[0, 0, -4.0, 28], [-0.6875, 0, 0, 110], [0, 0.6875, 0, -110], [0, 0, 0, 1.0]])
    drawn = phantom.make(7, volume.Grid(SHAPE, affine))
    path = folder / "593973-900099_Study-MR-9099_Series-3.nii.gz"
    volume.write(volume.from_array(np.rint(drawn.image).astype(np.int16), affine), path)
    return path


def bench_files(path: Path, runs: int) -> dict[str, Any]:
    import nibabel

    image = volume.read(path)
    mask = volume.like(image, (np.arange(image.array.size) % 97 == 0).reshape(image.shape).astype(np.uint8))
    plain = nibabel.Nifti1Image(mask.array, mask.affine)
    ours, theirs = path.with_name("a_SEG.nii.gz"), path.with_name("b_SEG.nii.gz")
    return {
        "read image": entry(
            seconds(lambda: volume.read(path), runs),
            "nibabel load and voxels, unchecked",
            seconds(lambda: np.asanyarray(nibabel.load(path).dataobj), runs),
        ),
        "write mask, verified": entry(
            seconds(lambda: volume.write(mask, ours, allowed=(0, 1)), runs),
            "nibabel save, unverified",
            seconds(lambda: nibabel.save(plain, theirs), runs),
        ),
    }


def bench_scene(path: Path, mask: volume.Volume, runs: int) -> dict[str, Any]:
    import slicer

    context = scene.Context.create()
    image = volume.read(path)

    def load() -> Any:
        case = scene.load_case(context, volume.read(path), mask, name=path.name, patient_id="593973-900099")
        scene.close_case(context, case)

    def load_by_storage_node() -> None:
        node = context.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(str(path))
        if not storage.ReadData(node):
            raise RuntimeError(f"Slicer's storage node did not read {path}")
        context.scene.RemoveNode(node)

    case = scene.load_case(context, image, mask, name=path.name, patient_id="593973-900099")

    def export_by_slicer() -> np.ndarray:
        labelmap = context.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        slicer.vtkSlicerSegmentationsModuleLogic.ExportAllSegmentsToLabelmapNode(case.segmentation_node, labelmap)
        array = slicer.util.arrayFromVolume(labelmap).copy()
        context.scene.RemoveNode(labelmap)
        return array

    return {
        "open image and mask in MRML": entry(
            seconds(load, runs), "Slicer's storage node, image alone", seconds(load_by_storage_node, runs)
        ),
        "read mask back, verified": entry(
            seconds(lambda: scene.read_segmentation(context, case.segmentation_node, image), runs),
            "Slicer's export to a label map, not on the source grid",
            seconds(export_by_slicer, runs),
        ),
    }


def bench_save(path: Path, mask: volume.Volume, runs: int) -> dict[str, Any]:
    import nibabel

    one = exam_from_file(path)
    plain = nibabel.Nifti1Image(mask.array, mask.affine)
    target = path.with_name("plain_SEG.nii.gz")
    times = seconds(lambda: revisions.save(one, mask, status="accepted", annotator="bench"), runs)
    theirs = seconds(lambda: nibabel.save(plain, target), runs)
    return {"save revision with metrics": entry(times, "nibabel save of the mask alone", theirs)}


def bench_segment(path: Path, runs: int) -> dict[str, Any]:
    bundle = model.load(jobs.DEFAULT_MODEL)
    image = volume.read(path)
    few = max(2, runs // 2)
    found = {}
    windows = seconds(lambda: monai_sliding_window(bundle, image), few)
    for name in ("openvino", "torch"):
        if name == "openvino" and not bundle.is_converted:
            continue
        warm = seconds(lambda name=name: network_alone(bundle, image, name), few if name == "torch" else runs)
        peer = "MONAI sliding window 224 x 224, overlap 1/2, same network by torch"
        found[f"network on an exam, warm, {name}"] = entry(warm, peer, windows)
    whole = seconds(lambda: model.predict(bundle, image, "cpu", anyway=True), runs)
    plain = seconds(lambda: model.predict(bundle, image, "cpu", anyway=True, quality=False), runs)
    found["segment with quality, warm, CPU"] = entry(whole, "the same without quality", plain)
    output = path.with_name("cold_SEG.nii.gz")
    command = [
        sys.executable,
        "-m",
        "CSpineSegLib.cli",
        "segment",
        str(path),
        "--output",
        str(output),
        "--force",
        "--anyway",
        "--device",
        "cpu",
        "--json",
    ]
    cold, peaks = cold_runs(command, 5)
    theirs, their_peaks = cold_runs([*command, "--engine", "torch"], 2)
    found["segment, cold process, CPU"] = entry(cold, "the same by torch", theirs)
    if all(peaks):
        found["segment, peak memory"] = entry(peaks, "the same by torch", their_peaks, "GiB")
    return found


def network_alone(bundle: model.Bundle, image: volume.Volume, engine: str) -> np.ndarray:
    """Class probabilities of an exam's slices by one engine, without what comes before and after."""
    from CSpineSegLib.model import devices, networks, preprocess, running

    slices, way = preprocess.to_network(image, bundle.spacing)
    away = preprocess.neighbour(way.across, bundle.distance) if bundle.slices > 1 else 0
    runner = running.open_engine(bundle, devices.choose("cpu", engine, converted=bundle.is_converted))
    return running.forward(runner, slices, networks.stride(bundle.definition), away)


def cold_runs(command: list[str], count: int) -> tuple[list[float], list[float | None]]:
    """Wall times of a command in processes of its own, and their peak memory in GiB."""
    times, peaks = [], []
    for _ in range(count):
        began = time.perf_counter()
        peaks.append(peak_memory(command))
        times.append(time.perf_counter() - began)
    return times, peaks


def monai_sliding_window(bundle: model.Bundle, image: volume.Volume) -> np.ndarray:
    """The same network as MONAI's documentation runs it: windows of the training size over each slice."""
    import torch
    from monai.inferers import SlidingWindowInferer

    from CSpineSegLib.model import engine, preprocess

    slices, way = preprocess.to_network(image, bundle.spacing)
    away = preprocess.neighbour(way.across, bundle.distance) if bundle.slices > 1 else 0
    inputs = torch.from_numpy(preprocess.stack(slices, 0, len(slices), away))
    network = engine.network_of(bundle, torch.device("cpu"))
    inferer = SlidingWindowInferer(roi_size=(224, 224), sw_batch_size=4, overlap=0.5, mode="gaussian")
    with torch.inference_mode():
        return inferer(inputs, network).argmax(1).numpy()


def peak_memory(command: list[str]) -> float | None:
    """Largest resident memory of a child process, GiB; None where the system does not tell."""
    if importlib.util.find_spec("resource") is None:
        subprocess.run(command, check=True, capture_output=True)
        return None
    watcher = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    answer = subprocess.run([sys.executable, "-c", watcher, *command], check=True, capture_output=True, text=True)
    unit = 1 if platform.system() == "Darwin" else 1024
    return round(int(answer.stdout.split()[-1]) * unit / 2**30, 3)


def bench_import(runs: int) -> dict[str, Any]:
    def start(module: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True)

    ours = seconds(start("CSpineSegLib"), runs)
    return {"start Python, import CSpineSegLib": entry(ours, "the same with numpy", seconds(start("numpy"), runs))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    parser.add_argument("--runs", type=int, default=7, help="runs of each measurement (default 7)")
    parser.add_argument("--nnunet-runs", type=int, default=3, help="runs of what takes nnU-Net minutes (default 3)")
    parser.add_argument(
        "--nnunet",
        nargs="*",
        default=nnunet_bench.PARTS,
        choices=nnunet_bench.PARTS,
        help="which comparisons with nnU-Net; all take about an hour on two cores; none: only the rest is measured",
    )
    options = parser.parse_args()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="cspineseg-bench-") as folder:
        path = exam(Path(folder))
        mask = model.predict(model.load(jobs.DEFAULT_MODEL), volume.read(path), "cpu", anyway=True, quality=False).mask
        found |= bench_import(options.runs)
        found |= bench_files(path, options.runs)
        found |= bench_scene(path, mask, options.runs)
        found |= bench_save(path, mask, options.runs)
        found |= bench_segment(path, options.runs)
        found |= metrics_bench.measure(Path(folder, "metrics"), entry, options.runs)
        found |= evaluate_bench.measure(Path(folder, "evaluate"), entry)
        found |= module_bench.measure(Path(folder, "module"), entry, options.runs)
        if options.nnunet:
            nnunet = Path(folder, "nnunet")
            found |= nnunet_bench.measure(nnunet, entry, options.runs, options.nnunet_runs, options.nnunet)
    files.write_json(options.output, found)
    print(f"{platform.processor() or platform.machine()}, {' x '.join(map(str, SHAPE))} voxels, int16, PSR")
    print(f"{'':34}{'ours':>10} {'spread':>8} {'peer':>10} {'ratio':>7}  peer")
    for name, row in found.items():
        peer = f"{row['peer_value']:10.4g} {row['ratio']:7.2f}  {row['peer']}" if row["peer"] else ""
        print(f"{name:34}{row['value']:8.4g} {row['unit']:3}{row['spread']:6.0%} {peer}")
    print(f"Written to {options.output}")


if __name__ == "__main__":
    main()
