"""The stand-ins under their former name."""

from slicer_standins import *  # noqa: F403
from slicer_standins import slicer_app  # noqa: F401  (fixture)
