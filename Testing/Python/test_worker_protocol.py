"""What is said to a worker and by it: every line is answered, none of them ends it, and the page about it is true."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from module_helpers import quick_model, quick_models  # noqa: F401  (fixtures)

from CSpineSegLib import jobs
from CSpineSegLib.errors import (
    Cancelled,
    GeometryError,
    GraphicsMemoryError,
    InputError,
    ModelError,
    OrientationError,
    Refused,
    WriteError,
)
from CSpineSegLib.jobs.worker import memory, process, protocol
from CSpineSegLib.jobs.worker.server import Server
from CSpineSegLib.model.plausibility import NotCervicalError

PAGE = Path(__file__).resolve().parents[2] / "Docs" / "worker.md"
EXAM = {"stem": "x", "image": "/x.nii.gz", "processed": "/out"}


class Heard:
    """In place of a pipe."""

    def __init__(self) -> None:
        self.messages: list[dict] = []

    def send(self, message: dict) -> None:
        self.messages.append(json.loads(protocol.encode(message)))


@pytest.fixture
def server(tmp_path):
    return Server(Heard(), tmp_path / "scratch")


def answer(server: Server, line: bytes | None) -> dict:
    server.answer(line)
    return server._sink.messages.pop()


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "id", "expected"),
    [
        (b"{", None, "not JSON"),
        (b"\xff\xfe{}", None, "not JSON"),
        (b'{"id": 1, "command": "status"} {}', None, "not JSON"),
        (b"[" * 100_000, None, "not JSON"),
        (b'{"id": NaN, "command": "status"}', None, "not JSON"),
        (b'{"id": ' + b"9" * 10_000 + b', "command": "status"}', None, "not JSON"),
        (b"[1, 2]", None, "not an object"),
        (b'"status"', None, "not an object"),
        (None, None, "longer than 16777216 bytes"),
        (line(command="status"), None, "'id'"),
        (line(id=True, command="status"), None, "'id'"),
        (line(id=[1], command="status"), None, "'id'"),
        (line(id="x" * 201, command="status"), None, "'id'"),
        (line(id=1), 1, "no command None"),
        (line(id=1, command="dance"), 1, "no command 'dance'; choose one of hello"),
        (line(id=1, command=["status"]), 1, "no command"),
        (line(id=1, command="status", protocol=2), 1, "Protocol 2 is not spoken here, only 1"),
        (line(id=1, command="status", protocol=True), 1, "Protocol True"),
        (line(id="é", command="status", colour=1), "é", "no field 'colour'; it has none"),
        (line(id=1, command="load"), 1, "needs the field 'model'"),
        (line(id=1, command="import"), 1, "needs the field 'source'"),
        (line(id=1, command="import", source="a.zip", orientation=["PSR"]), 1, "'orientation' cannot be"),
        (line(id=1, command="load", model=3), 1, "'model' cannot be 3"),
        (line(id=1, command="segment", model="m"), 1, "either an 'exam'"),
        (line(id=1, command="segment", model="m", image="a"), 1, "either an 'exam'"),
        (line(id=1, command="segment", model="m", exam=EXAM, image="a", output="b"), 1, "either an 'exam'"),
        (line(id=1, command="segment", model="m", exam={"stem": "x"}), 1, "needs the field 'image'"),
        (line(id=1, command="segment", model="m", exam={**EXAM, "age": 3}), 1, "no field 'age'"),
        (line(id=1, command="segment", model="m", exam=EXAM, quality=True), 1, "'output'"),
        (line(id=1, command="segment", model="m", exam=EXAM, anyway=1), 1, "'anyway' cannot be 1"),
        (line(id=1, command="segment", model="m", exam=EXAM, device=None), 1, "'device' cannot be None"),
        (line(id=1, command="segment", model="m", exam=EXAM, run={"mode": 3}), 1, "'mode' cannot be 3"),
        (line(id=1, command="segment", model="m", exam=EXAM, run={"step": 3}), 1, "no field 'step'"),
        (line(id=1, command="segment", model="m", exam=EXAM, run={"folds": [0.5]}), 1, "list of numbers"),
        (line(id=1, command="prefetch", images=[1]), 1, "list of file names"),
        (line(id=1, command="cancel"), 1, "needs the field 'job'"),
    ],
)
def test_what_is_no_request_is_answered_with_one_sentence_and_nothing_is_queued(server, text, id, expected):
    said = answer(server, text)
    assert (said["type"], said["kind"], said["id"], said["anyway"]) == ("error", "request", id, False)
    assert expected in said["sentence"] and said["sentence"].endswith(".") and len(said["sentence"]) < 400
    status = answer(server, line(id=2, command="status"))
    assert (status["job"], status["queued"]) == (None, [])


def test_empty_lines_are_passed_over_and_an_id_is_used_once_at_a_time(server):
    server.answer(b"  \r")
    assert server._sink.messages == []
    server.answer(line(id="a", command="load", model="m"))
    assert "already" in answer(server, line(id="a", command="load", model="m"))["sentence"]
    assert answer(server, line(id=2, command="status"))["queued"] == ["a"]
    server.answer(line(id=3, command="cancel", job="a"))
    assert [(said["type"], said["id"]) for said in server._sink.messages] == [("result", 3), ("cancelled", "a")]
    answer(server, line(id=4, command="shutdown"))
    assert "takes no more jobs" in answer(server, line(id=5, command="load", model="m"))["sentence"]
    assert server.work() == protocol.DONE


def test_lines_come_whole_whatever_the_pieces_and_one_that_is_too_long_is_thrown_away():
    text = b"one\ntwo\n" + b"x" * 50 + b"\n\nlast\ncut off"
    expected = [b"one", b"two", None, b"", b"last"]
    for size in (1, 2, 3, 7, 1000):
        pieces = iter([text[start : start + size] for start in range(0, len(text), size)] + [b""])
        assert list(protocol.lines(lambda pieces=pieces: next(pieces), longest=20)) == expected


@pytest.mark.parametrize(
    "error", [InputError, GeometryError, ModelError, GraphicsMemoryError, OrientationError, WriteError]
)
def test_an_error_comes_out_as_it_went_in(error):
    said = {"type": "error", **json.loads(protocol.encode(protocol.failure(error("x is wrong; do y."))))}
    back = protocol.error_of(said)
    assert (type(back), str(back), said["anyway"]) == (error, "x is wrong; do y.", False)


def test_a_refusal_says_that_it_can_be_done_anyway():
    from CSpineSegLib.jobs.batch import sentence
    from CSpineSegLib.model.checks import ANYWAY

    refusal = NotCervicalError(f"a.nii.gz: this does not look like a neck; {ANYWAY}.")
    said = {"type": "error", **protocol.failure(refusal)}
    assert said["anyway"] and said["kind"] == "refused" and "--anyway" not in said["sentence"]
    back = protocol.error_of(said)
    assert isinstance(back, Refused) and sentence(back) == str(refusal)
    assert isinstance(protocol.error_of({"type": "cancelled"}), Cancelled)


def test_what_no_user_caused_has_a_sentence_too():
    assert protocol.failure(MemoryError())["kind"] == "memory"
    said = protocol.failure(KeyError("x"))
    assert said["kind"] == "unexpected" and "KeyError" in said["sentence"]


def test_the_memory_of_a_process_is_told():
    before = memory.usage()
    held = bytearray(b"x") * (64 << 20)
    after = memory.usage()
    if before["resident"] is not None:
        assert 5 << 20 < before["resident"] <= before["peak"]
        assert after["resident"] - before["resident"] > len(held) // 2
    assert after["peak"] >= before["peak"] > 0


def examples() -> list[tuple[dict | None, list[dict]]]:
    """The page's example: each request, None before the first, with the answers to it."""
    block = re.search(r"## An example.*?```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    found: list[tuple[dict | None, list[dict]]] = [(None, [])]
    for text in block.splitlines():
        if text.startswith("> "):
            found.append((json.loads(text[2:]), []))
        else:
            found[-1][1].append(json.loads(text.removeprefix("< ")))
    return found


def shape(value: object) -> object:
    """The names in a message; its texts, numbers and lists may be others."""
    return {name: shape(inner) for name, inner in value.items()} if isinstance(value, dict) else None


@pytest.mark.usefixtures("quick_model")
def test_the_example_of_the_page_is_what_happens(sample_dataset, tmp_path):
    image = tmp_path / "neck.nii.gz"
    image.write_bytes(sample_dataset.exams()[0].image.read_bytes())
    worker = subprocess.Popen(
        [sys.executable, "-m", "CSpineSegLib.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=process.environment(),
    )
    with worker:
        for request, expected in examples():
            if request is not None:
                text = json.dumps(request).replace("/data/", json.dumps(f"{tmp_path}/")[1:-1])
                worker.stdin.write(text.encode("utf-8") + b"\n")
                worker.stdin.flush()
            heard = [json.loads(worker.stdout.readline())]
            while heard[-1]["type"] == "event":
                heard.append(json.loads(worker.stdout.readline()))
            *events, last = expected
            stages = [message["stage"] for message in heard[:-1]]
            assert {event["stage"] for event in events} <= set(stages)
            assert all(shape(event) == shape(heard[0]) for event in events)
            assert shape(last) == shape(heard[-1]) or request["command"] == "prefetch"
            fixed = ("type", "id", "protocol", "commands", "limits", "kind", "anyway", "found", "job", "queued", "done")
            for name in fixed:
                assert last.get(name) == heard[-1].get(name)
            if last["type"] == "error":
                said = heard[-1]["sentence"].replace(str(tmp_path), "/data")
                assert said == last["sentence"]
        assert worker.stdout.read() == b""
        assert worker.wait(20) == protocol.DONE
    assert not Path(heard[0].get("scratch", tmp_path / "gone")).exists()


def test_the_page_names_every_command_kind_and_exit_code():
    text = PAGE.read_text(encoding="utf-8")
    kinds = {kind for _, kind in protocol._KINDS} | {"request", "refused", "unexpected"}
    assert all(f"`{name}`" in text for name in (*protocol.COMMANDS, *kinds))
    assert all(f"| {code} |" in text for code in (protocol.DONE, protocol.FORCED, protocol.ORPHANED))
    assert f"protocol **{protocol.VERSION}**" in text
    options = {name for name in vars(jobs.Options())} | {"model", "quality", "exam", "image", "output"}
    assert set(protocol.COMMANDS["segment"][0]) == options


@pytest.mark.usefixtures("quick_model")
def test_a_worker_outlives_lines_that_are_long_broken_or_binary(tmp_path):
    said = b"".join(
        [
            b'{"id": 1, "command": "prefetch", "images": ["' + b"x" * (1 << 20) + b'"]}\n',
            b"y" * ((16 << 20) + 1) + b"\n",
            os.urandom(1 << 16).replace(b"\n", b"") + b"\n",
            b'{"id": 2, "command": "status"}\n',
        ]
    )
    worker = [sys.executable, "-m", "CSpineSegLib.worker"]
    done = subprocess.run(worker, input=said, capture_output=True, env=process.environment(), check=False, timeout=60)
    heard = [json.loads(text) for text in done.stdout.splitlines()]
    assert done.returncode == protocol.ORPHANED
    assert [message["type"] for message in heard if message.get("id") != 1] == ["hello", "error", "error", "result"]
    assert done.stderr == b""
