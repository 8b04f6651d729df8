"""Levels in the workplace: of the mask on the screen, written only if it counts, and renamed by who knows one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from neck_cases import drawn_neck, make_neck, without
from review_cases import tree

pytest.importorskip("slicer", reason="an open exam needs slicer-core: pip install cspineseg[scene]")

from CSpineSegLib import files, jobs, scene, volume
from CSpineSegLib.errors import Cancelled, InputError, WriteError
from CSpineSegLib.jobs import level_files
from CSpineSegLib.progress import Progress
from CSpineSegLib.spine import sizes
from CSpineSegLib.workplace import Workplace, levels

WHOLE = ["C2", "C2-C3", "C3", "C3-C4", "C4", "C4-C5", "C5-C6 block", "C6-C7", "C7"]
NECK = drawn_neck(fused=[("C5", "C6")])
NECK_HEIGHT = float(sizes.HEIGHT[sizes.NAMES.index("C4")])
# Nothing tells where it begins.
HEADLESS = drawn_neck("C4", "C7")


@pytest.fixture
def exam(tmp_path):
    return make_neck(tmp_path / "données", NECK)


@pytest.fixture
def workplace():
    place = Workplace()
    place.annotator = "Anna"
    yield place
    place.close()


def opened(workplace, exam, **how):
    workplace.open_exam(exam, **how)
    return levels.Finding(workplace)


def draw(workplace, mask):
    """Another mask in the place of the open one."""
    session = workplace.session
    scene.replace_voxels(session.context, session.case, mask)


def names_of(found) -> list[str]:
    return [row.name for row in found.rows]


def record(exam):
    return level_files.read(level_files.of_exam(exam))


def test_of_the_mask_that_counts_they_are_what_the_command_line_writes_and_are_read_again(exam, workplace):
    finding = opened(workplace, exam)
    found = finding.find()
    assert found.state == levels.WRITTEN and names_of(found) == WHOLE
    before = tree(exam.processed / "levels")
    assert found.content == record(exam) and len(before) == 3
    again = finding.find()
    assert again.state == levels.READY and again.rows == found.rows
    assert jobs.levels(exam).skipped and tree(exam.processed / "levels") == before
    assert np.array_equal(again.labelling.instances_volume, found.labelling.instances_volume)


def test_of_a_mask_that_is_drawn_on_they_are_found_and_nothing_is_written(exam, workplace):
    finding = opened(workplace, exam)
    draw(workplace, without(NECK, "C7", "C6-C7"))
    before = tree(exam.processed)
    found = finding.find()
    assert found.state == levels.CHANGED and names_of(found) == WHOLE[:-2]
    assert tree(exam.processed) == before
    assert finding.is_current(found)
    draw(workplace, NECK.mask)
    assert not finding.is_current(found)


def test_of_a_draft_they_are_found_and_nothing_is_written_until_it_is_accepted(exam, workplace):
    finding = opened(workplace, exam)
    draw(workplace, without(NECK, "C7", "C6-C7"))
    workplace.save("in review")
    assert finding.find().state == levels.OTHER and record(exam) is None
    workplace.save("accepted")
    found = finding.find()
    assert found.state == levels.WRITTEN and names_of(found) == WHOLE[:-2]
    assert record(exam)["source"]["kind"] == "accepted"


def test_a_second_reader_gets_levels_and_learns_nothing_of_another(exam, workplace):
    jobs.levels(exam, anchor=("C3", NECK.centre("C2")))
    before = tree(exam.processed / "levels")
    found = opened(workplace, exam, blind=True).find()
    assert found.state == levels.BLIND and found.anchor is None and names_of(found) == WHOLE
    assert tree(exam.processed / "levels") == before


def test_where_nothing_can_be_written_levels_are_found_and_the_reason_is_said(exam, workplace, monkeypatch):
    finding = opened(workplace, exam)

    def full(*_arguments, **_given):
        raise WriteError("The disk is full.")

    with monkeypatch.context() as disk:
        disk.setattr(files, "write_verified", full)
        found = finding.find(("C3", NECK.centre("C2")))
    assert (found.state, found.problem) == (levels.FAILED, "The disk is full.")
    assert names_of(found)[0] == "C3" and record(exam) is None
    # What the person said is not lost with it.
    again = finding.find()
    assert again.state == levels.WRITTEN and names_of(again)[0] == "C3"


def test_files_that_somebody_changed_are_left_alone(exam, workplace):
    jobs.levels(exam)
    volume.write(volume.like(NECK.mask, np.zeros_like(NECK.mask.array)), exam.levels)
    before = tree(exam.processed / "levels")
    found = opened(workplace, exam).find()
    assert found.state == levels.FAILED and "was changed after it was written" in found.problem
    assert names_of(found) == WHOLE and tree(exam.processed / "levels") == before


def test_levels_of_a_mask_that_changed_on_disk_are_not_taken_for_those_on_the_screen(exam, workplace):
    finding = opened(workplace, exam)
    volume.write(without(NECK, "C7", "C6-C7"), exam.mask)
    found = finding.find()
    assert found.state == levels.FAILED and "another mask on disk" in found.problem
    assert names_of(found) == WHOLE, "of the mask on the screen"


def test_levels_are_not_taken_for_those_of_what_was_drawn_while_they_were_found(exam, workplace):
    finding, drawn = opened(workplace, exam), []

    def during(event):
        if not drawn:
            drawn.append(event.stage)
            draw(workplace, without(NECK, "C7", "C6-C7"))

    found = finding.find(progress=Progress(during))
    assert drawn and names_of(found) == WHOLE and found.state == levels.WRITTEN
    assert not finding.is_current(found)


def test_without_a_hold_levels_are_relative_until_one_is_given_and_again_when_it_is_forgotten(tmp_path, workplace):
    exam = make_neck(tmp_path, HEADLESS)
    finding = opened(workplace, exam)
    found = finding.find()
    assert "relative" in found.reason and names_of(found)[:3] == ["body 1", "disc 1", "body 2"]
    named = finding.find(("C5", HEADLESS.centre("C5")))
    assert names_of(named)[:3] == ["C4", "C4-C5", "C5"] and named.anchor[0] == "C5"
    assert record(exam)["anchor"]["level"] == "C5" and names_of(finding.find()) == names_of(named)
    forgotten = finding.find(jobs.NO_ANCHOR)
    assert names_of(forgotten) == names_of(found) and forgotten.anchor is None and record(exam)["anchor"] is None


def test_a_level_that_is_given_while_one_draws_is_kept_for_the_exam(tmp_path, workplace):
    exam = make_neck(tmp_path, HEADLESS)
    finding = opened(workplace, exam)
    draw(workplace, without(HEADLESS, "C7"))
    found = finding.find(("C5", HEADLESS.centre("C5")))
    assert found.state == levels.CHANGED and names_of(found)[0] == "C4"
    assert record(exam)["anchor"]["level"] == "C5", "kept with the mask that counts"
    assert names_of(opened(workplace, exam).find())[0] == "C4"


def test_a_level_given_on_a_mask_that_nobody_saved_yet_is_used_as_long_as_the_exam_is_open(tmp_path, workplace):
    exam = make_neck(tmp_path, HEADLESS)
    exam = replace(exam, mask=None)
    finding = opened(workplace, exam)
    draw(workplace, HEADLESS.mask)
    assert names_of(finding.find(("C5", HEADLESS.centre("C5"))))[0] == "C4"
    assert record(exam) is None and names_of(finding.find())[0] == "C4"
    workplace.save("accepted")
    assert names_of(finding.find())[0] == "C4" and record(exam)["anchor"]["level"] == "C5"


def test_a_level_that_was_given_where_the_mask_has_nothing_any_more_is_left_out_and_named(exam, workplace):
    jobs.levels(exam, anchor=("C7", NECK.centre("C7")))
    finding = opened(workplace, exam)
    draw(workplace, without(NECK, "C7", "C6-C7", "C6", "C5"))
    found = finding.find()
    assert found.forsaken[0] == "C7" and found.anchor is None and names_of(found) == WHOLE[:6]
    assert record(exam)["anchor"]["level"] == "C7"


@pytest.mark.parametrize(("level", "at"), [("C2-C3", "C2"), ("C2", "C3"), ("C1", "C2")])
def test_a_level_that_cannot_be_there_is_refused_and_nothing_changes(exam, workplace, level, at):
    finding = opened(workplace, exam)
    finding.find()
    before = tree(exam.processed / "levels")
    with pytest.raises(InputError):
        finding.find((level, NECK.centre(at)))
    with pytest.raises(InputError, match="Nothing of the mask lies at the anchor"):
        finding.find(("C2", (200.0, 0.0, 0.0)))
    assert tree(exam.processed / "levels") == before and names_of(finding.find()) == WHOLE


def test_each_row_can_be_named_by_itself_a_block_by_its_first_vertebra(exam, workplace):
    finding = opened(workplace, exam)
    found = finding.find()
    for name, level in (("C2-C3", "C2-C3"), ("C4", "C4"), ("C5-C6 block", "C5")):
        again = finding.find((level, found.point_of(names_of(found).index(name))))
        assert names_of(again) == WHOLE, f"{name} named itself"


def test_places_and_sizes_of_rows_are_those_of_the_voxels(exam, workplace):
    found = opened(workplace, exam).find()
    for row in found.rows:
        parts = ("C5", "C6") if row.kind == "block" else (row.name,)
        assert np.allclose(row.place, NECK.centre(parts[0]) if len(parts) == 1 else row.place, atol=0.5), row.name
        true = NECK.voxels(*parts).sum() * NECK.mask.grid.voxel_volume
        assert row.mm3 == pytest.approx(true, rel=0.12), row.name
        assert 0.5 < row.sure <= 1.0
    c4 = found.rows[4]
    assert float(c4.height.split(" ± ")[0]) == pytest.approx(NECK_HEIGHT, abs=1.0)
    assert found.rows[0].height == "" and found.rows[6].note == "2 vertebrae in one"


def test_measurements_are_told_with_their_limits_or_with_the_reason_why_not(exam, workplace):
    found = opened(workplace, exam).find()
    spine = found.measured()
    assert [row.key for row in spine[:3]] == ["cobb_c2_c7", "lordosis_type", "coronal_angle"]
    assert spine[0].value and spine[0].unit == "°" and spine[0].of == "" and not spine[0].reason
    assert {row.of for row in spine if row.key == "listhesis"} >= {"C2-C3", "C3-C4"}
    c2 = {row.key: row for row in found.measured("C2")}
    assert not c2["middle_height"].value and "dens" in c2["middle_height"].reason
    assert c2["body_volume"].unit == "mm³" and all(row.meaning.endswith(".") for row in (*spine, *c2.values()))
    assert [row.title for row in found.measured("C2-C3")][:2] == ["Anterior height", "Middle height"]
    assert {row.key for row in found.measured("C2-C3")}.isdisjoint({"listhesis", "segmental_angle"})
    assert found.measured("C9") == ()


def test_finding_can_be_cancelled_and_the_same_holds_as_before(exam, workplace):
    finding = opened(workplace, exam)
    draw(workplace, without(NECK, "C7"))
    stages = []
    impatient = Progress(lambda event: stages.append(event.stage), lambda: bool(stages))
    with pytest.raises(Cancelled):
        finding.find(("C3", NECK.centre("C2")), impatient)
    assert stages == ["Finding levels"] and names_of(finding.find())[0] == "C2"


@pytest.mark.parametrize(
    ("value", "sigma", "expected"),
    [
        (12.3456, 0.55, "12.3 ± 1.1"),
        (0.28571, 0.0121, "0.286 ± 0.024"),
        (7926.4, 435.0, "7930 ± 850"),
        (-1e-9, 0.5, "0.00 ± 0.98"),
        (3.0, 0.0, "3.000 ± 0.000"),
        (None, None, ""),
    ],
)
def test_values_are_told_with_as_many_digits_as_are_sure(value, sigma, expected):
    assert levels.value_text({"value": value, "sigma": sigma}) == expected


def test_the_levels_that_can_be_given_are_those_that_a_mask_can_have():
    offered = levels.names()
    assert offered[:2] == ["C2", "C3"] and "C1" not in offered and "L1" not in offered
    assert "T12" in offered and "C2-C3" in offered and "T11-T12" in offered and "T12-L1" not in offered
