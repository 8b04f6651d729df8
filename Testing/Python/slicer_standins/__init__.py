"""Slicer's Qt side for tests: strict stand-ins around PySide6, a real MRML scene behind them.

What the module may use is in Testing/slicer_api.txt; what is not there raises as it would in Slicer, with a sentence
that says which line is missing. `slicer_app` is the fixture, and its value what the user sees and answers.
"""

from .fixture import load_module, slicer_app, stand_in
from .listed import Strict
from .scripted import MODULE_FOLDER, ROOT
from .state import Slicer
from .strict import StrictObject, StrictValue

__all__ = [
    "MODULE_FOLDER", "ROOT", "Slicer", "Strict", "StrictObject", "StrictValue", "load_module", "slicer_app", "stand_in",
]  # fmt: skip
