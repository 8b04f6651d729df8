"""From an image to a mask: packaged models, their networks and preprocessing, devices, prediction."""

from .bundle import Bundle, Imported, amend, available, export, load, survey
from .nnunet.run import Run
from .prediction import Prediction, predict

__all__ = ["Bundle", "Imported", "Prediction", "Run", "amend", "available", "export", "load", "predict", "survey"]
