"""Revisions: what they say, which ones count, and what is refused without writing anything."""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import review_cases as cases

from CSpineSegLib import files, volume
from CSpineSegLib.dataset import exam_from_file
from CSpineSegLib.errors import GeometryError, InputError, WriteError
from CSpineSegLib.review import derived, masks, places, records, revisions


@pytest.fixture
def exam(tmp_path):
    return cases.make_exam(tmp_path)


def refused(exam, mask, error, match, **given):
    """Saving fails with one sentence, and no file has come or changed."""
    root = exam.processed.parent
    before = cases.tree(root)
    with pytest.raises(error, match=match) as caught:
        revisions.save(exam, mask, **{"status": "accepted", "annotator": "Anna", **given})
    assert "\n" not in str(caught.value)
    assert cases.tree(root) == before


def test_the_json_says_what_the_design_asks_for(exam):
    first = cases.save(exam, 5, status="in review", model=("spine-net", "ab" * 32), notes="C7 is cut off")
    content = json.loads(first.record.read_text(encoding="utf-8"))
    assert first.mask.name == f"{cases.STEM}_SEG.r001.nii.gz"
    assert first.record.name == f"{cases.STEM}_SEG.r001.json"
    assert content["mask"]["sha256"] == hashlib.sha256(first.mask.read_bytes()).hexdigest()
    own = {"file": f"extracted/segmentation/{cases.STEM}_SEG.nii.gz", "sha256": files.sha256(exam.mask)}
    assert content["parent"] == content["source_mask"] == {**own, "revision": None}
    assert (content["source"], content["status"], content["annotator"]) == ("unknown", "in review", "Anna")
    assert (content["started"], content["ended"]) == ("2026-03-01T09:18:00.000Z", "2026-03-01T09:30:00.000Z")
    assert (content["active_seconds"], content["blind"], content["notes"]) == (340.5, False, "C7 is cut off")
    assert content["model"] == {"name": "spine-net", "sha256": "ab" * 32}
    # 5 is 101 in binary: two more voxels of the bodies than in the dataset's mask.
    assert content["voxels_added"] == {"bodies": 2, "discs": 0}
    assert content["voxels_removed"] == {"bodies": 0, "discs": 0}
    assert {"cspineseg", "python", "numpy", "nibabel"} <= set(content["software"])
    saved = datetime.fromisoformat(content["saved"])
    assert timedelta(0) <= datetime.now(UTC) - saved < timedelta(minutes=1)


def test_a_second_revision_names_the_first_and_is_measured_against_it_and_the_source(exam):
    first = cases.save(exam, 0b111, model=("spine-net", "ab" * 32))
    second = cases.save(exam, 0b1001, parent=first.mask)
    content = second.content
    assert content["parent"] == {
        "file": f"processed/corrected/revisions/{first.mask.name}",
        "sha256": first.sha256,
        "revision": 1,
    }
    assert content["voxels_added"]["bodies"] == 1 and content["voxels_removed"]["bodies"] == 2
    assert content["metrics"]["against_source"]["bodies"]["voxels_added"] == 2
    assert content["model"] == {"name": "spine-net", "sha256": "ab" * 32}
    stated = json.loads(exam.metrics_path.read_text(encoding="utf-8"))
    assert [entry["revision"] for entry in stated["revisions"]] == [1, 2]
    assert stated["revisions"][1]["against_parent"] == content["metrics"]["against_parent"]
    assert stated["revisions"][1]["against_parent"]["bodies"]["dice"] < 1
    assert not second.raced and second.warnings == ()


def test_the_corrected_mask_is_the_latest_accepted_revision_in_the_datasets_name(exam):
    cases.save(exam, 1, status="in review")
    assert not exam.corrected_mask.exists()
    accepted = cases.save(exam, 2, status="accepted")
    cases.save(exam, 3, status="rejected")
    assert exam.corrected_mask.name == f"{cases.STEM}_SEG.nii.gz"
    assert exam.corrected_mask.read_bytes() == accepted.mask.read_bytes()
    assert records.latest_accepted(exam).number == 2 and records.latest(exam).number == 3
    assert derived.problems(exam) == []


def test_a_mask_lies_on_the_images_grid_as_uint8_and_nothing_released_is_touched(exam):
    released = cases.tree(exam.processed.parent / "extracted")
    cases.save(exam, 4)
    written, image = volume.read(exam.corrected_mask), volume.read(exam.image)
    assert written.array.dtype == np.uint8 and written.orientation == "PSR" and written.is_left_handed
    np.testing.assert_array_equal(written.affine, image.affine)
    for code in ("sform_code", "qform_code", "xyzt_units"):
        assert written.header[code] == image.header[code]
    np.testing.assert_array_equal(written.array, cases.labels(4))
    assert cases.tree(exam.processed.parent / "extracted") == released


@pytest.mark.parametrize("dtype", [np.int16, np.float64, np.uint16])
def test_masks_of_other_editors_come_in_reordered_cropped_and_in_any_type_of_number(exam, dtype):
    drawn = cases.drawn(exam, 6)
    flipped = volume.reorient(drawn, "RAS")
    cropped = np.ascontiguousarray(flipped.array[:, 1:, :]).astype(dtype)
    shifted = flipped.affine.copy()
    shifted[:3, 3] += flipped.affine[:3, 1]
    if flipped.array[:, 0, :].any():
        pytest.fail("the case needs an empty border")
    revision = revisions.save(exam, volume.from_array(cropped, shifted), status="accepted", annotator="Bo")
    np.testing.assert_array_equal(volume.read(revision.mask).array, cases.labels(6))
    assert any("put back" in sentence for sentence in revision.warnings)


def test_masks_that_cannot_be_right_are_refused_and_nothing_is_written(exam):
    good = cases.drawn(exam)
    refused(exam, volume.like(good, np.where(good.array == 2, 3, good.array)), InputError, "label 3")
    refused(exam, volume.like(good, good.array.astype(np.float32) * 0.5), InputError, "fractional value 0.5")
    elsewhere = cases.PSR.copy()
    elsewhere[1, 3] += 2.45
    refused(exam, volume.from_array(good.array, elsewhere), GeometryError, "mm")
    larger = volume.from_array(np.ones((16, 18, 7), np.uint8), cases.PSR)
    refused(exam, larger, GeometryError, "outside")


def test_words_that_cannot_be_right_are_refused_and_nothing_is_written(exam):
    good, moment = cases.drawn(exam), datetime(2026, 3, 1, tzinfo=UTC)
    refused(exam, good, InputError, "not a status", status="done")
    refused(exam, good, InputError, "not a source", source="bronze")
    refused(exam, good, InputError, "annotator", annotator="  ")
    refused(exam, good, InputError, "annotator", annotator="Anna\nBo")
    refused(exam, good, InputError, "time zone", started=datetime(2026, 3, 1))
    refused(exam, good, InputError, "before it started", started=moment, ended=moment - timedelta(seconds=1))
    refused(exam, good, InputError, "seconds", active_seconds=float("nan"))
    refused(exam, good, InputError, "does not exist", parent=exam.processed / "none.nii.gz")


def test_without_a_name_the_login_name_of_the_computer_is_the_annotator(exam, monkeypatch):
    monkeypatch.setenv("LOGNAME", "radiologist")
    assert cases.save(exam, annotator=None).annotator == getpass.getuser() == "radiologist"


def test_two_people_who_began_from_the_same_revision_both_keep_their_work_and_the_later_is_told(exam):
    parent = cases.save(exam, 1)
    anna = cases.save(exam, 2, parent=parent.mask, annotator="Anna")
    bo = cases.save(exam, 3, parent=parent.mask, annotator="Bo")
    assert (anna.number, anna.raced, bo.number, bo.raced) == (2, False, 3, True)
    assert bo.overlapping == (2,)
    assert "Revision 2 by Anna" in bo.warnings[0] and "yours is revision 3" in bo.warnings[0]
    assert [revision.sha256 for revision in records.history(exam)] == [parent.sha256, anna.sha256, bo.sha256]


def test_a_save_in_the_middle_of_another_gets_the_next_number_and_says_so(exam, monkeypatch):
    """The first has claimed its number and not yet written a byte when the second saves."""
    write, inner = files._write_bytes, []

    def interrupted(path, data):
        if not inner:
            inner.append(None)
            inner[0] = cases.save(exam, 8, annotator="Bo")
        write(path, data)

    monkeypatch.setattr(files, "_write_bytes", interrupted)
    outer = cases.save(exam, 9, annotator="Anna")
    assert (outer.number, inner[0].number) == (1, 2)
    assert inner[0].overlapping == (1,) and "Revision 1 was saved" in inner[0].warnings[0]
    assert [revision.number for revision in records.history(exam)] == [1, 2]
    assert files.sha256(exam.corrected_mask) == inner[0].sha256


def test_the_corrected_mask_converges_if_a_slow_writer_copies_an_older_revision_over_it(exam, monkeypatch):
    copy, calls = derived._copy, []

    def slow(accepted, target):
        if not calls:
            calls.append(None)
            calls[0] = cases.save(exam, 8, annotator="Bo")
            monkeypatch.setattr(derived, "_is_copy", lambda *_: False)
        copy(accepted, target)

    monkeypatch.setattr(derived, "_copy", slow)
    cases.save(exam, 7)
    assert files.sha256(exam.corrected_mask) == calls[0].sha256
    entries = json.loads(exam.metrics_path.read_text(encoding="utf-8"))["revisions"]
    assert [entry["revision"] for entry in entries] == [1, 2]


def test_a_second_reader_starts_blind_and_is_not_told_of_the_first(exam):
    first = cases.save(exam, 1)
    start = masks.blind_start(exam)
    assert (start.kind, start.path, start.revision) == ("dataset", exam.mask, None)
    second = cases.save(exam, 2, annotator="Bo", blind=True, parent=start.path)
    assert second.warnings == () and not second.raced and second.blind
    assert second.content["parent"]["revision"] is None
    for theirs in (first.mask, exam.corrected_mask):
        refused(exam, cases.drawn(exam), InputError, "blind", blind=True, parent=theirs)


def test_the_corrected_mask_as_parent_counts_as_the_revision_that_it_is(exam):
    cases.save(exam, 1)
    second = cases.save(exam, 2, parent=exam.corrected_mask)
    assert second.content["parent"]["revision"] == 1 and not second.raced


def test_a_damaged_revision_does_not_count_and_stays(exam):
    first, second = cases.save(exam, 1), cases.save(exam, 2)
    data = bytearray(second.mask.read_bytes())
    data[-5] ^= 1
    second.mask.write_bytes(data)
    assert [revision.number for revision in records.history(exam)] == [1]
    assert masks.best_mask(exam).revision.number == 1
    sentences = derived.problems(exam)
    assert second.mask.name in sentences[0] and "SHA-256" in sentences[0]
    assert "not revision 1" in sentences[1]
    third = cases.save(exam, 3, parent=first.mask, annotator="Bo")
    assert third.number == 3 and second.mask.read_bytes() == data
    assert any("Revision 2" in sentence for sentence in third.warnings)


def test_half_revisions_do_not_count_are_reported_and_keep_what_was_drawn(exam):
    cases.save(exam, 1)
    broken = [exam.revision(2), exam.revision(3)]
    broken[0].write_bytes(exam.mask.read_bytes())
    exam.revision_record(4).write_text('{"format": "cspineseg-revision"', encoding="utf-8")
    exam.revision_record(5).write_text("[]", encoding="utf-8")
    broken[1].touch()
    assert len(records.incomplete(exam)) == 2, "what is minutes old may be a save under way"
    for path in broken:
        os.utime(path, (0, 0))
    sentences = records.incomplete(exam)
    assert [("no JSON" in s, "is empty" in s, "readable JSON" in s, "does not describe" in s) for s in sentences] == [
        (True, False, False, False),
        (False, True, False, False),
        (False, False, True, False),
        (False, False, False, True),
    ]
    assert cases.save(exam, 2).number == 6
    # Saving swept the empty claim below the newest revision, and nothing that was drawn.
    assert broken[0].is_file() and not broken[1].exists()
    assert [revision.number for revision in records.history(exam)] == [1, 6]


def test_an_empty_claim_stays_until_a_later_revision_is_there_so_that_no_number_is_given_twice(exam):

    cases.save(exam, 1)
    exam.revision(2).touch()
    os.utime(exam.revision(2), (0, 0))
    assert revisions.sweep(exam) == []
    assert cases.save(exam, 3).number == 3


def test_a_source_mask_that_cannot_be_read_keeps_nobody_from_saving(tmp_path):
    wrong = cases.labels()
    wrong[0, 0, 0] = 3
    exam = cases.make_exam(tmp_path, mask=wrong)
    revision = cases.save(exam, 1)
    assert "label 3" in revision.warnings[0]
    assert revision.content["metrics"]["against_parent"] is None and revision.content["voxels_added"] is None
    assert revision.content["parent"]["sha256"] == files.sha256(exam.mask)


def test_an_exam_without_any_mask_is_drawn_from_nothing(exam):
    exam.mask.unlink()
    bare = cases.open_exam(exam.processed.parent)
    assert masks.blind_start(bare) is None and masks.best_mask(bare) is None
    revision = cases.save(bare, 0)
    assert revision.content["parent"] is None and revision.content["source_mask"] is None
    assert revision.content["voxels_added"]["discs"] == int((cases.labels() == 2).sum())
    assert revision.content["metrics"]["against_source"] is None


def test_an_empty_mask_is_saved_with_a_warning(exam):
    empty = volume.like(cases.drawn(exam), np.zeros(cases.SHAPE, np.uint8))
    revision = revisions.save(exam, empty, status="in review", annotator="Anna")
    assert "empty" in revision.warnings[0]


@pytest.mark.parametrize("name", ["Universitätsklinikum Zürich é", "пациенты 頸椎", "a b  c"])
def test_accents_and_spaces_in_paths_work(tmp_path, name):
    exam = cases.make_exam(tmp_path / name)
    revision = cases.save(exam, 1, annotator="Zoë Müller", notes="naïve")
    assert records.history(exam)[0].annotator == "Zoë Müller"
    assert revision.content["parent"]["file"].startswith("extracted/")
    assert str(tmp_path) not in revision.record.read_text(encoding="utf-8")


def test_a_single_file_outside_any_dataset_is_reviewed_beside_itself(tmp_path):
    image = cases.make_exam(tmp_path / "made").image
    alone = tmp_path / "Mein Scan (v1.2) é.nii.gz"
    alone.write_bytes(image.read_bytes())
    exam = exam_from_file(alone)
    revision = cases.save(exam, 1)
    assert revision.mask.name == "Mein Scan (v1.2) é_SEG.r001.nii.gz"
    assert [r.number for r in records.history(exam)] == [1] and derived.problems(exam) == []


def test_a_name_over_255_bytes_is_refused_and_nothing_is_written(tmp_path):
    image = cases.make_exam(tmp_path / "made").image
    alone = tmp_path / "one" / ("é" * 120 + ".nii.gz")
    alone.parent.mkdir()
    alone.write_bytes(image.read_bytes())
    exam = exam_from_file(alone)
    with pytest.raises(InputError, match="over the 255"):
        cases.save(exam, 1)
    assert list((tmp_path / "one").rglob("*.json")) == [] and len(cases.tree(tmp_path / "one")) == 1


@pytest.mark.parametrize("place", ["raw/out", "extracted/annotation/out", "extracted"])
def test_nothing_is_ever_written_under_raw_or_extracted(exam, place):

    root = exam.processed.parent
    refused(replace(exam, processed=root / place), cases.drawn(exam), WriteError, "never written")


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs a privilege on Windows")
def test_a_link_into_extracted_is_seen_through(exam):
    link = exam.processed.parent / "processed"
    link.symlink_to(exam.processed.parent / "extracted" / "annotation", target_is_directory=True)
    refused(exam, cases.drawn(exam), WriteError, "never written")


def test_a_folder_named_raw_outside_any_dataset_is_fine(tmp_path):
    places.check_targets([tmp_path / "raw" / "project" / "processed" / "x.json"])


def test_the_source_files_themselves_are_never_targets(exam):
    with pytest.raises(WriteError, match="source file"):
        places.check_targets([exam.mask], [exam.image, exam.mask])
