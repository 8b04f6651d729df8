"""What is said of a mask: its figures, what an edit changed, what its model expects of it, and tables of all that."""

from __future__ import annotations

import os

import numpy as np
import pytest
from check_cases import ORIENTATIONS, mask_of, neck
from review_cases import make_exam, predict

from CSpineSegLib import files, volume
from CSpineSegLib.anatomy import BODY
from CSpineSegLib.errors import GeometryError, InputError
from CSpineSegLib.workplace import check


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_figures_are_those_of_the_voxels(codes):
    before, now = neck(), neck()
    now[2, 8:10, 20:36] = 0  # 32 voxels of body removed
    now[3, 22:24, 20:30] = BODY  # 20 voxels of disc became body
    now[6, 100:102, 20:30] = BODY  # 20 new ones
    found = check.findings(mask_of(now, codes), mask_of(before, codes).array)
    bodies, discs, whole = found.figures
    assert [row.key for row in found.figures] == ["bodies", "discs", "mask"]
    assert (bodies.voxels, bodies.mm3) == (np.count_nonzero(now == BODY), 4.0 * np.count_nonzero(now == BODY))
    assert (bodies.added, bodies.removed) == (40, 32)
    assert (discs.added, discs.removed) == (0, 20)
    assert (whole.added, whole.removed) == (20, 32)
    assert whole.voxels == bodies.voxels + discs.voxels
    assert (discs.pieces, whole.pieces) == (4, 2)
    assert bodies.dice is None and found.is_readable


def test_parts_that_touch_only_across_the_corner_of_thick_slices_are_two():
    labels = neck()
    labels[2:4] = labels[5:] = 0
    assert check.findings(mask_of(labels), labels).figures[2].pieces == 1
    labels[5, 36:40, 36:40] = BODY
    assert check.findings(mask_of(labels), labels).figures[2].pieces == 2


def test_geometry_is_told_in_voxels_and_millimetres():
    mask = mask_of(neck(), "PSR")
    found = check.findings(mask, mask.array)
    text = "60 x 120 x 9 voxels of 1 x 1 x 4 mm, 9 sagittal slices."
    assert found.geometry.endswith(text) and "own grid" in found.geometry


# Of an open exam


@pytest.fixture
def opened(tmp_path):
    if not os.environ.get("CSPINESEG_REQUIRE_SLICER"):
        pytest.importorskip("slicer", reason="an exam is opened in a scene: pip install cspineseg[scene]")
    from CSpineSegLib import session

    def open_with(quality=True, model="a", blind=False):
        exam = make_exam(tmp_path)
        predict(exam, "a", 3)
        if quality:
            doubt = volume.like(volume.read(exam.image), np.full(volume.read(exam.image).shape, 20, np.uint8))
            digest = volume.write(doubt, exam.doubt("a"))
            known = {"score": 0.9, "dice_bodies": 0.95, "dice_discs": 0.85, "model": {"name": "a", "sha256": "cd" * 32}}
            files.write_json(exam.quality("a"), {**known, "doubt": {"file": "", "sha256": digest}})
        return session.open_exam(exam, model=model, blind=blind)

    return open_with


def look(checking):
    return checking.look(checking.session.mask())


def test_an_open_exam_is_compared_with_what_it_began_from_and_after_a_save_with_that(opened):
    from CSpineSegLib import scene, session

    case = opened()
    checking = check.Checking(case)
    assert [row.added + row.removed for row in look(checking).figures] == [0, 0, 0]
    editor = scene.Editor(case.context, case.case)
    voxels = np.zeros(case.image.shape, bool)
    voxels[0, 0:2, 2] = True
    editor.paint_voxels("bodies", voxels)
    assert [row.added for row in look(checking).figures] == [2, 0, 2]
    session.save(case, status="in review", annotator="Anna")
    assert [row.added for row in look(checking).figures] == [0, 0, 0]
    editor.close()


def test_the_models_own_expectation_is_told_by_structure(opened):
    checking = check.Checking(opened())
    assert [row.dice for row in look(checking).figures] == [0.95, 0.85, 0.9]
    assert checking.has_doubt and (checking.doubt().array == 20).all()


def test_what_a_model_says_of_another_mask_is_not_told(opened):
    case = opened()
    known = files.read_json(case.exam.quality("a"))
    files.write_json(case.exam.quality("a"), {**known, "model": {"name": "a", "sha256": "ef" * 32}})
    checking = check.Checking(case)
    assert [row.dice for row in look(checking).figures] == [None] * 3
    assert not checking.has_doubt
    with pytest.raises(InputError, match="no doubt map"):
        checking.doubt()


def test_an_exam_without_a_model_has_no_doubt_map_and_no_expectation(opened):
    for given in ({"quality": False}, {"model": None, "blind": True}):
        checking = check.Checking(opened(**given))
        assert not checking.has_doubt
        assert {row.dice for row in look(checking).figures} == {None}


def test_a_doubt_map_that_was_changed_or_is_damaged_is_refused_with_its_name(opened):
    case = opened()
    checking = check.Checking(case)
    volume.write(volume.like(case.image, np.zeros(case.image.shape, np.uint8)), case.exam.doubt("a"))
    with pytest.raises(InputError, match=r"_doubt\.nii\.gz is missing or was changed"):
        checking.doubt()


@pytest.mark.parametrize("content", ["[]", "{}", "null", '{"model": 3}', "not json"])
def test_a_damaged_quality_file_is_as_good_as_none(opened, content):
    case = opened()
    case.exam.quality("a").write_text(content, encoding="utf-8")
    checking = check.Checking(case)
    assert {row.dice for row in look(checking).figures} == {None} and not checking.has_doubt


def test_a_mask_that_cannot_be_read_back_is_told_and_has_no_figures(opened):
    found = check.Checking(opened()).look(GeometryError("The segment cannot be read back."))
    assert (found.figures, found.remarks, found.is_readable) == ((), (), False)
    assert found.geometry == "The segment cannot be read back."


def test_blank_slices_are_found_along_the_images_own_axis(opened):
    case = opened()
    assert not check.Checking(case).blank.any()
    array = case.image.array.copy()
    array[:, :, 3] = 7
    case.image = volume.like(case.image, array)
    assert check.Checking(case).blank.tolist() == [False, False, False, True, False]


def test_findings_are_sent_to_tables(opened):
    case = opened()
    found = look(check.Checking(case))
    figures, remarks = check.to_tables(case, found)
    assert figures.GetCellText(1, 1) == "Intervertebral discs"
    assert figures.GetTable().GetColumnByName("Voxels").GetValue(2) == found.figures[2].voxels
    assert remarks.GetTable().GetNumberOfRows() == len(found.remarks)
    assert check.to_tables(case, found)[0] is figures
