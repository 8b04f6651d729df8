"""The figures of a validation: from single trials to what goes into a model's metadata, and a table to read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import model
from . import fitting

STRUCTURES = ("bodies", "discs")
TITLES = {
    "t2": "held-out phantoms, T2",
    "beyond": "phantoms beyond the ranges of training, T2",
    "t1": "held-out phantoms, T1",
    "stir": "held-out phantoms, STIR",
    "pd": "held-out phantoms, PD",
    "isotropic": "held-out phantoms, T2, 1 mm isotropic",
    "spoilt": "held-out phantoms, spoilt on purpose",
}
# Mean Dice of bodies and discs that is asked for.
ASKED = {"t2": (0.94, 0.90), "beyond": (0.90, 0.85)}
_SCORED = tuple(TITLES)


def compose(bundle: model.Bundle, results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The report: "model", "figures" (plain JSON values, for the metadata's evaluation) and "trials" (all of them)."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(result["group"], []).append(result)
    figures: dict[str, Any] = {TITLES[group]: _dice(groups[group]) for group in TITLES if group in groups}
    if "changed" in groups:
        figures["changed in one way"] = _changed(groups["changed"], groups.get("t2", []))
    if "turned" in groups:
        figures["eight orientations, least agreement"] = _least(groups["turned"])
    if "thick" in groups:
        figures["1 mm isotropic and 4 mm slices of it"] = _thick(groups["thick"])
    scored = [r for group in _SCORED for r in groups.get(group, []) if r.get("predicted")]
    if scored:
        figures["predicted Dice"] = _prediction(scored)
    if tables := [r for group in ("t2", "beyond") for r in groups.get(group, []) if r.get("reliability")]:
        figures["probabilities"] = _probabilities(tables)
    for title, some in (("", [g for g in TITLES if g != "spoilt"]), (", spoilt or changed", ["spoilt", "changed"])):
        if judged := [r for group in some for r in groups.get(group, []) if "refused" in r]:
            told = {"exams": len(judged), "refused": sum(r["refused"] for r in judged)}
            figures[f"cervical phantoms refused{title}"] = told
    if groups.get("negatives"):
        told = {r["exam"]: _words(r) for r in groups["negatives"]}
        figures["other images refused"] = {
            "images": len(told), "refused": sum(r["refused"] for r in groups["negatives"]), **told
        }  # fmt: skip
    for r in groups.get("scans", []):
        kept = ("slices", "bodies", "discs", "parts", "specks", "cervical", "predicted")
        figures[f"parts found in {r['exam']}"] = {key: r[key] for key in kept if key in r}
    return {
        "model": {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        "figures": figures,
        "trials": list(results),
    }


def _dice(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {key: fitting.summary(_values(results, key)) for key in STRUCTURES}


def _values(results: Sequence[Mapping[str, Any]], key: str, entry: str = "dice") -> list[float | None]:
    """Dice of a structure, where the truth holds some."""
    return [r[entry][key] if r.get("truly", {key: 1})[key] else None for r in results]


def _changed(results: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    used = {r["exam"] for r in results}
    figures = {"as they are": _means(own)} if (own := [r for r in plain if r["exam"] in used]) else {}
    for option in dict.fromkeys(r["option"] for r in results):
        figures[option] = _means([r for r in results if r["option"] == option])
    return {"exams": len(used), **figures}


def _means(results: Sequence[Mapping[str, Any]], entry: str = "dice") -> dict[str, float | None]:
    return {key: fitting.summary(_values(results, key, entry))["mean"] for key in STRUCTURES}


def _least(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    least = {key: round(min(r["agreement"][key] for r in results), 6) for key in STRUCTURES}
    return {"exams": len(results), **least}


def _thick(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = {"agreement": "agreement", "dice_thin": "Dice at 1 mm", "dice_thick": "Dice at 4 mm"}
    return {"exams": len(results), **{title: _means(results, entry) for entry, title in names.items()}}


def _prediction(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How well the quality score predicts: over all exams, and over those that were not spoilt on purpose."""
    figures = {}
    for title, some in (("all", results), ("not spoilt", [r for r in results if r["group"] != "spoilt"])):
        known = [r for r in some if None not in r["dice"].values() and all(r["truly"].values())]
        pairs = {key: ([r["predicted"][key] for r in known], [r["dice"][key] for r in known]) for key in STRUCTURES}
        pairs["score"] = tuple(np.mean([pairs[key][side] for key in STRUCTURES], axis=0) for side in (0, 1))
        figures[title] = {"exams": len(known), **{key: _pair(*pair) for key, pair in pairs.items()}}
    return figures


def _pair(predicted: Sequence[float], true: Sequence[float]) -> dict[str, float | None]:
    if not len(predicted):
        return {"rank_correlation": None, "mean_absolute_error": None}
    rank = fitting.rank_correlation(predicted, true)
    error = float(np.abs(np.subtract(predicted, true)).mean())
    return {"rank_correlation": None if rank is None else round(rank, 4), "mean_absolute_error": round(error, 4)}


def _probabilities(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures: dict[str, Any] = {"exams": len(results)}
    for entry, title in (("reliability_uncalibrated", "before"), ("reliability", "after")):
        table = np.sum([r[entry] for r in results], axis=0)
        figures[f"calibration_error_{title}"] = round(fitting.calibration_error(table), 4)
    return figures


def _words(result: Mapping[str, Any]) -> str:
    if result["refused"]:
        return result["sentence"]
    return f"accepted (probability {result['cervical']})" if "cervical" in result else "accepted"


def markdown(report: Mapping[str, Any]) -> str:
    """The report as tables."""
    figures = report["figures"]
    lines = [f"# {report['model']['name']} {report['model']['version']}", ""]
    groups = [(group, figures[title]) for group, title in TITLES.items() if title in figures]
    if groups:
        lines += ["| exams | number | bodies: mean (SD, worst) | discs: mean (SD, worst) | asked for |"]
        lines += ["|---|---|---|---|---|"]
    for group, told in groups:
        asked = " / ".join(f"{value:.2f}" for value in ASKED[group]) if group in ASKED else ""
        cells = [_cell(told[key]) for key in STRUCTURES]
        lines.append(f"| {TITLES[group]} | {told['bodies']['exams']} | {' | '.join(cells)} | {asked} |")
    rest = {name: value for name, value in figures.items() if name not in TITLES.values()}
    for name, told in rest.items():
        lines += ["", f"**{name[0].upper()}{name[1:]}**", "", "| | |", "|---|---|"]
        lines += [f"| {key.replace('_', ' ')} | {_text(value)} |" for key, value in told.items()]
    return "\n".join(lines) + "\n"


def _cell(told: Mapping[str, Any]) -> str:
    if told["mean"] is None:
        return "none"
    return f"{told['mean']:.3f} ({told['sd']:.3f}, {told['worst']:.3f})"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')} {_text(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
