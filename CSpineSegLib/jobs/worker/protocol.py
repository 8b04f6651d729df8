"""What a worker and whoever started it say to each other: JSON lines, described in Docs/worker.md."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ...errors import (
    Cancelled,
    CSpineSegError,
    GeometryError,
    GraphicsMemoryError,
    InputError,
    ModelError,
    OrientationError,
    Refused,
    WriteError,
)
from ...model.checks import ANYWAY

VERSION = 1
# Of a request. A longer line is thrown away unread, so that nothing that is sent can fill the memory.
LINE_BYTES = 16 << 20
# Exit codes: all jobs done and told to end; a cancelled job had to be ended by force; the other side went away.
DONE, FORCED, ORPHANED = 0, 3, 4
# A job that was cancelled has this long to stop by itself, and its files that long to be put in place.
COOPERATIVE_SECONDS, WRITING_SECONDS = 0.7, 0.1

_TEXT, _YES, _MAYBE = (str,), (bool,), (bool, type(None))
_HOW = {
    "model": _TEXT,
    "device": _TEXT,
    "engine": _TEXT,
    "anyway": _YES,
    "clean": _MAYBE,
    "force": _YES,
    "run": (dict, type(None)),
    "quality": _YES,
}
# Command -> its fields, each with the types that it may have, and those that cannot be left out.
COMMANDS: dict[str, tuple[dict[str, tuple[type, ...]], tuple[str, ...]]] = {
    "hello": ({}, ()),
    "status": ({}, ()),
    "load": ({name: _HOW[name] for name in ("model", "device", "engine")}, ("model",)),
    "segment": ({"exam": (dict,), "image": _TEXT, "output": _TEXT, **_HOW}, ("model",)),
    "import": ({"source": _TEXT, "orientation": (str, type(None))}, ("source",)),
    "prefetch": ({"images": (list,)}, ("images",)),
    "cancel": ({"job": (str, int)}, ("job",)),
    "shutdown": ({}, ()),
}
_EXAM = {"stem": _TEXT, "image": (str, type(None)), "mask": (str, type(None)), "processed": _TEXT}
_RUN = {
    "mode": _TEXT,
    "configuration": (str, type(None)),
    "folds": (list, type(None)),
    "mirror": _YES,
}

# The first that fits tells the kind of an error.
_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (GeometryError, "geometry"),
    (InputError, "input"),
    (GraphicsMemoryError, "graphics memory"),
    (OrientationError, "orientation"),
    (ModelError, "model"),
    (WriteError, "write"),
    (CSpineSegError, "other"),
    (MemoryError, "memory"),
)
NO_MEMORY = "There is not enough main memory for this exam; close other programs or take a smaller image."


class RequestError(CSpineSegError):
    """A line that is no request; `id` is the request's own, as far as it could be read."""

    def __init__(self, sentence: str, id: str | int | None = None) -> None:
        super().__init__(sentence)
        self.id = id


@dataclass(frozen=True)
class Request:
    """What is asked: a command, its fields, and the id with which every answer to it is marked."""

    id: str | int
    command: str
    fields: dict[str, Any]


def encode(message: dict[str, Any]) -> bytes:
    """One line; pure ASCII, so that no stream's encoding matters."""
    return json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The JSON object of a line; RequestError if it is none."""
    try:
        message = json.loads(line.decode("utf-8"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise RequestError("The line is not JSON in UTF-8; send one JSON object a line.") from None
    if not isinstance(message, dict):
        raise RequestError("The line is JSON, but not an object; send one JSON object a line.")
    return message


def parse(line: bytes) -> Request:
    """The request of a line; RequestError says what cannot be used."""
    message = decode(line)
    id = message.pop("id", None)
    if not _is(id, (str, int)) or len(str(id)) > 200:
        raise RequestError("A request needs an 'id', a whole number or a text of up to 200 characters.")
    version = message.pop("protocol", VERSION)
    if not _is(version, (int,)) or version != VERSION:
        raise RequestError(f"Protocol {_short(version)} is not spoken here, only {VERSION}.", id)
    command = message.pop("command", None)
    if not isinstance(command, str) or command not in COMMANDS:
        raise RequestError(f"There is no command {_short(command)}; choose one of {', '.join(COMMANDS)}.", id)
    known, needed = COMMANDS[command]
    _check(message, known, needed, f"The command '{command}'", id)
    if command == "segment":
        _check_segment(message, id)
    if command == "prefetch" and not all(isinstance(path, str) for path in message["images"]):
        raise RequestError("'images' is a list of file names.", id)
    return Request(id, command, message)


def _check_segment(fields: dict[str, Any], id: str | int) -> None:
    if ("exam" in fields) == ("image" in fields) or ("image" in fields) != ("output" in fields):
        raise RequestError("'segment' takes either an 'exam', or an 'image' and its 'output'.", id)
    if "exam" in fields:
        _check(fields["exam"], _EXAM, ("stem", "image", "processed"), "An 'exam'", id)
        if "quality" in fields:
            raise RequestError("'quality' goes with 'output'; exams have theirs written in any case.", id)
    run = fields.get("run")
    if run is not None:
        _check(run, _RUN, (), "A 'run'", id)
        if not all(_is(fold, (int, str)) for fold in run.get("folds") or ()):
            raise RequestError("'folds' is a list of numbers.", id)


def _check(
    fields: dict[str, Any], known: dict[str, tuple[type, ...]], needed: tuple[str, ...], who: str, id: str | int
) -> None:
    for name, value in fields.items():
        if name not in known:
            raise RequestError(f"{who} has no field {_short(name)}; it has {', '.join(known) or 'none'}.", id)
        if not _is(value, known[name]):
            raise RequestError(f"The field '{name}' cannot be {_short(value)}.", id)
    for name in needed:
        if name not in fields:
            raise RequestError(f"{who} needs the field '{name}'.", id)


def _is(value: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _no_number(name: str) -> Any:
    raise ValueError(name)


def failure(error: BaseException) -> dict[str, Any]:
    """What is said of an error: its kind, its sentence, and whether `anyway` would help."""
    sentence = str(error)
    if isinstance(error, CSpineSegError) and sentence.endswith(f"; {ANYWAY}."):
        return {"kind": "refused", "sentence": sentence.removesuffix(f"; {ANYWAY}.") + ".", "anyway": True}
    kind = "request" if isinstance(error, RequestError) else None
    kind = kind or next((name for known, name in _KINDS if isinstance(error, known)), "unexpected")
    if kind == "memory":
        sentence = NO_MEMORY
    elif kind == "unexpected":
        sentence = f"An unexpected error stopped this exam ({type(error).__name__}: {error})."
    return {"kind": kind, "sentence": sentence, "anyway": False}


def error_of(message: dict[str, Any]) -> Exception:
    """The exception for an answer that is no result; :class:`Refused` if `anyway` would help."""
    if message["type"] == "cancelled":
        return Cancelled("Cancelled by the user; what was finished before is kept.")
    known = {name: kind for kind, name in _KINDS if issubclass(kind, CSpineSegError)}
    known["refused"] = Refused
    return known.get(message["kind"], CSpineSegError)(message["sentence"])


def lines(read: Callable[[], bytes], longest: int = LINE_BYTES) -> Iterator[bytes | None]:
    """The lines of a stream that is read in pieces, until it ends; None for one that is too long.

    What follows the last line's end was cut off and is no line.
    """
    held, size, skipping = [], 0, False
    while piece := read():
        *ended, rest = piece.split(b"\n")
        for part in ended:
            if skipping or size + len(part) > longest:
                yield None
            else:
                yield b"".join([*held, part])
            held, size, skipping = [], 0, False
        size += len(rest)
        if size > longest:
            held, skipping = [], True
        elif rest:
            held.append(rest)
