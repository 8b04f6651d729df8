"""How long lists are told in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3


def some(things: Sequence[object]) -> str:
    """The first few of many, in order and with the number of the rest.

    >>> some(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    text = ", ".join(map(str, things[:SHOWN]))
    rest = len(things) - SHOWN
    return f"{text} and {rest} more" if rest > 0 else text
