"""The worst exams with their pictures, and how often which failure happens."""

from __future__ import annotations

from . import worst
from .results import PICTURES, Results
from .sections import Figure, Section, Table


def worst_section(results: Results, pictures: bool = True) -> Section:
    """The exams from the worst on, what is wrong with each, and how many fail in which way.

    Parameters
    ----------
    pictures : with the pictures that the evaluation drew of the worst.
    """
    import pandas

    table = worst.table(results)
    total = len(table)
    rows = [
        {"category": name, "exams": int(table[name].sum()), "share": float(table[name].mean()), "definition": text}
        for name, text in worst.CATEGORIES.items()
    ]
    none = int((table["categories"] == "").sum())
    rows.append({"category": "none of these", "exams": none, "share": none / total if total else 0.0, "definition": ""})
    categories = pandas.DataFrame(rows)
    failed = results.exams[results.exams["status"] != "ok"]
    tables = [
        Table("failures", "Failures by kind", categories, "An exam can be in several."),
        Table(
            "worst",
            "Exams, the worst first",
            table.drop(columns=list(worst.CATEGORIES)),
            "In the order of the lower Dice of bodies and discs. Missing and extra leave out discs that a fused block "
            "of the other mask explains.",
            long=True,
        ),
    ]
    if len(failed):
        frame = failed["status"].str.removeprefix("failed: ").rename("reason").reset_index()
        tables.append(Table("not-compared", "Exams that could not be compared", frame))
    figures = _figures(results, table) if pictures else ()
    return Section("worst", "Worst cases", tuple(_sentences(table, categories)), (), tuple(tables), figures)


def _sentences(table: object, categories: object) -> list[str]:
    if not len(table):
        return ["No exam could be compared."]
    worst_row = table.iloc[0]
    said = [
        f"The worst exam is {worst_row['exam']} with a Dice of {worst_row['dice_bodies']:.3f} (bodies) and "
        f"{worst_row['dice_discs']:.3f} (discs)."
    ]
    happened = categories[(categories["exams"] > 0) & (categories["category"] != "none of these")]
    if len(happened):
        parts = [f"{row.category} in {row.exams}" for row in happened.itertuples()]
        said.append(f"Of {len(table)} exams, {', '.join(parts)}.")
    else:
        said.append(f"None of {len(table)} exams fails in one of the ways that are counted.")
    return said


def _figures(results: Results, table: object) -> tuple[Figure, ...]:
    figures = []
    for number, row in enumerate(table.to_dict("records"), start=1):
        path = results.folder / PICTURES / f"{row['exam']}.png"
        if not path.is_file():
            break
        caption = (
            f"{row['exam']}: Dice {row['dice_bodies']:.3f} (bodies), {row['dice_discs']:.3f} (discs)"
            f"{'; ' + row['categories'] if row['categories'] else ''}. The slice in which the masks differ most, the "
            "reference in full and the prediction dashed."
        )
        figures.append(Figure(f"worst-{number}", caption, "picture", {"png": path.read_bytes()}))
    return tuple(figures)
