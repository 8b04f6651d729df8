"""A report over evaluations: every analysis that they allow, in one page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import files
from ..dataset import Dataset
from ..errors import InputError
from ..evaluation import comparison, comparison_pairs, fairness, results, summary
from ..evaluation.cohort import cohort
from ..evaluation.comparison_pairs import same_predictions
from ..evaluation.report import methods, page
from ..evaluation.results import GOLD, Results
from ..evaluation.sections import Section
from ..progress import Progress, ensure
from ..review import places
from ..review.provenance import now, software
from . import report_browser

BY = ("sex", "race", "ethnicity", "age", "manufacturer", "field")


@dataclass(frozen=True)
class Report:
    """What was written: the page, the folder of its tables, and the PDF file if one was wanted."""

    page: Path
    tables: Path
    pdf: Path | None
    sections: tuple[Section, ...]


def build_report(
    evaluations: Sequence[Path | str],
    output: Path | str,
    *,
    dataset: Dataset | None = None,
    by: str | Sequence[str] | None = None,
    pdf: bool = False,
    force: bool = False,
    title: str | None = None,
    lead: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Write a report over one or several evaluations.

    Models that were measured against the same ruler are compared; predictions that were measured against Gold and
    against another ruler are audited under both, side by side. Accuracy per level, the audit and the worst cases are
    shown of one ruler for each model: of Gold, if there is an evaluation against it.

    Parameters
    ----------
    evaluations : folders that `evaluate` wrote.
    output : the HTML file; its tables go into `<stem>_tables` beside it.
    dataset : adds the cohort.
    by : what to audit by; without it, by all of `BY`, and the report says so if no group is large enough.
    pdf : also print the page to `<stem>.pdf` by a browser of the Chromium family.
    force : replace a former report.
    title, lead : heading of the page and the sentence under it; by default the models' names.

    Raises
    ------
    InputError : an evaluation cannot be read or was named twice, the output exists or is no HTML file, an unknown
        column in `by`, no browser for `pdf`. Nothing is written then.
    WriteError : the output cannot be written.
    """
    output, progress = Path(output).expanduser(), ensure(progress)
    browser = report_browser.find() if pdf else None
    targets = _check(output, pdf, force)
    progress.update("Reading", 0.0)
    read = _read(evaluations)
    places.check_targets(targets, [one.folder / results.TABLE for one in read])
    sections = _sections(read, dataset, by, progress)
    progress.update("Drawing", 0.85)
    audited = any(section.key.startswith("fairness") for section in sections)
    record = _record(read, dataset, title, lead)
    page.build(sections, methods.of(read, fairness=audited), record, output)
    printed = None
    if browser is not None:
        progress.update("Printing", 0.95)
        printed = report_browser.print_pdf(browser, output, output.with_suffix(".pdf"))
    progress.update("Done", 1.0)
    return Report(output, page.tables_folder(output), printed, tuple(sections))


def _check(output: Path, pdf: bool, force: bool) -> list[Path]:
    """The files and the folder that will be written; InputError if they may not be."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{output} is not an HTML file; give a name that ends in .html.")
    targets = [output, page.tables_folder(output), *([output.with_suffix(".pdf")] if pdf else [])]
    there = [target for target in targets if target.exists()]
    if there and not force:
        raise InputError(f"{there[0]} exists already; add --force to replace it, or choose another name.")
    if output.is_dir():
        raise InputError(f"{output} is a folder; give the name of an HTML file.")
    return targets


def _read(evaluations: Sequence[Path | str]) -> list[Results]:
    if not evaluations:
        raise InputError("A report needs at least one evaluation; name a folder that cspineseg evaluate wrote.")
    read = [results.read(folder) for folder in evaluations]
    found = Counter(one.folder.resolve() for one in read)
    twice = [folder for folder, count in found.items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]} was named twice; name each evaluation once.")
    return read


def _sections(
    read: Sequence[Results], dataset: Dataset | None, by: str | Sequence[str] | None, progress: Progress
) -> list[Section]:
    found: list[Section] = []
    if dataset is not None:
        found.append(cohort(dataset, images=True, progress=progress.part(0.0, 0.25)))
    main = [one for one in read if _is_main(one, read)]
    several = len(read) > 1
    where = dict(zip(map(id, read), comparison_pairs.tails([one.folder for one in read]), strict=True))
    alike = Counter((one.predictions, one.ruler) for one in read)
    names = dict(zip(map(id, read), _names(read), strict=True))

    def of(one: Results, section: Section) -> Section:
        if not several:
            return section
        told = told_apart(section, names[id(one)], one)
        # Another folder of the same name; the title must say whose figures these are.
        twin = alike[one.predictions, one.ruler] > 1
        return replace(told, title=f"{told.title} ({where[id(one)]})") if twin else told

    for number, one in enumerate(read):
        progress.update("Summarising", 0.25 + 0.15 * number / len(read), one.predictions)
        found.append(of(one, summary.section(one)))
        if one in main:
            found.append(of(one, summary.levels_section(one)))
    for ruler in dict.fromkeys(one.ruler for one in main):
        same = [one for one in main if one.ruler == ruler]
        if len(same) > 1:
            progress.update("Comparing", 0.4)
            found.append(told_apart(comparison.compare(same), ruler))
    columns = BY if by is None else by
    for number, one in enumerate(main):
        progress.update("Auditing", 0.45 + 0.25 * number / len(main), one.predictions)
        audited = _audited(lambda one=one: fairness.audit(one, columns), by is None, one)
        found.append(of(one, audited))
    for gold, other in _pairs(read):
        progress.update("Auditing", 0.72, "two rulers")
        both = _audited(lambda gold=gold, other=other: fairness.two_rulers(gold, other, columns), by is None, gold)
        found.append(of(other, both))
    for one in main:
        found.append(of(one, summary.worst_section(one, pictures=True)))
    return found


def _is_main(one: Results, read: Sequence[Results]) -> bool:
    """Whether its levels, fairness and worst cases are shown: against Gold, or there is none against Gold."""
    return one.ruler == GOLD or not any(gold.ruler == GOLD and same_predictions(gold, one) for gold in read)


def _pairs(read: Sequence[Results]) -> list[tuple[Results, Results]]:
    """Predictions under two rulers, Gold first."""
    return [
        (gold, other)
        for gold in read
        for other in read
        if gold.ruler == GOLD and other.ruler != GOLD and same_predictions(gold, other)
    ]


def _audited(work: Callable[[], Section], forgiving: bool, one: Results) -> Section:
    """An audit; or, if nobody asked for it and it cannot be made, a section that says why."""
    try:
        return work()
    except InputError as error:
        if not forgiving:
            raise
        return Section("fairness", "Fairness: not audited", (str(error),))


def _names(read: Sequence[Results]) -> list[str]:
    """A word for each evaluation that tells it from the others, fit for names of files."""
    choices = (
        [one.predictions for one in read],
        [f"{one.predictions} {one.ruler}" for one in read],
        [f"{one.predictions} {one.ruler} {number}" for number, one in enumerate(read, start=1)],
    )
    slugs = ([_slug(name) for name in choice] for choice in choices)
    return next(choice for choice in slugs if len(set(choice)) == len(choice))


def told_apart(section: Section, name: str, one: Results | None = None) -> Section:
    """A section whose key and whose tables' and figures' names end in a word, and whose title says of whom it is."""
    title = section.title
    if one is not None and one.predictions not in title:
        title = f"{title}: {one.predictions}" + ("" if one.against in title else f" against {one.against}")
    return replace(
        section,
        key=f"{section.key}-{_slug(name)}",
        title=title,
        tables=tuple(replace(table, name=f"{table.name}-{_slug(name)}") for table in section.tables),
        figures=tuple(replace(figure, name=f"{figure.name}-{_slug(name)}") for figure in section.figures),
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "other"


def _record(read: Sequence[Results], dataset: Dataset | None, title: str | None, lead: str | None) -> dict[str, Any]:
    models = list(dict.fromkeys(one.predictions for one in read))
    rulers = list(dict.fromkeys(one.against for one in read))
    exams = max(len(one.usable) for one in read)
    facts = {
        "Models": ", ".join(models),
        "Measured against": "; ".join(rulers),
        "Exams compared": "; ".join(f"{len(one.usable)} ({one.predictions}, {one.against})" for one in read),
        "Made": now(),
    }
    if dataset is not None:
        facts = {"Data set": f"{dataset.root.name}, {len(dataset)} exams", **facts}
    hashes: dict[str, str] = {}
    for one, where in zip(read, comparison_pairs.tails([one.folder for one in read]), strict=True):
        for name in (results.RECORD, results.TABLE, results.EXAMS):
            hashes[f"{where}/{name}"] = files.sha256(one.folder / name)
    return {
        "title": title or f"Evaluation of {' and '.join(models)}",
        "lead": lead or f"Vertebral bodies and discs in cervical spine MRI, up to {exams} exams a model.",
        "facts": facts,
        "versions": _versions([one.record.get("versions", {}) for one in read]),
        "hashes": hashes,
    }


def _versions(evaluated: Sequence[Any]) -> dict[str, str]:
    """By software: the version here, and those that made the figures if they were others."""
    found: dict[str, list[str]] = {}
    for versions in (software(), *(one for one in evaluated if isinstance(one, dict))):
        for name, version in versions.items():
            if str(version) not in found.setdefault(name, []):
                found[name].append(str(version))
    return {name: ", evaluated with ".join(known) for name, known in found.items()}
