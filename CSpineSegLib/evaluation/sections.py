"""What an analysis found, ready for the terminal, for TSV files and for the report: sentences, tables and figures.

Every analysis of a dataset (cohort, accuracy, comparison, fairness, ...) returns a `Section`; nothing in it is
formatted yet, so that the command line, the TSV files and the page show the same numbers, each in its own way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, eq=False)
class Table:
    """One table.

    Parameters
    ----------
    name : stem of its TSV file, lower case with hyphens, unique within a report.
    title : what it shows, in words.
    frame : the rows, with plain columns; numbers as numbers, NaN where there is none.
    note : what a reader has to know to read it: definitions, the ruler, how many were left out and why.
    long : too long for a page; the report shows the first rows and names the TSV file.
    """

    name: str
    title: str
    frame: pandas.DataFrame
    note: str = ""
    long: bool = False


@dataclass(frozen=True, eq=False)
class Figure:
    """One picture, drawn from its data by `report.plots`.

    Parameters
    ----------
    name : stem of a file, lower case with hyphens, unique within a report.
    caption : what is to be seen, in words; it is also the text for those who do not see the picture.
    kind : one of `report.plots.KINDS`.
    data : what that kind asks for.
    """

    name: str
    caption: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Section:
    """One part of a report.

    Parameters
    ----------
    key : stem of its anchor and prefix of its files, lower case with hyphens.
    title : in words.
    sentences : what was found, each a full sentence that can be quoted.
    warnings : what forbids to read the figures at their face value; shown before everything else.
    """

    key: str
    title: str
    sentences: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = field(default=())
