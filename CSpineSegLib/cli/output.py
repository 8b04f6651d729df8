"""What people and programs see: tables, progress, JSON."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..progress import Event, Progress, for_program


def print_json(content: Any) -> None:
    """One JSON document on the standard output, without NaN."""
    print(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_error(line: str) -> None:
    """A line on the standard error stream, from any thread."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table for people; tab-separated lines with a header when the output is piped."""
    cells = [["" if value is None else str(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        for line in (list(columns), *cells):
            print("\t".join(line))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in cells:
        table.add_row(*line)
    Console().print(table)


def rounded(value: float, spread: float) -> tuple[str, str]:
    """A value and how uncertain it is, both to the place that the uncertainty leaves, never in powers of ten.

    The uncertainty has two digits if its first three are below 355, else one, as the Particle Data Group writes them;
    without any uncertainty the value has four digits.

    Examples
    --------
    >>> rounded(3612.34, 364.2)
    ('3600', '400')
    >>> rounded(14.0261, 0.5812)
    ('14.0', '0.6')
    """
    size = abs(spread) or abs(value)
    exponent = math.floor(math.log10(size)) if size else 0
    digits = 4 if not spread else 2 if round(size / 10.0 ** (exponent - 2)) < 355 else 1
    # 950 to 999 become 1000, and are written as that is.
    if spread and round(size / 10.0 ** (exponent - 2)) >= 950:
        exponent, digits = exponent + 1, 2
    decimals = digits - 1 - exponent
    # 0.0 is added so that nothing is minus nothing.
    texts = [f"{round(number, decimals) + 0.0:.{max(decimals, 0)}f}" for number in (value, abs(spread))]
    return texts[0], texts[1]


def print_pairs(title: str, pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one a line, under a title; tab-separated and without the title when the output is piped."""
    pairs = [(str(name), "" if value is None else str(value)) for name, value in pairs]
    if not sys.stdout.isatty():
        for name, value in pairs:
            print(f"{name}\t{value}")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False)
    for pair in pairs:
        table.add_row(*pair)
    Console().print(table)


@contextmanager
def shown_progress(events: bool = False, quiet: bool = False) -> Iterator[Progress]:
    """Progress on the standard error stream: a bar on a terminal, a line per stage when piped.

    Parameters
    ----------
    events : one JSON line per event instead, and cancel when the standard input is closed; this is how another
        program (Slicer, say) follows a job and stops it.
    quiet : show nothing.
    """
    if events:
        yield for_program()
    elif quiet:
        yield Progress()
    elif sys.stderr.isatty():
        yield from _bar()
    else:
        yield Progress(_StageLines())


def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def report(event: Event) -> None:
            text = f"{event.stage.capitalize()} {event.message}".strip()
            bar.update(task, description=text, completed=event.fraction)

        yield Progress(report)


class _StageLines:
    """One plain line whenever the stage changes, and none for each slice, so that a log stays short."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, event: Event) -> None:
        text = event.stage.capitalize()
        if text != self._last:
            self._last = text
            print(f"{event.fraction:4.0%} {text}", file=sys.stderr, flush=True)


def print_warnings(sentences: Sequence[str], most: int = 5) -> None:
    """Sentences about what was noticed, on the standard error stream, the first few of many."""
    for sentence in sentences[:most]:
        print(f"Note: {sentence}", file=sys.stderr)
    if len(sentences) > most:
        print(f"Note: {len(sentences) - most} more; 'cspineseg doctor' lists all.", file=sys.stderr)
