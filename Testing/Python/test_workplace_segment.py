"""Segmenting from the workplace: what the user waits for comes first, the next exams in between; nothing is lost."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from module_helpers import is_alive, quick_model, quick_models, wait_until  # noqa: F401  (fixtures)
from segmenting_cases import open_workplace, polled, settle, slow_workplaces
from worker_cases import nothing_left, posix, stand_in  # noqa: F401  (fixture)

from CSpineSegLib import jobs, model, volume
from CSpineSegLib.dataset import exam_from_file
from CSpineSegLib.errors import (
    Cancelled,
    CSpineSegError,
    GraphicsMemoryError,
    InputError,
    OrientationError,
    Refused,
)
from CSpineSegLib.review import records
from CSpineSegLib.workplace import Workplace, choices

pytestmark = pytest.mark.usefixtures("quick_model", "nothing_left")
workplace = pytest.fixture(open_workplace)
noted = pytest.fixture(slow_workplaces)


def draw(place: Workplace) -> np.ndarray:
    """Paint into the open exam, and return the mask as it should now be."""
    from CSpineSegLib import scene

    session = place.session
    centre = session.image.affine @ [*(np.array(session.image.shape) // 2), 1]
    scene.Editor(session.context, session.case).paint_sphere("bodies", centre[:3], 6.0)
    return session.mask().array.copy()


# What the user waits for


def test_the_open_exam_is_segmented_and_its_mask_opens_as_a_new_version(workplace):
    before = workplace.open_exam(workplace.exams()[0])
    segmenting = workplace.segmenting
    segmenting.start()
    assert segmenting.is_running and segmenting.is_busy
    heard = []
    assert wait_until(lambda: heard.append(segmenting.poll()) or segmenting.has_ended, 60)
    assert workplace.session is before and not segmenting.has_result(), "nothing happens until the end is fetched"
    result = segmenting.finish()
    assert result.stem == before.exam.stem and segmenting.has_result() and not segmenting.is_busy
    assert workplace.session is before
    session, drawn = segmenting.open_result()
    assert workplace.session is session is not before and drawn is None
    assert session.start.kind == "predicted" and not segmenting.has_result()
    assert np.array_equal(session.mask().array, volume.read_mask(result.mask).array)
    assert records.history(before.exam) == []
    assert [event for event in heard if event is not None][-1].fraction == 1.0
    with pytest.raises(CSpineSegError, match="no new segmentation"):
        segmenting.open_result()


def test_what_was_drawn_is_kept_when_a_result_opens_and_opening_the_exam_again_comes_back_to_it(workplace):
    exam = workplace.open_exam(workplace.exams()[0]).exam
    workplace.segmenting.start()
    expected = draw(workplace)
    workplace.segmenting.finish()
    session, kept = workplace.segmenting.open_result()
    assert kept.status == "in review" and np.array_equal(volume.read_mask(kept.mask).array, expected)
    assert not np.array_equal(session.mask().array, expected)
    assert np.array_equal(workplace.open_exam(exam).mask().array, expected)


def test_undo_leads_from_a_result_back_to_what_was_there_before(workplace):
    from CSpineSegLib import scene

    workplace.open_exam(workplace.exams()[0])
    workplace.segmenting.start()
    drawn = draw(workplace)
    workplace.segmenting.finish()
    session, _ = workplace.segmenting.open_result()
    found, seen = session.mask().array.copy(), []
    editor = scene.Editor(session.context, session.case)
    workplace.segmenting.save_undo_state(
        lambda: seen.append(session.mask().array.copy()) or editor._logic.SaveStateForUndo()
    )
    assert np.array_equal(seen[0], drawn) and np.array_equal(session.mask().array, found)
    assert not workplace.is_changed()
    editor.undo()
    assert np.array_equal(session.mask().array, drawn) and workplace.is_changed()
    editor.redo()
    assert np.array_equal(session.mask().array, found) and not workplace.is_changed()
    workplace.segmenting.save_undo_state(lambda: seen.append(None))
    assert len(seen) == 1, "there is nothing to go back to any more"
    editor.close()


def test_a_result_is_offered_for_its_own_exam_and_dataset_only_and_not_twice(workplace, tmp_path):
    first, second = workplace.exams()[:2]
    workplace.open_exam(first)
    workplace.segmenting.start()
    workplace.segmenting.finish()
    workplace.open_exam(second)
    assert not workplace.segmenting.has_result()
    root = workplace.dataset.root
    shutil.copytree(root / "extracted", tmp_path / "autre" / "extracted")
    other = workplace.open_dataset(tmp_path / "autre").exam(first.stem)
    workplace.open_exam(other)
    assert not workplace.segmenting.has_result(), "it has the same name in another dataset"
    workplace.open_exam(first, model=jobs.DEFAULT_MODEL)
    assert not workplace.segmenting.has_result(), "it is shown already"


def test_only_one_job_of_the_user_runs_and_only_on_exams_of_a_dataset(workplace, tmp_path):
    exam, segmenting = workplace.exams()[0], workplace.segmenting
    with pytest.raises(InputError, match="No exam is open"):
        segmenting.start()
    with pytest.raises(CSpineSegError, match="Nothing is being segmented"):
        segmenting.finish()
    single = tmp_path / "x.nii.gz"
    shutil.copy(exam.image, single)
    with pytest.raises(InputError, match="Only exams of a dataset"):
        segmenting.start(exam_from_file(single))
    assert not segmenting.is_busy
    segmenting.start(exam)
    with pytest.raises(CSpineSegError, match="already; wait for it, or cancel it"):
        segmenting.start(workplace.exams()[1])
    with pytest.raises(CSpineSegError, match="already"):
        segmenting.start_import(tmp_path / "x.zip")
    segmenting.finish()


@posix
def test_a_cancelled_segmentation_leaves_nothing_and_the_next_one_is_done(noted):
    place, _ = noted("")
    exam = place.exams()[0]
    place.segmenting.start(exam)
    assert polled(place, lambda: any("segment" in line for line in place.segmenting.log))
    place.segmenting.cancel()
    assert wait_until(lambda: place.segmenting.has_ended, 3)
    with pytest.raises(Cancelled):
        place.segmenting.finish()
    assert not exam.predicted(jobs.DEFAULT_MODEL).exists() and not place.segmenting.is_busy
    place.segmenting.start(place.exams()[1])
    assert place.segmenting.finish().stem == place.exams()[1].stem


@posix
@pytest.mark.parametrize(
    ("raised", "kind", "again"),
    [
        ("errors.InputError('a: no neck; --anyway segments it even so.')", Refused, {"anyway": True}),
        ("errors.GraphicsMemoryError('The device cuda is full.')", GraphicsMemoryError, {"device": "cpu"}),
    ],
)
def test_what_can_be_done_in_another_way_is_told_from_other_failures(sample_dataset, tmp_path, raised, kind, again):
    body = f"if how['device'] == 'auto' and not how['anyway']:\n    raise {raised}\nreturn real()"
    place = Workplace(python=stand_in(tmp_path, body))
    place.open_dataset(sample_dataset.root)
    exam = place.exams()[0]
    place.segmenting.start(exam)
    with pytest.raises(kind) as caught:
        place.segmenting.finish()
    assert "--" not in str(caught.value) and type(caught.value) is kind
    place.segmenting.start(exam, **again)
    assert place.segmenting.finish().mask.is_file()
    place.close()


def test_the_log_tells_of_every_stage_and_keeps_the_last_lines(workplace, monkeypatch):
    segmenting = workplace.segmenting
    segmenting.start(workplace.exams()[0])
    settle(workplace)
    segmenting.finish()
    text = "\n".join(segmenting.log)
    assert workplace.exams()[0].stem in text and "load model" in text and "Runs on the CPU" in text
    assert segmenting.logged == len(segmenting.log)
    for number in range(3000):
        segmenting.tell(str(number))
    assert len(segmenting.log) == 2000 and segmenting.logged > 3000 and segmenting.log[-1].endswith("2999")


def test_a_model_is_imported_by_the_worker_once_its_orientation_is_known(workplace, tmp_path, monkeypatch):
    zips = pytest.importorskip("nnunet_zips")
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "modèles"))
    about = zips.dataset(labels={"background": 0, "a": 1, "b": 2})
    members = zips.training("2d", plan=zips.plans(dataset_name="Dataset500_Neck"), about=about)
    source = zips.write_zip(tmp_path / "a b.zip", members)
    segmenting = workplace.segmenting
    segmenting.start_import(source)
    assert segmenting.is_importing and segmenting.is_running
    with pytest.raises(OrientationError):
        segmenting.finish()
    assert not segmenting.is_importing
    segmenting.start_import(source, "RAS")
    made = segmenting.finish()
    assert made["notes"] and model.load(made["name"]).orientation == "RAS"
    found, problems = choices.models()
    words = {choice.name: choice.words for choice in found}
    assert "a b.zip" in words[made["name"]] and "2d with 1 fold" in words[made["name"]] and problems == []
