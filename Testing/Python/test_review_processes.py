"""Several people at once, processes that are killed, and disks that are full."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import review_cases as cases

from CSpineSegLib import anatomy, files, volume
from CSpineSegLib.review import derived, masks, records, revisions

ROUNDS, TOGETHER = 20, 3
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="makes its processes by fork, which this system lacks")


def begin(children) -> None:
    for child in children:
        assert child.stdout.readline().strip() == "ready"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()


def end(children) -> None:
    for child in children:
        if child.poll() is None:
            child.kill()
        child.communicate()


def check_disk(exam, known: dict[str, str]) -> None:
    """Every JSON describes a whole mask, what was good before is unchanged, and the corrected mask is a good one."""
    accepted = set()
    for path in exam.revisions_folder.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        mask = path.with_name(content["mask"]["file"])
        assert files.sha256(mask) == content["mask"]["sha256"]
        volume.read_mask(mask, anatomy.LABELS)
        if content["status"] == "accepted":
            accepted.add(content["mask"]["sha256"])
        for member in (path, mask):
            digest = files.sha256(member)
            assert known.setdefault(member.name, digest) == digest
    assert {name for name in known if (exam.revisions_folder / name).is_file()} == set(known)
    if exam.corrected_mask.is_file():
        assert files.sha256(exam.corrected_mask) in accepted
    if exam.metrics_path.is_file():
        json.loads(exam.metrics_path.read_text(encoding="utf-8"))


def age(folder: Path) -> None:
    """Make all files two hours old."""
    then = time.time() - 7200
    for path in folder.rglob("*"):
        os.utime(path, (then, then))


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@needs_fork
def test_kill_at_any_moment_leaves_the_last_good_revision_and_no_half_file_that_counts(tmp_path):
    exam = cases.make_exam(tmp_path)
    chance = random.Random(20)
    known: dict[str, str] = {}
    nursery = cases.start("loop", tmp_path)
    try:
        begin([nursery])
        for round_ in range(ROUNDS):
            # A save of our own tells how long one takes on this machine now, so that the kills fall into the saves.
            begun = time.perf_counter()
            good = cases.save(exam, 4000 + round_)
            taken = time.perf_counter() - begun
            nursery.stdin.write("".join(f"{100 * round_ + 1000 * index}\n" for index in range(TOGETHER)))
            nursery.stdin.flush()
            victims = [int(nursery.stdout.readline()) for _ in range(TOGETHER)]
            for victim in victims:
                time.sleep(chance.uniform(0.0, 4.0 * taken))
                os.kill(victim, signal.SIGKILL)
            while any(map(is_alive, victims)):
                time.sleep(0.001)
            check_disk(exam, known)
            numbers = [revision.number for revision in records.history(exam)]
            assert len(numbers) == len(list(exam.revisions_folder.glob("*.json"))) == len(known) // 2
            assert good in records.history(exam)
            assert masks.best_mask(exam).revision.number >= good.number
    finally:
        end([nursery])
    assert len(numbers) > ROUNDS
    saved = cases.save(exam, 77)
    assert saved.number > max(numbers)
    assert files.sha256(exam.corrected_mask) == saved.sha256
    age(exam.processed)
    revisions.sweep(exam)
    assert not list(exam.processed.rglob("*.cspineseg-tmp"))
    check_disk(exam, known)
    assert all("interrupted" in sentence for sentence in derived.problems(exam))
    print(f"{len(numbers)} revisions, {len(derived.problems(exam))} interrupted saves that do not count")


@needs_fork
def test_a_save_that_dies_at_any_single_step_loses_nothing(tmp_path):
    first = cases.save(cases.make_exam(tmp_path / "0"), 1)
    child = cases.start("crash", tmp_path)
    begin([child])
    answers = [json.loads(line) for line in child.communicate()[0].splitlines()]
    codes = [answer["code"] for answer in answers]
    assert len(codes) > 30 and codes[-1] == 0 and set(codes[:-1]) == {9}
    outcomes = set()
    for answer in answers:
        exam = cases.open_exam(tmp_path / str(answer["step"]))
        known: dict[str, str] = {}
        check_disk(exam, known)
        history = records.history(exam)
        assert history[0].sha256 == first.sha256
        assert [revision.number for revision in history] in ([1], [1, 2])
        claimed = exam.revision(2).exists()
        outcomes.add((claimed, len(history) == 2))
        derived.refresh(exam)
        assert files.sha256(exam.corrected_mask) == history[-1].sha256
        assert cases.save(exam, 3).number == (3 if claimed else 2)
        check_disk(exam, known)
    # Nothing there yet, a claim or a mask without JSON, and the whole revision: the steps reached each of them.
    assert outcomes == {(False, False), (True, False), (True, True)}


def test_eight_processes_saving_at_once_make_24_revisions_and_lose_none(tmp_path):
    exam = cases.make_exam(tmp_path)
    children = [cases.start("count", tmp_path, 100 * index, 3) for index in range(8)]
    try:
        begin(children)
        answers = [json.loads(line) for child in children for line in child.communicate(timeout=400)[0].splitlines()]
    finally:
        end(children)
    history = records.history(exam)
    assert [revision.number for revision in history] == list(range(1, 25))
    drawn = {answer["number"]: answer["seed"] for answer in answers}
    assert sorted(drawn) == list(range(1, 25))
    for revision in history:
        array = volume.read_mask(revision.mask).array
        assert (array == cases.labels(drawn[revision.number])).all()
    assert files.sha256(exam.corrected_mask) == history[-1].sha256
    stated = json.loads(exam.metrics_path.read_text(encoding="utf-8"))
    assert [entry["revision"] for entry in stated["revisions"]] == list(range(1, 25))
    assert derived.problems(exam) == []
    # All began from the source mask before anybody saved, so each hears of the others' revisions and not of his own.
    readers = [revision.annotator for revision in history]
    assert {answer["number"]: answer["raced"] for answer in answers} == {
        number: any(earlier != reader for earlier in readers[: number - 1]) for number, reader in enumerate(readers, 1)
    }
    assert not list(exam.processed.rglob("*.cspineseg-tmp"))


def limited(folder: Path, size: int) -> dict:
    child = cases.start("limit", folder, size)
    try:
        begin([child])
        return json.loads(child.communicate(timeout=400)[0])
    finally:
        end([child])


@pytest.mark.skipif(os.name == "nt", reason="RLIMIT_FSIZE exists on POSIX systems only")
@pytest.mark.parametrize("size", [0, 40, 1000], ids=["nothing fits", "half the mask fits", "the JSON does not fit"])
def test_a_disk_that_takes_no_more_gives_one_sentence_and_nothing_is_written(tmp_path, size):
    exam = cases.make_exam(tmp_path)
    first = cases.save(exam, 1)
    assert 40 < first.mask.stat().st_size < 1000 < first.record.stat().st_size
    before = cases.tree(tmp_path)
    answer = limited(tmp_path, size)
    assert answer["kind"] == "WriteError"
    assert "could not be written" in answer["error"] and "free space" in answer["error"]
    assert cases.tree(tmp_path) == before
    assert derived.problems(exam) == []
