"""Trains the 2D network on phantoms, from nothing, until its time or its steps are used up."""

from __future__ import annotations

import io
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import InputError, ModelError
from ..model import networks
from ..model.bundle import Bundle
from ..progress import Progress, ensure
from . import bank, beginning, feeder, losses, synthesis

# Narrow at full resolution, where the cost lies on a CPU: three times as many samples in the same time.
DEFINITION: dict[str, Any] = {
    **networks.DYNUNET_2D,
    "in_channels": synthesis.CONTEXT,
    "filters": [8, 16, 32, 64, 128, 128],
}

CHECKPOINT, LOG, WEIGHTS, SUMMARY = "checkpoint.pt", "log.jsonl", "model.pt", "training.json"


@dataclass(frozen=True)
class Settings:
    """What a run is: its length in minutes of training, or in steps if given; its seed; and how it learns."""

    minutes: float = 40.0
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    learning_rate: float = 2e-3
    warm_up: int = 40
    decay: float = 0.01
    average: float = 0.998
    people: int = 100
    every: int = 14
    held_out: int = 12
    checkpoint_seconds: float = 120.0
    evaluate_every: int = 100
    log_every: int = 10
    patches: tuple[tuple[int, int], ...] = synthesis.PATCHES


def device_of(name: str) -> str:
    """The device for auto, cpu or cuda; ModelError if CUDA is asked for and absent."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"The device {name!r} is not known for training; use auto, cpu or cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("Training was asked to run on CUDA, but this torch finds no CUDA device; use --device cpu.")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def _bfloat16(device: str) -> bool:
    """Whether bfloat16 arithmetic is fast here; emulated on a processor without it, it is ten times slower."""
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported()) if hasattr(torch.cpu, "_is_amx_tile_supported") else False


class Run:
    """The state of a training run in a folder: network, optimiser, running average of the weights, step, seconds."""

    def __init__(self, folder: Path, settings: Settings, definition: dict[str, Any], start: Bundle | None = None):
        import torch

        self.folder, self.settings, self.definition = Path(folder), settings, definition
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = device_of(settings.device)
        torch.manual_seed(settings.seed)
        self.network = networks.build(definition).to(self.device)
        if start is not None:
            self.network.load_state_dict(beginning.weights(start, self.network.state_dict()))
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, betas=(0.9, 0.99), weight_decay=settings.decay
        )
        self.mean = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        self.step, self.seconds, self.samples = 0, 0.0, 0
        self.half = _bfloat16(self.device)

    def fraction(self) -> float:
        """How much of the run is done, 0 to 1."""
        if self.settings.steps is not None:
            return min(1.0, self.step / max(self.settings.steps, 1))
        return min(1.0, self.seconds / max(self.settings.minutes * 60, 1e-9))

    def learn(self, batch: synthesis.Batch) -> float:
        """One step of the optimiser; returns the loss. The learning rate falls along a cosine of the time used."""
        import torch

        rate = self.settings.learning_rate * min(1, (self.step + 1) / self.settings.warm_up)
        rate *= 0.5 * (1 + math.cos(math.pi * self.fraction())) + 0.005
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images, labels, weights = self._tensors(batch)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            logits = self.network(images)
        loss = losses.dice_and_cross_entropy(logits.float(), labels, weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self.samples += len(batch.images)
        self._average()
        return float(loss.detach())

    def _tensors(self, batch: synthesis.Batch):
        """Images, labels and weights on the device; a network of one slice sees the middle one."""
        import torch

        images, labels, weights = (torch.from_numpy(a).to(self.device) for a in vars(batch).values())
        if self.definition["in_channels"] == 1:
            images = images[:, synthesis.CONTEXT // 2 : synthesis.CONTEXT // 2 + 1]
        return images, labels, weights

    def _average(self) -> None:
        weight = 1 - min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            self.mean[name].lerp_(value.to(self.mean[name].dtype), weight)

    def evaluate(self, batches: list[synthesis.Batch]) -> dict[str, float]:
        """Dice of the averaged weights, pooled over held-out phantom samples."""
        import torch

        current = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.network.load_state_dict(self.mean)
        self.network.eval()
        total = torch.zeros(2, 2, dtype=torch.float64)
        with torch.inference_mode():
            for batch in batches:
                images, labels, weights = self._tensors(batch)
                total += losses.counts(self.network(images), labels, weights).cpu()
        self.network.load_state_dict(current)
        self.network.train()
        dice = 2 * total[:, 0] / total[:, 1].clamp(min=1)
        return {"dice_bodies": round(float(dice[0]), 4), "dice_discs": round(float(dice[1]), 4)}

    def save(self) -> None:
        """Write the checkpoint; a run that is killed at any moment keeps the one before."""
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "mean": self.mean,
            "step": self.step,
            "seconds": self.seconds,
            "samples": self.samples,
            "seed": self.settings.seed,
            "definition": self.definition,
        }
        files.write_verified(self.folder / CHECKPOINT, _bytes(state))

    def resume(self) -> None:
        """Continue from the folder's checkpoint. Raises InputError if there is none or it belongs to another run."""
        import torch

        path = self.folder / CHECKPOINT
        if not path.exists():
            raise InputError(f"There is no checkpoint {path} to resume from; start without --resume.")
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["seed"] != self.settings.seed or state["definition"] != self.definition:
            raise InputError(f"The checkpoint {path} belongs to another seed or network; use another folder.")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.mean = state["mean"]
        self.step, self.seconds, self.samples = state["step"], state["seconds"], state["samples"]

    def log(self, **values: Any) -> None:
        """Append one JSON line to the log and print it."""
        line = json.dumps({"step": self.step, "seconds": round(self.seconds, 1), "samples": self.samples, **values})
        print(line, flush=True)
        with (self.folder / LOG).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


def _bytes(state: Any) -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save(state, stream)
    return stream.getvalue()


def held_out(people: bank.Bank, settings: Settings) -> list[synthesis.Batch]:
    """Fixed samples of 256 x 256 pixels from persons that training never draws."""
    batches = []
    for index in range(settings.held_out):
        rng = np.random.default_rng([settings.seed, 8, index])
        batches.append(synthesis.Batch(*synthesis.sample(people.get(feeder.HELD_OUT + index), rng, 256)))
    return batches


def train(
    folder: Path,
    settings: Settings,
    *,
    definition: dict[str, Any] | None = None,
    start: Bundle | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train, and leave the averaged weights as `model.pt` and a description as `training.json` in the folder.

    Returns the description: steps, samples, seconds, samples per second, held-out Dice. On Ctrl-C or cancel the
    checkpoint is written and the exception goes on; `resume` continues from there. `start` is a packaged model whose
    weights the run begins with, instead of random ones.

    Raises
    ------
    InputError, ModelError : see `Run.resume`, `device_of`. Cancelled, KeyboardInterrupt : stopped by the user.
    """
    progress = ensure(progress)
    run = Run(folder, settings, dict(definition or DEFINITION), start)
    if resume:
        run.resume()
    elif (run.folder / CHECKPOINT).exists():
        raise InputError(f"{run.folder} already holds a training run; continue it with --resume or use another folder.")
    people = bank.Bank(run.folder / "bank")
    source = feeder.Feeder(people.folder, settings.seed, run.step, settings.people, settings.every, settings.patches)
    try:
        figures = _loop(run, source, people, progress)
    finally:
        source.close()
        if run.step:
            run.save()
    files.write_verified(run.folder / WEIGHTS, _bytes({k: v.cpu() for k, v in run.mean.items()}))
    summary = _summary(run, figures, start)
    files.write_json(run.folder / SUMMARY, summary)
    people.remove()
    return summary


def _loop(run: Run, source: feeder.Feeder, people: bank.Bank, progress: Progress) -> dict[str, float]:
    settings = run.settings
    batches = held_out(people, settings)
    smooth, saved = None, time.monotonic()
    while run.fraction() < 1:
        step, batch = source.next()
        if step != run.step:
            raise RuntimeError(f"The batch of step {step} came when that of step {run.step} was due.")
        # Only time spent learning counts, not the wait for the first anatomies, so that a resumed run is as long.
        began = time.monotonic()
        loss = run.learn(batch)
        run.seconds += time.monotonic() - began
        if smooth is None:
            run.log(first_loss=round(loss, 4))
        smooth = loss if smooth is None else 0.95 * smooth + 0.05 * loss
        progress.update("training", run.fraction(), f"loss {smooth:.3f}")
        if run.step % settings.log_every == 0:
            run.log(loss=round(smooth, 4))
        if run.step % settings.evaluate_every == 0:
            run.log(**run.evaluate(batches))
        if time.monotonic() - saved > settings.checkpoint_seconds:
            run.save()
            saved = time.monotonic()
    figures = run.evaluate(batches)
    run.log(loss=None if smooth is None else round(smooth, 4), **figures)
    return figures


def _summary(run: Run, figures: dict[str, float], start: Bundle | None) -> dict[str, Any]:
    settings = run.settings
    before = {} if start is None else {"continues": beginning.spent(start)}
    return {
        **before,
        "definition": run.definition,
        "seed": settings.seed,
        "device": run.device,
        "steps": run.step,
        "samples": run.samples,
        "minutes": round(run.seconds / 60, 2),
        "samples_per_second": round(run.samples / max(run.seconds, 1e-9), 2),
        "phantoms": len(feeder.people_at(run.step, settings.people, settings.every)),
        "held_out": {"phantoms": settings.held_out, **figures},
        "spacing_mm": synthesis.SPACING,
        "context_slices": run.definition["in_channels"],
    }
