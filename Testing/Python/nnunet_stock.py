"""What runs in nnU-Net's own process, started by `nnunet_oracle`: plan, train for seconds, call its commands.

Nothing here belongs to the library; the only file of the tests, with `nnunet_oracle`, that drives nnunetv2. Usage:

    python nnunet_stock.py make WORK.json     {"models": [...], "commands": [...]}: plans and checkpoints, then commands
    python nnunet_stock.py call WORK.json     {"commands": [["nnUNetv2_predict", "-i", ...], ...]}: one after the other

Commands run the functions behind nnU-Net's console commands with their arguments, so that several commands share one
start-up; nothing of what they do is changed.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np


def train(models: list[dict]) -> None:
    """Make every model of a list; see `nnunet_oracle.MODELS` for the keys."""
    import multiprocessing
    import multiprocessing.dummy

    # Planning and preprocessing of a handful of small volumes, in threads: spawned workers would spend their time
    # importing.
    real = multiprocessing.get_context
    multiprocessing.get_context = lambda method=None: multiprocessing.dummy if method == "spawn" else real(method)
    planned = set()
    for model in models:
        _plan(model, planned)
        _train_folds(model)


def _plan(model: dict, planned: set) -> None:
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api
    from nnunetv2.paths import nnUNet_preprocessed

    dataset = model["dataset"]
    if dataset not in planned:
        api.extract_fingerprints([dataset], num_processes=1, check_dataset_integrity=True, show_progress_bar=False)
        planned.add(dataset)
    name = api.plan_experiments([dataset], model["planner"])
    assert name == model["plans"], (name, model["plans"])
    path = Path(str(nnUNet_preprocessed)) / model["folder"] / f"{name}.json"
    plans = json.loads(path.read_text(encoding="utf-8"))
    for configuration in plans["configurations"].values():
        reduce(configuration["architecture"]["arch_kwargs"], model["features"])
    path.write_text(json.dumps(plans, indent=4), encoding="utf-8")
    for configuration in ("2d", "3d_fullres"):
        identifier = plans["configurations"][configuration]["data_identifier"]
        if (dataset, identifier) not in planned:
            api.preprocess([dataset], name, [configuration], [1], show_progress_bar=False)
            planned.add((dataset, identifier))


def reduce(network: dict, features: int) -> None:
    """The planned network with fewer features (planned: 32 to 512) and at most two blocks a stage; else as planned."""
    network["features_per_stage"] = [min(features * 2**i, 4 * features) for i in range(network["n_stages"])]
    if "n_blocks_per_stage" in network:
        network["n_blocks_per_stage"] = [min(n, 2) for n in network["n_blocks_per_stage"]]


def _train_folds(model: dict) -> None:
    """The first fold's 2D network from nothing, the others' a little further; 3D networks from the 2D ones."""
    import torch

    weights = None
    for fold in model["folds"]:
        torch.manual_seed(11 + fold)
        trainer = _trainer(model, "2d", fold)
        if weights is not None:
            trainer.network.load_state_dict(weights)
        weights = _optimise(trainer, model["steps"] if weights is None else model["steps"] // 4, fold)
        if "3d_fullres" in model["configurations"]:
            deep = _trainer(model, "3d_fullres", fold)
            deep.network.load_state_dict(inflated(weights, deep.network.state_dict()))
            _optimise(deep, model["steps"] // 15, fold)


def inflated(flat: dict, deep: dict) -> dict:
    """Weights of a 3D network that does what the 2D network of the same stages does in every slice.

    Kernels of odd length go into the middle plane; those of transposed convolutions (length 1 or 2) into every plane.
    """
    import torch

    made = {}
    for name, value in deep.items():
        source = flat[name]
        if source.ndim == value.ndim:
            made[name] = source.clone()
        elif "transpconv" in name:
            made[name] = source[:, :, None].expand_as(value).clone()
        else:
            made[name] = torch.zeros_like(value)
            made[name][:, :, value.shape[2] // 2] = source
    return made


def _trainer(model: dict, configuration: str, fold: int):
    import torch
    from nnunetv2.paths import nnUNet_preprocessed
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    folder = Path(str(nnUNet_preprocessed)) / model["folder"]
    plans = json.loads((folder / f"{model['plans']}.json").read_text(encoding="utf-8"))
    dataset = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
    trainer = nnUNetTrainer({**plans, "continue_training": False}, configuration, fold, dataset, torch.device("cpu"))
    trainer.initialize()
    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size()
    return trainer


def _optimise(trainer, steps: int, seed: int) -> dict:
    """Some steps on the preprocessed cases with the trainer's own network, loss and optimizer, then `_finish`."""
    import torch

    rng = np.random.default_rng(seed)
    cases = []
    dataset = trainer.dataset_class(trainer.preprocessed_dataset_folder)
    for name in dataset.identifiers:
        data, segmentation, *_ = dataset.load_case(name)
        cases.append((np.asarray(data[:])[0], np.maximum(np.asarray(segmentation[:])[0], 0)))
    patch = tuple(trainer.configuration_manager.patch_size)
    batch, rate = (4, 0.05) if len(patch) == 2 else (1, 0.02)
    trainer.network.train()
    loss = torch.zeros(())
    for step in range(steps):
        for group in trainer.optimizer.param_groups:
            group.update(lr=rate * (1 - step / steps) ** 0.9, momentum=0.9)
        drawn = [_patch(*cases[rng.integers(len(cases))], patch, rng) for _ in range(batch)]
        image = torch.from_numpy(np.stack([one[0] for one in drawn])[:, None].astype(np.float32))
        truth = torch.from_numpy(np.stack([one[1] for one in drawn])[:, None].astype(np.float32))
        trainer.optimizer.zero_grad(set_to_none=True)
        loss = trainer.loss.loss(trainer.network(image)[0], truth)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainer.network.parameters(), 12)
        trainer.optimizer.step()
    print(f"{trainer.output_folder}: loss {float(loss.detach()):.3f} after {steps} steps")
    _finish(trainer, float(loss.detach()))
    return {name: value.clone() for name, value in trainer.network.state_dict().items()}


def _patch(image: np.ndarray, truth: np.ndarray, size: tuple[int, ...], rng: np.random.Generator):
    """A random patch, padded where the case is smaller, flipped at random along every axis."""
    if len(size) == 2:
        slices = np.flatnonzero(truth.any(axis=(1, 2)))
        index = rng.choice(slices)
        image, truth = image[index], truth[index]
    missing = [max(n - have, 0) for n, have in zip(size, image.shape, strict=True)]
    around = [(m // 2, m - m // 2) for m in missing]
    image, truth = np.pad(image, around), np.pad(truth, around)
    starts = [rng.integers(have - n + 1) for n, have in zip(size, image.shape, strict=True)]
    where = tuple(slice(start, start + n) for start, n in zip(starts, size, strict=True))
    axes = tuple(np.flatnonzero(rng.random(len(size)) < 0.5))
    return np.flip(image[where], axes), np.flip(truth[where], axes)


def _finish(trainer, loss: float) -> None:
    """What a finished training leaves: log, progress.png, checkpoint, a validation summary, copies of the plans."""
    import time

    from nnunetv2.evaluation.evaluate_predictions import save_summary_json
    from nnunetv2.paths import nnUNet_preprocessed

    now, dice = time.time(), np.float64(0.5)
    values = {"train_losses": np.float32(loss), "val_losses": np.float64(loss), "mean_fg_dice": dice, "lrs": 0.01}
    values |= {"dice_per_class_or_region": [dice, dice], "epoch_start_timestamps": now, "epoch_end_timestamps": now + 1}
    for key, value in values.items():
        trainer.logger.log(key, value, 0)
    trainer._best_ema = trainer.logger.get_value("ema_fg_dice", step=-1)
    trainer.logger.plot_progress_png(trainer.output_folder)
    # As `nnUNetTrainer.on_train_start` does.
    base, source = Path(trainer.output_folder_base), Path(str(nnUNet_preprocessed)) / trainer.plans_manager.dataset_name
    trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    (base / "plans.json").write_text(json.dumps(trainer.plans_manager.plans, indent=4), encoding="utf-8")
    for name in ("dataset.json", "dataset_fingerprint.json"):
        (base / name).write_bytes((source / name).read_bytes())
    validation = Path(trainer.output_folder) / "validation"
    validation.mkdir(exist_ok=True)
    result = {"Dice": 0.5, "FN": 1.0, "FP": 1.0, "IoU": 0.3, "TN": 1.0, "TP": 1.0, "n_pred": 2.0, "n_ref": 2.0}
    summary = {"metric_per_case": [], "mean": {1: result, 2: result}, "foreground_mean": result}
    save_summary_json(summary, str(validation / "summary.json"))


def call(commands: list[list[str]]) -> None:
    """Run nnU-Net's console commands one after the other; the first that fails ends the process."""
    known = {entry.name: entry for entry in entry_points(group="console_scripts")}
    for name, *arguments in commands:
        sys.argv = [name, *arguments]
        known[name].load()()


if __name__ == "__main__":
    work = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    if sys.argv[1] == "make":
        train(work["models"])
    call(work["commands"])
