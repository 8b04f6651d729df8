"""What is drawn and not saved is kept while it is needed, and no longer."""

# ruff: noqa: F811  (fixtures are parameters)

from __future__ import annotations

import os

import numpy as np
import pytest
import review_cases as cases
from recovery_cases import OTHER, draw, folder, names, open_and_draw, place, workplace_of  # noqa: F401  (fixture)

from CSpineSegLib import files, scene, volume
from CSpineSegLib.errors import CSpineSegError, WriteError
from CSpineSegLib.review import records
from CSpineSegLib.workplace import recovery

slicer = pytest.importorskip("slicer", reason="the workplace needs slicer-core: pip install cspineseg[scene]")


def test_nothing_is_kept_while_nothing_is_drawn(place):
    workplace = workplace_of(place)
    assert workplace.keeper.keep() is None
    workplace.open_exam(workplace.dataset.exam(cases.STEM))
    assert workplace.keeper.keep() is None
    assert not folder(place).exists()


def test_what_is_drawn_is_kept_with_whose_it_is_and_what_it_was_made_from(place):
    workplace = open_and_draw(place)
    copy = workplace.keeper.keep()
    assert np.array_equal(volume.read_mask(copy.mask).array, cases.labels(5))
    assert (copy.exam, copy.root, copy.annotator, copy.blind) == (cases.STEM, place, "Anna", False)
    assert copy.started == workplace.session.opened.replace(microsecond=copy.started.microsecond)
    assert copy.content["mask"]["sha256"] == files.sha256(copy.mask)
    assert copy.content["origin"]["file"] == str(workplace.session.exam.mask)
    assert copy.content["process"]["id"] == os.getpid()


def test_nothing_is_written_again_while_nothing_more_is_drawn(place):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    before = cases.tree(folder(place))
    workplace.keeper.keep()
    assert cases.tree(folder(place)) == before


def test_the_newer_copy_takes_the_place_of_the_older(place):
    workplace = open_and_draw(place)
    first = workplace.keeper.keep()
    draw(workplace, 6)
    second = workplace.keeper.keep()
    assert names(place) == sorted([second.record.name, second.mask.name])
    assert first.record == second.record and first.mask != second.mask
    assert np.array_equal(volume.read_mask(second.mask).array, cases.labels(6))


def test_what_is_drawn_back_to_what_is_saved_needs_no_copy(place):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    draw(workplace, 0)
    assert workplace.keeper.keep() is None
    assert names(place) == []


@pytest.mark.parametrize("status", ["accepted", "in review"])
def test_a_copy_goes_once_the_mask_is_saved(place, status):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    workplace.save(status)
    assert names(place) == []


def test_a_copy_goes_when_another_exam_is_opened_which_was_asked_before(place):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    workplace.open_exam(workplace.dataset.exam(OTHER))
    assert names(place) == []


def test_a_copy_goes_when_the_end_of_slicer_saves_a_draft(place):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    assert workplace.close() is not None
    assert names(place) == []


def test_what_cannot_be_saved_at_the_end_is_kept_and_offered(place, monkeypatch):
    workplace = open_and_draw(place)
    exam = workplace.session.exam
    monkeypatch.setattr(recovery, "_is_running", lambda copy: False)

    def refuse(*_arguments, **_given):
        raise WriteError("the disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr("CSpineSegLib.review.revisions.save", refuse)
        with pytest.raises(WriteError, match="full"):
            workplace.leave_scene()
    assert workplace.session is None and records.history(exam) == []
    (copy,) = workplace.keeper.found()
    assert np.array_equal(volume.read_mask(copy.mask).array, cases.labels(5))
    workplace.open_exam(exam)
    assert workplace.keeper.found() == [copy]


def test_what_can_be_no_mask_is_kept_whole_when_the_scene_is_closed(place):
    workplace = open_and_draw(place)
    session = workplace.session
    mine = slicer.vtkSegment()
    mine.SetName("Mine")
    voxels = np.zeros(session.image.shape, np.uint8)
    voxels[1, 1, 1] = 1
    mine.AddRepresentation("Binary labelmap", scene.images.oriented_image(voxels, session.image.affine))
    session.case.segmentation_node.GetSegmentation().AddSegment(mine, "mine")
    with pytest.raises(CSpineSegError, match=r"'Mine'.* All that was drawn is kept in .*\.seg\.nrrd; load it"):
        workplace.leave_scene()
    (path,) = folder(place).glob("*.seg.nrrd")
    assert recovery.find(folder(place)) == [] and path.exists()
    back = slicer.vtkMRMLSegmentationNode()
    slicer.vtkMRMLScene().AddNode(back)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(back)
    counts = {name: scene.segmentation.voxel_count(part) for name, part in scene.segmentation.segments(back).items()}
    assert counts == {"bodies": (cases.labels(5) == 1).sum(), "discs": (cases.labels(5) == 2).sum(), "mine": 1}


def test_an_error_that_nobody_expects_costs_nothing_drawn_either(place, monkeypatch):
    workplace = open_and_draw(place)

    def broken(*_arguments, **_given):
        raise MemoryError

    monkeypatch.setattr("CSpineSegLib.review.revisions.save", broken)
    with pytest.raises(MemoryError):
        workplace.leave_scene()
    (copy,) = recovery.find(folder(place))
    assert np.array_equal(volume.read_mask(copy.mask).array, cases.labels(5))


def test_a_copy_stays_when_the_exams_nodes_are_deleted_unasked(place):
    workplace = open_and_draw(place)
    copy = workplace.keeper.keep()
    assert workplace.keeper.found() == []
    session = workplace.session
    session.context.scene.RemoveNode(session.case.segmentation_node)
    workplace.keeper.keep()
    assert workplace.session is None
    assert workplace.keeper.found() == [copy]


def test_a_copy_that_cannot_be_written_leaves_the_one_before(place, monkeypatch):
    workplace = open_and_draw(place)
    first = workplace.keeper.keep()
    draw(workplace, 6)

    def refuse(path, content, **_given):
        raise WriteError(f"{path} could not be written (disk full); free space.")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_json", refuse)
        with pytest.raises(WriteError):
            workplace.keeper.keep()
    assert names(place) == sorted([first.record.name, first.mask.name])
    assert np.array_equal(volume.read_mask(first.mask).array, cases.labels(5))
    assert workplace.keeper.keep().mask != first.mask
