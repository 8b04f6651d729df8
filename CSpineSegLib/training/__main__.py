"""`python -m CSpineSegLib.training --out DIR --minutes 40 --seed 0`: trains, then writes the bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ..model import bundle as bundles
from ..model import preprocess
from . import trainer
from .ending import exit_code


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m CSpineSegLib.training",
        description="Train the cervical spine model on phantoms alone and write it as a bundle.",
        epilog="Example: python -m CSpineSegLib.training --out build/training --minutes 40 --seed 0",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the log, checkpoints and the bundle")
    parser.add_argument("--minutes", type=float, default=40.0, help="minutes of training in all (default 40)")
    parser.add_argument("--steps", type=int, help="train this many steps instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="threads of the network on a CPU (default 1)")
    parser.add_argument("--start", help="begin with the weights of this packaged model, by name or folder")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out")
    parser.add_argument("--name", default="cspine-phantom", help="name of the bundle")
    return parser.parse_args(argv)


def export(folder: Path, name: str, summary: dict[str, Any]) -> Path:
    """Write the bundle `folder`/`name` from the weights and description that training left in `folder`."""
    import torch

    weights = torch.load(folder / trainer.WEIGHTS, map_location="cpu", weights_only=True)
    told = {k: v for k, v in summary.items() if k not in ("definition", "held_out", "spacing_mm", "context_slices")}
    return bundles.export(
        folder,
        name,
        weights,
        summary["definition"],
        preprocess.describe(summary["spacing_mm"], summary["context_slices"]),
        told,
        {"held-out phantoms": summary["held_out"]},
    )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 2 bad input, 130 stopped by Ctrl-C."""
    arguments = _arguments(argv)
    import torch

    torch.set_num_threads(max(1, arguments.threads))
    settings = trainer.Settings(
        minutes=arguments.minutes, steps=arguments.steps, seed=arguments.seed, device=arguments.device
    )

    def work() -> None:
        start = bundles.load(arguments.start) if arguments.start else None
        summary = trainer.train(arguments.out, settings, start=start, resume=arguments.resume)
        print(f"The bundle lies in {export(arguments.out, arguments.name, summary)}.")

    return exit_code(work, "Stopped; continue with --resume.")


if __name__ == "__main__":
    sys.exit(main())
