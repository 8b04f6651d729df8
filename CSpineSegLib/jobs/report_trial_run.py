"""The report on the trial data set from one call: make the exams, evaluate both models, write the page."""

from __future__ import annotations

from pathlib import Path

from ..dataset import folders
from ..evaluation.fairness.planted import PLANTED
from ..evaluation.results import GOLD
from ..progress import Progress, ensure
from . import report_trial
from .evaluate import evaluate
from .report_build import Report, build_report

_SHARES = f"{PLANTED.share:.1%} to {PLANTED.share_oldest:.0%}"
LEAD = (
    "A trial on made data: nobody in it is real. One bias is planted: in the predictions of "
    f"{report_trial.MODELS[0]} the {PLANTED.structure} of people over {PLANTED.older_than:g} lose {_SHARES} of their "
    "voxels, all at the border. Nothing else differs between groups by design."
)


def run(
    folder: Path | str,
    *,
    jobs: int = 2,
    by: str | None = None,
    pdf: bool = False,
    exams: int = report_trial.EXAMS,
    progress: Progress | None = None,
) -> Report:
    """Write `report.html` into a folder, with data set and evaluations beside it; what is there is made once.

    `model-a` is measured against Gold and against the network's masks, `model-b` against Gold.
    """
    root, progress = folders.absolute(folder), ensure(progress)
    dataset = report_trial.make(root / "dataset", jobs=jobs, exams=exams, progress=progress.part(0.0, 0.3))
    first, second = report_trial.MODELS
    rulers = [(first, GOLD), (second, GOLD), (first, str(dataset.processed / report_trial.NETWORK))]
    evaluated = []
    for number, (model, ruler) in enumerate(rulers):
        evaluated.append(root / f"{model}-against-{Path(ruler).name}")
        part = progress.part(0.3 + 0.18 * number, 0.3 + 0.18 * (number + 1))
        evaluate(model, ruler, dataset=dataset, output=evaluated[-1], jobs=jobs, progress=part)
    return build_report(
        evaluated,
        root / "report.html",
        dataset=dataset,
        by=by,
        pdf=pdf,
        force=True,
        title=f"Evaluation of two models on {exams} phantom exams",
        lead=LEAD,
        progress=progress.part(0.84, 1.0),
    )
