"""What documents consist of, for the tests that hold them to the code: links, blocks of code, commands, named tests."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS_SLICER = "**Needs Slicer**"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")


@dataclass(frozen=True)
class Block:
    """A fenced block of code: its language, its text, and whether the document says that it needs Slicer."""

    language: str
    text: str
    needs_slicer: bool


@dataclass(frozen=True)
class Document:
    """A Markdown file of this repository."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> list[Block]:
        """The blocks of code in these languages, or all of them, in order."""
        found = []
        for match in _FENCE.finditer(self.text):
            before = self.text[: match.start()].rstrip().rpartition("\n")[2]
            if not languages or match[1] in languages:
                found.append(Block(match[1], match[2], before == NEEDS_SLICER))
        return found

    def inline(self) -> list[str]:
        """What stands between backticks in the prose, on one line each."""
        return [" ".join(text.split()) for text in _INLINE.findall(self.prose)]

    def links(self) -> list[str]:
        """Where its links and pictures lead."""
        return [link or picture for link, picture in _LINK.findall(_INLINE.sub("", self.prose))]

    def anchors(self) -> set[str]:
        """The names by which its headings are linked to."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def section(self, heading: str) -> str:
        """The text below a heading, up to the next one of its kind or above; KeyError if there is none."""
        match = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^#{{1,2}} |\Z)", self.text, re.MULTILINE | re.DOTALL)
        if match is None:
            raise KeyError(f"{self} has no heading {heading!r}")
        return match[2]

    def commands(self, program: str) -> list[list[str]]:
        """The words after `program` wherever a command begins with it, in blocks and between backticks."""
        return [words[1:] for words in self._commands() if words[0].rpartition("/")[2] == program]

    def modules(self) -> list[tuple[str, list[str]]]:
        """(module, words) of each `python -m module words`."""
        return [(words[2], words[3:]) for words in self._commands() if words[:2] == ["python", "-m"] and words[2:]]

    def _commands(self) -> Iterator[list[str]]:
        lines = [line for block in self.blocks("sh") for line in block.text.replace("\\\n", " ").splitlines()]
        for line in [*lines, *self.inline()]:
            try:
                words = shlex.split(line, comments=True)
            except ValueError:
                continue
            for end in [index for index, word in enumerate(words) if word in (">", "2>")]:
                words = words[:end]
            if words:
                yield words


def documents() -> list[Document]:
    """The README and all pages of Docs."""
    return [Document(ROOT / "README.md"), *map(Document, sorted((ROOT / "Docs").rglob("*.md")))]


def rows(section: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines[2:]]


def all_tests() -> dict[str, set[str]]:
    """The tests of this repository: {file: {test}}, those of classes as Class::test too."""
    found = {}
    for folder in (ROOT / "Testing" / "Python", ROOT / "CSpineSeg" / "Testing" / "Python"):
        for path in folder.glob("test_*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            found[path.name] = {name for name in names if name.startswith("test")}
    return found
