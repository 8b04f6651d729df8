"""nnU-Net itself as the oracle of imported models: its planner, trainer, exporter and prediction, in its own process.

    home = oracle.make(folder, ("plain", "resenc"))      raw data, plans, short training, zips: about a minute
    home.zip("plain")                                    what `nnUNetv2_export_model_to_zip` wrote
    home.results("plain", "2d")                          the results folder: DatasetXXX/nnUNetTrainer__nnUNetPlans__2d
    home.reference("plain", "2d", images, out, folds=(0, 1), mirror=True, probabilities=True)
                                                         `nnUNetv2_predict` on a folder of <case>_0000.nii.gz
    home.run([home.predict(...), home.predict(...), home.ensemble(...)])    several commands, one start-up
    make_zip(folder, "plain", ("2d",), (0,))             one zip for a test that needs no more

Models (`MODELS`): "plain" (2d and 3d_fullres, folds 0 and 1, PSR, 0.95 x 0.95 x 4 mm), "resenc" (2d and 3d_fullres of
the ResEnc-L planner, fold 0, same data), "isotropic" (3d_fullres, fold 0, 1.1 x 1.1 x 2 mm: nothing anisotropic in its
resampling) and "reoriented" (2d, fold 0, read by NibabelIOWithReorient, so that axes are transposed,
and with so many zeros around the images that intensities are normalised inside the nonzero part only). The networks are
as planned, with 6 instead of 32 features and at most two blocks a stage; they saw a few phantoms for some seconds,
the 3D networks start with the kernels of the 2D ones in their middle plane.

Environment variables are set for nnU-Net's process alone. With CSPINESEG_NNUNET_ORACLE naming a folder, products are
kept there and used again by later runs (the folder's name holds a digest of these sources); else a run makes its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CHECKPOINT = "checkpoint_final.pth"
PERSON = 40
BORDER = ((5, 9), (11, 6), (1, 0))
LABELS = {"background": 0, "vertebrae": 1, "inter-vetebral disc": 2}

_PLAIN = {
    "dataset": 801,
    "folder": "Dataset801_Phantoms",
    "planner": "ExperimentPlanner",
    "plans": "nnUNetPlans",
    "configurations": ["2d", "3d_fullres"],
    "folds": [0, 1],
    "features": 6,
    "steps": 120,
    "shape": [80, 96, 8],
    "spacing": [0.95, 0.95, 4.0],
    "people": 2,
    "reader": None,
    "bordered": False,
}
MODELS: dict[str, dict] = {
    "plain": _PLAIN,
    "resenc": {**_PLAIN, "planner": "nnUNetPlannerResEncL", "plans": "nnUNetResEncUNetLPlans", "folds": [0]},
    "isotropic": {
        **_PLAIN,
        "dataset": 802,
        "folder": "Dataset802_Isotropic",
        "configurations": ["3d_fullres"],
        "folds": [0],
        "shape": [72, 88, 16],
        "spacing": [1.1, 1.1, 2.0],
        "steps": 200,
    },
    "reoriented": {
        **_PLAIN,
        "dataset": 803,
        "folder": "Dataset803_Reoriented",
        "configurations": ["2d"],
        "folds": [0],
        "reader": "NibabelIOWithReorient",
        "bordered": True,
    },
}


@dataclass(frozen=True)
class Home:
    """A folder with nnU-Net's raw, preprocessed and results folders in it."""

    folder: Path

    def zip(self, kind: str) -> Path:
        return self.folder / f"{kind}.zip"

    def results(self, kind: str, configuration: str) -> Path:
        model = MODELS[kind]
        return self.folder / "results" / model["folder"] / f"nnUNetTrainer__{model['plans']}__{configuration}"

    def environment(self) -> dict[str, str]:
        """The caller's variables and nnU-Net's: folders, and one process and thread for each thing that it does."""
        folders = {f"nnUNet_{name}": str(self.folder / name) for name in ("raw", "preprocessed", "results")}
        malloc = {"MALLOC_MMAP_THRESHOLD_": "8589934592", "MALLOC_TRIM_THRESHOLD_": "34359738368"}
        few = {"nnUNet_def_n_proc": "1", "nnUNet_n_proc_DA": "1", "nnUNet_compile": "f", "MPLBACKEND": "agg"}
        path = os.pathsep.join([str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return {**os.environ, **folders, **few, **malloc, "PYTHONPATH": path, "PYTHONUTF8": "1"}

    def predict(
        self,
        kind: str,
        configuration: str,
        images: Path,
        out: Path,
        *,
        folds: tuple[int, ...] = (0,),
        mirror: bool = True,
        probabilities: bool = False,
        processes: int = 0,
    ) -> list[str]:
        """The command `nnUNetv2_predict` for a folder of `<case>_0000.nii.gz`; masks go to `<out>/<case>.nii.gz`."""
        model = MODELS[kind]
        out.mkdir(parents=True, exist_ok=True)
        command = ["nnUNetv2_predict", "-i", str(images), "-o", str(out), "-d", str(model["dataset"])]
        command += ["-p", model["plans"], "-c", configuration, "-f", *map(str, folds), "-device", "cpu"]
        command += ["-npp", str(processes), "-nps", str(processes), "--disable_progress_bar"]
        return command + ["--disable_tta"] * (not mirror) + ["--save_probabilities"] * probabilities

    def ensemble(self, folders: list[Path], out: Path) -> list[str]:
        """The command `nnUNetv2_ensemble` for folders that hold probabilities."""
        return ["nnUNetv2_ensemble", "-i", *map(str, folders), "-o", str(out), "-np", "1", "--save_npz"]

    def reference(self, kind: str, configuration: str, images: Path, out: Path, **options) -> Path:
        """Run one `nnUNetv2_predict` as a user does, from its own executable; the options are those of `predict`."""
        name, *arguments = self.predict(kind, configuration, images, out, **options)
        script = shutil.which(name, path=str(Path(sys.executable).parent))
        assert script, f"{name} is not installed beside {sys.executable}"
        self._start([script, *arguments])
        return out

    def run(self, commands: list[list[str]]) -> None:
        """Run several of nnU-Net's commands in one process, which imports it once."""
        self._script("call", commands=commands)

    def _script(self, what: str, **work) -> None:
        path = self.folder / f"{what}.json"
        path.write_text(json.dumps(work), encoding="utf-8")
        self._start([sys.executable, str(HERE / "nnunet_stock.py"), what, str(path)])

    def _start(self, command: list[str]) -> None:
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, encoding="utf-8")
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            log.write(f"{command}\n{done.stdout}\n{done.stderr}\n")
        if done.returncode:
            raise RuntimeError(f"nnU-Net ended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def make(folder: Path, kinds: tuple[str, ...] = tuple(MODELS), changes: dict | None = None) -> Home:
    """Make models and their zips in a folder; `changes` overrides keys of every one of them (`configurations`, ...)."""
    home = Home(Path(folder))
    models = {kind: {**MODELS[kind], **(changes or {})} for kind in kinds}
    for name in ("raw", "preprocessed", "results"):
        (home.folder / name).mkdir(parents=True, exist_ok=True)
    for model in {model["folder"]: model for model in models.values()}.values():
        write_raw(home.folder / "raw" / model["folder"], model)
    exports = []
    for kind, model in models.items():
        command = ["nnUNetv2_export_model_to_zip", "-d", str(model["dataset"]), "-o", str(home.zip(kind))]
        command += ["-c", *model["configurations"], "-p", model["plans"], "-f", *map(str, model["folds"])]
        exports.append(command)
    home._script("make", models=list(models.values()), commands=exports)
    return home


def make_zip(
    folder: Path,
    kind: str = "plain",
    configurations: tuple[str, ...] = ("2d", "3d_fullres"),
    folds: tuple[int, ...] = (0,),
    steps: int = 120,
) -> Path:
    """One zip of nnU-Net's own making; with few steps its network knows little, which not every test minds."""
    changes = {"configurations": list(configurations), "folds": list(folds), "steps": steps}
    return make(folder, (kind,), changes).zip(kind)


def kept(tmp: Path) -> Path:
    """Where a session's oracle lies: `tmp`, or a folder that outlives it if CSPINESEG_NNUNET_ORACLE names one."""
    place = os.environ.get("CSPINESEG_NNUNET_ORACLE")
    if not place:
        return tmp
    names = "nnunet_oracle.py", "nnunet_stock.py", "nnunet_cases.py"
    sources = b"".join((HERE / name).read_bytes() for name in names)
    return Path(place) / hashlib.sha256(sources).hexdigest()[:12]


def bordered(image: np.ndarray) -> np.ndarray:
    """An oval of an image (I, J, K), nowhere zero inside, with zeros around it and rows of zeros around that."""
    i, j = (np.linspace(-1, 1, n) for n in image.shape[:2])
    oval = i[:, None] ** 4 + j[None] ** 4 < 1.2
    return np.pad(np.maximum(image, 1) * oval[..., None].astype(image.dtype), BORDER)


def write_raw(folder: Path, model: dict) -> None:
    """A raw dataset as the dataset's authors lay it out: imagesTr, labelsTr, dataset.json with their label names."""
    from CSpineSegLib import phantom, volume

    grid = phantom.grid_around(model["shape"], model["spacing"], "PSR")
    number = 0
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for person in range(model["people"]):
        traced = phantom.trace(PERSON + person, grid)
        for image_seed in (person, 10 + person):
            made = phantom.render(traced, image_seed)
            case = f"cspine_{number}"
            arrays = made.image.astype(np.int16), made.mask
            if model["bordered"]:
                arrays = bordered(arrays[0]), np.pad(made.mask, BORDER)
            for array, path in zip(arrays, (f"imagesTr/{case}_0000.nii.gz", f"labelsTr/{case}.nii.gz"), strict=True):
                volume.write(volume.from_array(array, grid.affine), folder / path)
            number += 1
    about = {"channel_names": {"0": "T2"}, "labels": LABELS, "numTraining": number, "file_ending": ".nii.gz"}
    if model["reader"]:
        about["overwrite_image_reader_writer"] = model["reader"]
    (folder / "dataset.json").write_text(json.dumps(about, indent=4), encoding="utf-8")
