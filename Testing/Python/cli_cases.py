"""The command line as the tests of commands run it: in this process, with what it printed and how it ended."""

from __future__ import annotations

import pytest

from CSpineSegLib.cli import main

Answer = tuple[int, str, str]


def ask(capsys: pytest.CaptureFixture[str], *words: object) -> Answer:
    """Run a command; returns (exit code, standard output, standard error)."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def said(capsys):
    """A function that runs the command of its words, see :func:`ask`."""
    return lambda *words: ask(capsys, *words)


def refused(answer: Answer) -> str:
    """The one sentence with which a command refused, which is checked to be one."""
    code, out, err = answer
    lines = [line for line in err.splitlines() if line.startswith("cspineseg: ")]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert lines[0].endswith(".")
    assert "Traceback" not in err
    return lines[0]


def cells(out: str) -> list[list[str]]:
    """The rows of the first table that was printed, its header first."""
    return [line.split("\t") for line in out.split("\n\n")[0].splitlines()]
