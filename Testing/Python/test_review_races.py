"""Who is told of whose work: what came in meanwhile, what was there before, and what a blind reader may see."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import review_cases as cases

from CSpineSegLib import files, volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.review import masks, records
from CSpineSegLib.review.origins import Origin, of_file


@pytest.fixture
def exam(tmp_path):
    return cases.make_exam(tmp_path)


def save_now(exam, seed: int, **given):
    """A save of work that began just now, and so after everything on disk was saved."""
    now = datetime.now(UTC) + timedelta(milliseconds=5)
    return cases.save(exam, seed, started=now, ended=now, **given)


# Races


def test_work_that_was_there_before_is_no_race_but_the_newest_of_others_is_named(exam):
    cases.save(exam, 1, annotator="Anna")
    cases.save(exam, 2, annotator="Anna", parent=exam.revision(1))
    bo = save_now(exam, 3, annotator="Bo")
    assert not bo.raced and bo.overlapping == ()
    assert len(bo.warnings) == 1
    assert "does not contain the changes of revision 2 by Anna" in bo.warnings[0]
    assert "meanwhile" not in bo.warnings[0] and "while" not in bo.warnings[0]


def test_ones_own_work_rejected_work_and_blind_readings_are_not_held_against_anyone(exam):
    cases.save(exam, 1, annotator="Anna")
    assert cases.save(exam, 2, annotator="Anna").warnings == ()
    other = cases.make_exam(exam.processed.parent / "other")
    cases.save(other, 1, annotator="Anna", status="rejected")
    cases.save(other, 2, annotator="Cy", blind=True)
    assert save_now(other, 3, annotator="Bo").warnings == ()


def test_a_save_within_the_same_millisecond_as_the_opening_counts_as_meanwhile(exam):
    anna = cases.save(exam, 1, annotator="Anna")
    began = anna.saved + timedelta(microseconds=900)
    bo = cases.save(exam, 2, annotator="Bo", started=began, ended=began)
    assert bo.overlapping == (1,)


# What an edit began from, as it was then


def test_a_parent_that_changes_while_it_is_edited_is_named_and_measured_as_it_was(exam):
    path = cases.predict(exam, "net", 0)
    origin = of_file(exam, path)
    cases.predict(exam, "net", 0b111)
    revision = cases.save(exam, 0b1, parent=origin)
    assert revision.content["parent"]["sha256"] == origin.sha256 != files.sha256(path)
    assert revision.content["voxels_added"]["bodies"] == 1 and revision.content["voxels_removed"]["bodies"] == 0
    assert revision.content["model"] == {"name": "net", "sha256": "cd" * 32}
    assert "changed after this work began" in revision.warnings[0]
    path.unlink()
    assert cases.save(exam, 0b1, parent=origin).content["parent"]["sha256"] == origin.sha256


def test_a_mask_drawn_from_nothing_stays_so_even_if_a_prediction_appears(exam):
    exam.mask.unlink()
    bare = cases.open_exam(exam.processed.parent)
    cases.predict(bare, "net", 3)
    content = cases.save(bare, 0, parent=Origin()).content
    assert (content["parent"], content["source_mask"], content["model"]) == (None, None, None)
    assert content["voxels_added"]["discs"] == int((cases.labels() == 2).sum())


# Blind readings


def test_nobody_is_handed_another_persons_blind_draft(exam):
    cases.save(exam, 1, annotator="Anna", status="in review")
    cases.save(exam, 2, annotator="Bo", status="in review", blind=True)
    for reader in (None, "Anna", "Cy"):
        assert masks.best_mask(exam, drafts=True, annotator=reader).revision.number == 1
        assert masks.blind_start(exam, annotator=reader).kind == "dataset"
    assert masks.best_mask(exam, drafts=True, annotator="Bo").revision.number == 2


def test_a_blind_reader_goes_on_from_the_own_blind_draft_and_from_nobody_elses(exam):
    cases.save(exam, 1, annotator="Bo", status="in review")
    draft = cases.save(exam, 2, annotator="Bo", status="in review", blind=True)
    start = masks.blind_start(exam, annotator="Bo")
    assert (start.kind, start.revision.number) == ("draft", 2)
    second = cases.save(exam, 3, annotator="Bo", blind=True, parent=start.path)
    assert second.content["parent"]["revision"] == 2 and second.warnings == ()
    for path, reader in ((draft.mask, "Cy"), (exam.revision(1), "Bo")):
        with pytest.raises(InputError, match="somebody's revision"):
            cases.save(exam, 4, annotator=reader, blind=True, parent=path)
    cases.save(exam, 5, annotator="Bo", status="rejected", blind=True)
    assert masks.blind_start(exam, annotator="Bo").revision.number == 3


def test_an_accepted_blind_reading_never_takes_the_place_of_an_accepted_mask(exam):
    informed = cases.save(exam, 1, annotator="Anna")
    cases.save(exam, 2, annotator="Bo", blind=True)
    assert masks.best_mask(exam).revision == informed
    assert files.sha256(exam.corrected_mask) == informed.sha256
    newer = cases.save(exam, 3, annotator="Anna", parent=informed.mask)
    assert files.sha256(exam.corrected_mask) == newer.sha256


def test_among_blind_readings_the_first_readers_newest_counts_until_an_informed_one_is_accepted(exam):
    first = cases.save(exam, 1, annotator="Bo", blind=True)
    cases.save(exam, 2, annotator="Cy", blind=True)
    assert records.latest_accepted(exam) == first
    again = cases.save(exam, 3, annotator="Bo", blind=True, parent=first.mask)
    assert files.sha256(exam.corrected_mask) == again.sha256
    informed = cases.save(exam, 4, annotator="Anna")
    cases.save(exam, 5, annotator="Cy", blind=True)
    assert files.sha256(exam.corrected_mask) == informed.sha256
    np.testing.assert_array_equal(volume.read(exam.corrected_mask).array, cases.labels(4))
