"""Exams that are segmented in the background: in order, after what the user waits for, and without stopping at one."""

from __future__ import annotations

import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from segmenting_cases import open_workplace, polled, settle, slow_workplaces
from worker_cases import nothing_left, posix  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model
from CSpineSegLib.review import masks
from CSpineSegLib.workplace import ahead

pytestmark = pytest.mark.usefixtures("quick_model", "nothing_left")
workplace = pytest.fixture(open_workplace)
noted = pytest.fixture(slow_workplaces)


def test_the_next_exams_are_segmented_in_the_background_and_open_with_their_masks(workplace):
    exams = workplace.exams()[2:5]
    assert workplace.segmenting.start_ahead(exams) == 3
    assert workplace.segmenting.start_ahead(exams[:2]) == 0, "they are in it already"
    assert workplace.segmenting.ahead.total == 3 and workplace.segmenting.is_busy
    settle(workplace)
    state = workplace.segmenting.ahead
    assert [exam.stem for exam in state.done] == [exam.stem for exam in exams]
    assert state.failed == {} and state.left == 0 and not workplace.segmenting.is_busy
    silver = next(exam for exam in exams if exam.source == "silver")
    assert masks.best_mask(silver).kind == "predicted"
    assert workplace.open_exam(silver).start.model == jobs.DEFAULT_MODEL
    assert not workplace.segmenting.has_result()


@posix
def test_the_user_does_not_wait_for_the_background_which_goes_on_afterwards(noted):
    place, lines = noted("900")
    first, second, wanted = place.exams()[:3]
    place.segmenting.start_ahead([first, second])
    assert polled(place, lambda: f"begin {first.image.name}" in lines())
    (place.dataset.root.parent / "quick").touch()
    place.segmenting.start(wanted)
    assert place.segmenting.ahead.current is None and place.segmenting.ahead.left == 2
    assert place.segmenting.finish().stem == wanted.stem
    settle(place)
    ended = [line for line in lines() if line.startswith("end")]
    assert ended == [f"end {exam.image.name}" for exam in (wanted, first, second)]
    assert [exam.stem for exam in place.segmenting.ahead.done] == [first.stem, second.stem]


@posix
def test_asking_for_the_exam_that_is_under_way_does_not_begin_it_again(noted):
    place, lines = noted("900")
    first, second = place.exams()[:2]
    place.segmenting.start_ahead([first, second])
    assert polled(place, lambda: f"begin {first.image.name}" in lines())
    place.segmenting.start(first)
    assert place.segmenting.ahead.left == 1
    assert place.segmenting.finish().stem == first.stem
    settle(place)
    assert lines().count(f"begin {first.image.name}") == 1
    assert [exam.stem for exam in place.segmenting.ahead.done] == [second.stem]


@posix
def test_asking_for_it_in_another_way_begins_it_again(noted):
    place, lines = noted("900")
    exam = place.exams()[0]
    place.segmenting.start_ahead([exam])
    assert polled(place, lambda: f"begin {exam.image.name}" in lines())
    place.segmenting.device = "cpu"
    place.segmenting.start(exam)
    place.segmenting.finish()
    assert lines().count(f"begin {exam.image.name}") == 2
    assert not place.segmenting.ahead.is_running, "it is not segmented a third time"


def test_an_exam_that_fails_does_not_keep_the_others_from_their_turn(workplace):
    broken, whole = workplace.exams()[:2]
    broken.image.write_bytes(b"no image")
    workplace.segmenting.start_ahead([broken, whole])
    settle(workplace)
    state = workplace.segmenting.ahead
    assert set(state.failed) == {broken.stem} and [exam.stem for exam in state.done] == [whole.stem]
    assert state.failed[broken.stem].endswith(".") and state.failed[broken.stem] in "\n".join(workplace.segmenting.log)


@posix
def test_the_background_stops_when_it_is_told_to(noted):
    place, lines = noted("900")
    place.segmenting.start_ahead(place.exams())
    assert polled(place, lambda: bool(lines()))
    place.segmenting.ahead.stop()
    assert not place.segmenting.is_busy and place.segmenting.ahead.total == 0
    place.segmenting.poll()
    assert not place.segmenting.is_busy


def test_what_comes_next_is_neither_reviewed_nor_segmented_nor_gold_nor_open(workplace):
    exams = workplace.exams()
    silver = [exam for exam in exams if exam.source != "gold" and exam.image is not None]
    everything = ahead.upcoming(workplace, 100)
    assert [exam.stem for exam in everything] == [exam.stem for exam in silver] and len(silver) >= 4
    jobs.segment(silver[1], model.load(jobs.DEFAULT_MODEL))
    workplace.open_exam(silver[0])
    found = [exam.stem for exam in ahead.upcoming(workplace, 100)]
    assert found == [exam.stem for exam in silver[2:]]
    assert [exam.stem for exam in ahead.upcoming(workplace, 1)] == found[:1]


@posix
def test_closing_the_workplace_ends_what_runs(noted):
    place, lines = noted("900")
    place.segmenting.start_ahead(place.exams()[:3])
    assert polled(place, lambda: bool(lines()))
    pid = place.segmenting.worker.pid
    assert is_alive(pid)
    place.close()
    assert wait_until(lambda: not is_alive(pid), 3)
    assert not place.segmenting.is_busy
