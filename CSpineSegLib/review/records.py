"""Revisions as they lie on disk: which are complete, which are damaged or half, and what their JSON says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import files
from ..dataset.exam import Exam
from ..errors import InputError
from . import places

STATUSES = ("unreviewed", "in review", "accepted", "rejected")
SOURCES = ("gold", "silver", "unknown")
FORMAT = "cspineseg-revision"


@dataclass(frozen=True)
class Revision:
    """A complete revision.

    Parameters
    ----------
    number : 1 and up; a later one has a higher number, and numbers may have gaps.
    mask, record : its mask and its JSON.
    content : the JSON's content.
    warnings : sentences for the user, only on what :func:`revisions.save` returns.
    overlapping : numbers of other people's revisions that this one was not made from, likewise only from `save`.
    """

    number: int
    mask: Path
    record: Path
    content: Mapping[str, Any] = field(repr=False, hash=False, compare=False)
    warnings: tuple[str, ...] = field(default=(), compare=False)
    overlapping: tuple[int, ...] = field(default=(), compare=False)

    @property
    def status(self) -> str:
        return self.content["status"]

    @property
    def annotator(self) -> str:
        return self.content["annotator"]

    @property
    def saved(self) -> datetime:
        """When it was written (UTC)."""
        return parse_time(self.content["saved"])

    @property
    def sha256(self) -> str:
        """SHA-256 of the mask."""
        return self.content["mask"]["sha256"]

    @property
    def blind(self) -> bool:
        return bool(self.content["blind"])

    @property
    def raced(self) -> bool:
        """True if someone else saved meanwhile: neither revision contains the other's work."""
        return bool(self.overlapping)


def history(exam: Exam) -> list[Revision]:
    """All complete revisions, oldest first: the JSON is there and the mask has the SHA-256 that it states."""
    loaded = map(load, places.revisions_of(exam).values())
    return [revision for revision in loaded if isinstance(revision, Revision)]


def latest(exam: Exam) -> Revision | None:
    """The complete revision with the highest number, whatever its status."""
    return next(reversed(history(exam)), None)


def latest_accepted(exam: Exam) -> Revision | None:
    """The accepted revision that counts, see :func:`newest_accepted`; a later one that is not accepted leaves it so."""
    return newest_accepted(history(exam))


def newest_accepted(revisions: list[Revision]) -> Revision | None:
    """The accepted revision that counts, among those of one exam with the oldest first; None if there is none.

    A blind reading is a second opinion, so it never takes the place of another accepted mask: the newest accepted
    revision that is not blind counts. Only without one do blind readings count, and then the newest accepted one of
    the reader whose blind reading was accepted first.
    """
    accepted = [revision for revision in revisions if revision.status == "accepted"]
    informed = [revision for revision in accepted if not revision.blind]
    if informed or not accepted:
        return informed[-1] if informed else None
    return [revision for revision in accepted if revision.annotator == accepted[0].annotator][-1]


def known_hashes(exam: Exam) -> set[str]:
    """SHA-256 of every mask that a revision's JSON vouches for, whether or not that revision is still whole.

    With the masks themselves, these are the files that were edited outside and taken over as revisions.
    """
    known = set()
    for found in places.revisions_of(exam).values():
        try:
            content = files.read_json(found.record) if found.record is not None else None
        except InputError:
            continue
        if _is_valid(content):
            known |= {content["mask"]["sha256"], content.get("taken_from_sha256")}
    return known - {None}


def incomplete(exam: Exam) -> list[str]:
    """A sentence for each revision that does not count. Nothing is ever deleted here: it may hold drawn voxels."""
    loaded = map(load, places.revisions_of(exam).values())
    return [sentence for sentence in loaded if isinstance(sentence, str) and sentence]


def load(found: places.Found, *, verify: bool = True) -> Revision | str:
    """The revision, or a sentence why it does not count; the sentence is empty while a save may still be under way.

    verify : compare the mask's SHA-256; else only its size, which is what a table of thousands can afford.
    """
    if found.record is None:
        if time.time() - found.modified < files.STALE_SECONDS:
            return ""
        if found.size == 0:
            return f"{found.mask} is empty: its save was interrupted before anything was written, so it does not count."
        return (
            f"{found.mask} has no JSON: its save was interrupted, so it does not count; "
            "open it and save it again to keep what was drawn."
        )
    try:
        content = files.read_json(found.record)
    except InputError as error:
        return f"{error} Its revision does not count; restore it, or open its mask and save it again."
    if not _is_valid(content):
        return f"{found.record} does not describe a revision; restore it, or open its mask and save it again."
    if found.mask is None:
        return f"{found.record} describes a mask that is missing, so it does not count; restore the mask beside it."
    stated = content["mask"]
    if found.size != stated["bytes"] or (verify and _hash(found.mask) != stated["sha256"]):
        return (
            f"{found.mask} is not the file that {found.record.name} describes (its SHA-256 differs), so it does not "
            "count; restore it from a backup, or open it and save it again."
        )
    return Revision(found.number, found.mask, found.record, content)


def format_time(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds; InputError for a time without a time zone."""
    if moment.tzinfo is None:
        raise InputError(f"The time {moment} has no time zone; give it in UTC.")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """A time that :func:`format_time` wrote; ValueError for anything else, a time without a zone included."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return moment


def _hash(path: Path) -> str | None:
    try:
        return files.sha256(path)
    except OSError:
        return None


def _is_valid(content: Any) -> bool:
    """Whether a JSON has what a :class:`Revision` reads from it."""
    try:
        parse_time(content["saved"])
        return (
            content["format"] == FORMAT
            and content["status"] in STATUSES
            and isinstance(content["annotator"], str)
            and isinstance(content["mask"]["sha256"], str)
            and isinstance(content["mask"]["bytes"], int)
            and "blind" in content
        )
    except (KeyError, TypeError, ValueError):
        return False
