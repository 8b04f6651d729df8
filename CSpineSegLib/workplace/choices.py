"""What the reviewer can choose to segment with, in words: models and devices. It imports neither torch nor OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from ..jobs.graphics import Card

GIB = 1024**3


class Choice(NamedTuple):
    """A name for the library, a short text for a list, and sentences on what it is."""

    name: str
    text: str
    words: str


def models() -> tuple[list[Choice], list[str]]:
    """The packaged and the imported models, the usual one first, and a sentence for each folder that is damaged."""
    from .. import model
    from ..jobs import DEFAULT_MODEL

    found, problems = model.survey()
    # The user's own come before packaged ones of the same name, as where a name is looked up.
    named = {one.name: one for one in reversed(found)}
    ordered = sorted(named, key=lambda name: (name != DEFAULT_MODEL, name.casefold()))
    return [Choice(name, f"{name} {named[name].version}", _model_words(named[name])) for name in ordered], problems


def devices(cards: Sequence[Card] | None = None) -> list[Choice]:
    """Where a model can run here: the automatic choice first, then graphics cards, then the processor.

    Parameters
    ----------
    cards : of this computer; by default their drivers are asked, once.
    """
    from ..model import devices as running

    if cards is None:
        from ..jobs import graphics

        cards = graphics.known()
    # Of several cards the first does the work.
    usable = [_card(card) for card in cards[:1]]
    cpu = _processor()
    best = usable[0] if usable and running.may_see_gpu() else cpu
    automatic = Choice("auto", f"Automatic: {best.text}", f"Takes what is fastest here. {best.words}")
    return [automatic, *usable, cpu]


def _model_words(found: Any) -> str:
    """What a model is, in sentences."""
    from .. import model, resources

    if isinstance(found, model.Imported):
        kinds = ", ".join(_configuration(found, name) for name in found.plans.configurations)
        source = found.metadata.get("source", {}).get("file", "nnU-Net")
        return f"nnU-Net model, imported from {source}: {kinds}. It gives no quality score."
    place = "Packaged with CSpineSeg" if found.folder.is_relative_to(resources.path("Models")) else "Your own model"
    sentences = [f"{place}.", found.metadata.get("description", ""), found.metadata.get("data_source", "")]
    if found.calibration is not None:
        sentences.append("It gives a quality score and a doubt map.")
    return " ".join(sentence for sentence in sentences if sentence)


def _configuration(found: Any, name: str) -> str:
    folds = len(found.folds(name))
    return f"{name} with {folds} fold{'s' if folds != 1 else ''}"


def _card(card: Card) -> Choice:
    memory = "" if card.memory is None else f", {card.memory / GIB:.0f} GB"
    needs = "" if find_spec("torch") is not None else " It needs PyTorch, which is not installed."
    return Choice(card.device, f"{card.name}{memory}", f"Runs on the graphics card with PyTorch.{needs}")


def _processor() -> Choice:
    from ..model import devices as running

    threads = running.threads()
    cores = f"{threads} core{'s' if threads != 1 else ''}"
    if find_spec("openvino") is not None:
        engine, words = "OpenVINO", "Runs on the processor with OpenVINO; some imported models need PyTorch."
    elif find_spec("torch") is not None:
        engine, words = "PyTorch", "Runs on the processor with PyTorch; OpenVINO, which is not installed, is faster."
    else:
        engine, words = "nothing installed yet", "Needs OpenVINO, which is offered for installation."
    return Choice("cpu", f"Processor, {cores}, {engine}", words)
