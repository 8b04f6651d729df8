"""What the figures of a report mean, in words, with the sources of the methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..results import GOLD, SILVER, Results


@dataclass(frozen=True)
class Methods:
    """The last but one part of a report.

    Parameters
    ----------
    parts : headings with their paragraphs.
    definitions : (name, definition) of every figure.
    sources : published descriptions of the methods.
    """

    parts: Sequence[tuple[str, Sequence[str]]] = ()
    definitions: Sequence[tuple[str, str]] = ()
    sources: Sequence[str] = field(default=())


_GOLD = (
    "Gold: masks that experts drew or corrected, of the exams that the Gold list names. Quality is reported against "
    "Gold."
)
_SILVER = (
    "Silver: masks that a network made and nobody reviewed. Agreement with them is agreement with that network. A "
    "model trained on masks like these is their near-twin: the scores lie close to 1, their variance collapses, and "
    "tests call differences significant that nobody would see; the scores of a Silver network that is itself worse "
    "in one group make that group's gap larger or smaller than it is."
)
_ACCURACY = (
    "Every prediction is compared with its reference in three dimensions, on the reference's grid and with its "
    "spacing in mm, structure by structure: Dice, normalised surface Dice within 1 mm and within one voxel, 95th "
    "percentile of the surface distance (HD95), mean surface distance (ASSD) and signed difference of volume. Masks "
    "that are empty are treated as the definitions below say and are never dropped in silence.",
    "Levels are found in both masks separately, from the mask alone, and matched by overlap. Bodies that are grown "
    "together are one block, named by all of its vertebrae; missing, extra and fused elements are counted apart from "
    "how well the found ones are outlined.",
    "The data set's paper reports Dice as the mean over all slices of the slice's Dice, where a slice that is empty "
    "in both masks counts 1. It stands beside the volumetric figure only so that both can be compared with print; it "
    "is higher whenever slices are empty.",
)
_STATISTICS = (
    "Exams of one patient are not independent: confidence intervals (95 %) come from a bootstrap that draws patients "
    "and not exams. Models that saw the same exams are compared exam by exam, by Wilcoxon's signed-rank test of the "
    "patients' mean differences and by the bootstrap of the mean difference, with Holm's correction over the family "
    "of comparisons.",
    "Two groups are compared by the Mann-Whitney test with the rank-biserial correlation, several by the "
    "Kruskal-Wallis test with epsilon squared and Dunn's test of pairs, categories by the chi-squared test with "
    "Cramér's V; p values are corrected over each family after Benjamini and Hochberg.",
)
_FAIRNESS = (
    "Groups of fewer than 30 patients are described and not tested. An exam counts as a success if Dice exceeds 0.8, "
    "if nDSC exceeds 0.8, or if HD95 is below 5 mm. The demographic parity difference (DPD) is the largest minus the "
    "smallest success rate of the groups, the disparate impact ratio (DIR) the smallest divided by the largest; both "
    "depend on the threshold, so that a sweep over thresholds is shown.",
    "Larger structures have higher Dice at the same error of the boundary, and men's are larger than women's. The "
    "adjusted models therefore hold age, sex, volume of the structure and scanner, with errors clustered by patient. "
    "The smallest difference that a comparison would have shown with a power of 80 % is given, since what is not "
    "significant is not thereby absent.",
)
_SOURCES = (
    "The data set and its convention: Zhou L, Wiggins W, Zhang J, et al. The Duke University Cervical Spine MRI "
    "Segmentation Dataset (CSpineSeg). Scientific Data 12, 1695, 2025.",
    "Metrics: Maier-Hein L, Reinke A, et al. Metrics reloaded: recommendations for image analysis validation. Nature "
    "Methods 21, 195-212, 2024.",
    "Surface distances: Nikolov S, et al. Clinically applicable segmentation of head and neck anatomy for "
    "radiotherapy. Journal of Medical Internet Research 23, e26151, 2021.",
    "nDSC: Raina V, et al. Tackling bias in the Dice similarity coefficient: introducing nDSC for white matter "
    "lesion segmentation. ISBI 2023.",
    "Panoptic quality: Kirillov A, et al. Panoptic segmentation. CVPR 2019.",
    "Limits of agreement: Bland JM, Altman DG. Statistical methods for assessing agreement between two methods of "
    "clinical measurement. Lancet 327, 307-310, 1986.",
    "Width of bootstrap intervals: Hesterberg TC. What teachers should know about the bootstrap. American Statistician "
    "69, 371-386, 2015.",
    "Bootstrap: Efron B, Tibshirani RJ. An introduction to the bootstrap. Chapman & Hall, 1993.",
    "Holm S. A simple sequentially rejective multiple test procedure. Scandinavian Journal of Statistics 6, 65-70, "
    "1979.",
    "Benjamini Y, Hochberg Y. Controlling the false discovery rate. Journal of the Royal Statistical Society B 57, "
    "289-300, 1995.",
    "Rank-biserial correlation: Kerby DS. The simple difference formula. Comprehensive Psychology 3, 1, 2014.",
    "Dunn OJ. Multiple comparisons using rank sums. Technometrics 6, 241-252, 1964.",
    "Colours: Okabe M, Ito K. Color universal design, 2008.",
)


def of(results: Sequence[Results], *, fairness: bool = True) -> Methods:
    """The methods of a report over some results; definitions are those that were kept beside the figures."""
    rulers = {one.ruler for one in results}
    told = [text for name, text in ((GOLD, _GOLD), (SILVER, _SILVER)) if name in rulers]
    others = sorted(rulers - {GOLD, SILVER})
    if others:
        told.append(f"Masks of the folder {', '.join(others)}, as they were given; nothing is known of their making.")
    parts = [("The ruler", told), ("Accuracy", _ACCURACY), ("Statistics", _STATISTICS)]
    if fairness:
        parts.append(("Fairness", _FAIRNESS))
    definitions: dict[str, str] = {}
    for one in results:
        definitions |= {str(key): str(text) for key, text in one.record.get("definitions", {}).items()}
    return Methods(parts, list(definitions.items()), _SOURCES)
