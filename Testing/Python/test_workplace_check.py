"""What is said of a mask: the figures are right, and a remark comes when it should, names the place, and only then."""

from __future__ import annotations

import itertools
import os
import time

import numpy as np
import pytest
from review_cases import make_exam, predict

from CSpineSegLib import files, volume
from CSpineSegLib.anatomy import BODY, DISC
from CSpineSegLib.errors import GeometryError, InputError
from CSpineSegLib.workplace import check

# Voxels of 1 x 1 mm in slices of 4 mm; axis 0 to the right, rows downwards, columns backwards.
RIP = np.array([[4.0, 0, 0, -18], [0, 0, -1, 30], [0, -1, 0, 55], [0, 0, 0, 1]])
SHAPE = (9, 120, 60)
SLICES, DEPTH = slice(2, 7), slice(20, 36)
BODIES = 5
ORIENTATIONS = ["RIP", "PSR", "LPS", "RAS", "SAL"]


def top_of(number):
    """First row of a body, counted from 0: bodies of 14 mm, discs of 5 mm, from row 8."""
    return 8 + 19 * number


def neck():
    """Five bodies with their discs."""
    labels = np.zeros(SHAPE, np.uint8)
    for number in range(BODIES):
        labels[SLICES, top_of(number) : top_of(number) + 14, DEPTH] = BODY
        labels[SLICES, top_of(number) + 14 : top_of(number) + 19, DEPTH] = DISC
    labels[:, top_of(BODIES) - 5 :] = 0
    return labels


def mask_of(labels, codes="RIP"):
    return volume.reorient(volume.from_array(labels, RIP), codes)


def said(labels, codes="RIP", blank=None):
    """The remarks on a mask on axes of these letters."""
    mask = mask_of(labels, codes)
    return check.findings(mask, mask.array, blank).remarks


def only(labels, codes="RIP", blank=None):
    (remark,) = said(labels, codes, blank)
    return remark


def label_at(labels, remark):
    """The label at a remark's place."""
    index = np.rint(np.linalg.solve(RIP, [*remark.place, 1.0])[:3]).astype(int)
    return labels[tuple(index)], index


def test_a_sound_mask_has_no_remark():
    for codes in ORIENTATIONS:
        assert said(neck(), codes) == ()


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


def test_an_empty_mask_is_said_to_be_empty_and_nothing_else():
    assert only(np.zeros(SHAPE, np.uint8)).sentence == "The mask is empty."
    found = check.findings(mask_of(np.zeros(SHAPE, np.uint8)), neck())
    assert [row.pieces for row in found.figures] == [0, 0, 0]
    assert found.figures[2].removed == np.count_nonzero(neck())


def test_a_structure_that_is_missing_wholly_is_named():
    labels = neck()
    labels[labels == DISC] = 0
    assert "No intervertebral discs are marked." in [remark.sentence for remark in said(labels)]


@pytest.mark.parametrize("codes", ORIENTATIONS)
def test_a_speck_far_from_the_spine_is_found_with_its_size_distance_and_place(codes):
    labels = neck()
    labels[4, 50:53, 52:54] = DISC
    speck = only(labels, codes)
    assert speck.sentence.startswith("A speck of disc (24 mm3) lies 1")
    assert speck.sentence.endswith("mm away from the spine.")
    assert speck.place == pytest.approx((RIP @ [4, 51, 52.5, 1])[:3], abs=0.6)


def test_many_specks_are_told_one_by_one_only_for_the_largest():
    labels = neck()
    for number in range(7):
        labels[4, 10 + 12 * number, 52 : 54 + number % 3] = BODY
    remarks = [remark.sentence for remark in said(labels)]
    assert len(remarks) == 5 and remarks[-1].startswith("3 more specks (")


@pytest.mark.parametrize(("codes", "number"), [("RIP", 2), ("LPS", 8), ("PSR", 2)])
def test_labels_on_a_slice_apart_from_the_others_are_found_as_the_image_counts(codes, number):
    labels = neck()
    labels[2:4] = 0
    labels[1, 30:34, 24:28] = BODY
    (remark,) = [item for item in said(labels, codes) if "Slice" in item.sentence]
    assert remark.sentence == f"Slice {number} has 16 labelled voxels, apart from all other labels."
    assert label_at(labels, remark)[0] == BODY


def test_a_slice_that_was_left_out_is_named():
    labels = neck()
    labels[4] = 0
    (remark,) = [item for item in said(labels) if "Slice" in item.sentence]
    assert remark.sentence.startswith("Slice 5 has no label, but there are labels on both sides")
    assert label_at(labels, remark)[1][0] == 4


@pytest.mark.parametrize("codes", ["RIP", "LPS"])
def test_labels_where_the_image_shows_nothing_are_found(codes):
    blank = np.arange(9) == (2 if codes == "RIP" else 6)
    remark = only(neck(), codes, blank)
    assert remark.sentence.startswith(f"Slice {3 if codes == 'RIP' else 7} has ")
    assert remark.sentence.endswith("but the image is empty there.")
    assert label_at(neck(), remark)[1][0] == 2
    assert said(neck(), codes, np.arange(9) == 0) == ()


def test_a_body_without_a_disc_above_it_is_found():
    labels = neck()
    labels[:, top_of(2) + 14 : top_of(3)] = 0
    remark = only(labels)
    assert remark.sentence == "No disc is marked between the third and the 4th body from the top."
    assert top_of(2) + 12 <= label_at(labels, remark)[1][1] <= top_of(3) + 2


def test_a_disc_without_a_body_is_found():
    labels = neck()
    labels[:, : top_of(0) + 14] = 0
    assert only(labels).sentence == "No body is marked above the uppermost disc."
    labels = neck()
    labels[:, top_of(2) : top_of(3) - 5] = 0
    assert only(labels).sentence == "No body is marked between the second and the third disc from the top."


def test_a_body_as_tall_as_two_is_found_but_not_the_uppermost_with_its_dens():
    labels = neck()
    labels[:, top_of(2) + 14 : top_of(3)][labels[:, top_of(2) + 14 : top_of(3)] == DISC] = BODY
    remark = only(labels)
    assert remark.sentence.startswith("The third body from the top is 33 mm tall, where 14 mm is usual here;")
    labels = neck()
    labels[:, top_of(0) + 14 : top_of(1)][labels[:, top_of(0) + 14 : top_of(1)] == DISC] = BODY
    assert said(labels) == ()


def test_holes_are_counted_with_their_slices_whatever_their_size():
    labels = neck()
    labels[3, 12, 25] = 0
    assert only(labels).sentence == "A hole of 4 mm3, in slice 4."
    labels[5, 50:56, 24:30] = 0
    remark = only(labels)
    assert remark.sentence == "2 holes, the largest of 144 mm3, in slices 4, 6."
    assert label_at(labels, remark)[1] == pytest.approx([5, 52.5, 26.5], abs=0.6)
    labels[5, 50:56, 20:30] = 0  # open to the front: a notch and no hole
    assert only(labels).sentence == "A hole of 4 mm3, in slice 4."


def test_small_pieces_within_the_other_structure_are_found():
    labels = neck()
    labels[4, 50, 26:29] = DISC
    remark = only(labels)
    assert remark.sentence == "A small piece (12 mm3) is marked as disc, apart from every other disc."
    assert label_at(labels, remark)[0] == DISC
    labels[4, 12, 30] = DISC
    assert only(labels).sentence.startswith("2 small pieces (16 mm3 in all) are marked as disc")
    labels[4, 49:52, 26:29] = DISC
    labels[4, 12, 30] = BODY
    assert said(labels) == (), "a piece of the size of a real one is left to the figures"


@pytest.mark.parametrize(("codes", "side", "number"), [("RIP", "left", 1), ("LPS", "left", 9), ("PSR", "right", 9)])
def test_labels_on_the_outermost_slice_are_found_on_the_patients_own_side(codes, side, number):
    labels = neck()
    outer = 0 if side == "left" else 8
    labels[min(outer, 2) : max(outer, 6) + 1] = labels[4]
    remark = only(labels, codes)
    assert remark.sentence == (
        f"The mask reaches the image's outermost slice on the patient's {side} (slice {number})."
    )
    assert label_at(labels, remark)[1][0] == outer


def test_what_was_tolerated_on_reading_is_a_remark_too():
    mask = mask_of(neck()).warn("3 voxels belonged to both segments; they were read as discs.")
    assert check.findings(mask, mask.array).remarks[0].sentence.startswith("3 voxels belonged to both")


def test_a_mask_of_one_voxel_or_of_noise_is_looked_at_without_falling():
    for labels in (np.zeros(SHAPE, np.uint8), np.zeros((1, 1, 1), np.uint8)):
        labels[0, 0, 0] = BODY
        assert said(labels)
    noise = np.random.default_rng(0).integers(0, 3, (5, 20, 20)).astype(np.uint8)
    assert said(noise, "PSR")


def large_neck():
    """A neck as it fills an image of 512 x 512 x 15 voxels of 0.5 x 0.5 x 4 mm."""
    small = neck()[:, 8:101, 20:36]
    labels = np.zeros((15, 512, 512), np.uint8)
    labels[3:12, 140:326, 240:272] = small.repeat(2, axis=1).repeat(2, axis=2)
    return volume.reorient(volume.from_array(labels, RIP @ np.diag([1, 0.5, 0.5, 1])), "PSR")


def test_findings_are_quick_enough_to_follow_the_drawing():
    mask = large_neck()
    parent = np.zeros_like(mask.array)
    durations = []
    for _ in range(3):
        start = time.process_time()
        check.findings(mask, parent)
        durations.append(time.process_time() - start)
    assert min(durations) < 0.4


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


def test_every_orientation_gives_the_same_remarks_at_the_same_places():
    labels = neck()
    labels[4, 50:53, 52:54] = DISC
    labels[3, 12, 25] = 0
    labels[:, top_of(2) + 14 : top_of(3)] = 0
    expected = [(remark.sentence.split(" in slice")[0], remark.place) for remark in said(labels)]
    assert len(expected) == 3
    for number, letters in enumerate(itertools.permutations(("RL", "AP", "SI"))):
        # One of the flips of each order of axes, and all of them over the orders.
        codes = list(itertools.product(*letters))[number]
        found = said(labels, "".join(codes))
        assert [(remark.sentence.split(" in slice")[0], remark.place) for remark in found] == expected, codes
