"""Tests, effect sizes, intervals, models and power; each with its definition and source in Docs/statistics.md."""

from .bootstrap import Interval, bootstrap, bootstrap_difference, redraws
from .models import adjusted_model, levels_model
from .multiple import adjust, dunn
from .permutation import permutation_p, permute_groups, shuffles
from .power import minimum_detectable_difference, power_of
from .tables import contingency
from .tests import Test, paired, several_groups, two_groups

__all__ = [
    "Interval",
    "Test",
    "adjust",
    "adjusted_model",
    "bootstrap",
    "bootstrap_difference",
    "contingency",
    "dunn",
    "levels_model",
    "minimum_detectable_difference",
    "paired",
    "permutation_p",
    "permute_groups",
    "power_of",
    "redraws",
    "several_groups",
    "shuffles",
    "two_groups",
]
