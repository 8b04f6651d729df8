"""Masks that were edited elsewhere, or where they lie: they are somebody's work, and their origin is told truly."""

from __future__ import annotations

import json

import numpy as np
import pytest
import review_cases as cases

from CSpineSegLib import files, volume
from CSpineSegLib.cli.main import main
from CSpineSegLib.errors import InputError
from CSpineSegLib.jobs import correct
from CSpineSegLib.review import derived, masks, origins, records


@pytest.fixture
def exam(tmp_path):
    return cases.make_exam(tmp_path)


def outside(exam, seed: int):
    """A file of another editor with a mask of the exam."""
    path = exam.processed.parent / f"edited {seed} é.nii.gz"
    volume.write(cases.drawn(exam, seed), path)
    return path


# The corrected mask, edited where it lies


def test_a_corrected_mask_edited_in_place_is_kept_by_later_saves_which_say_so(exam):
    cases.save(exam, 1)
    drawn = cases.edit(exam.corrected_mask, 7)
    later = cases.save(exam, 2)
    assert files.sha256(exam.corrected_mask) == drawn
    assert len(later.warnings) == 1
    assert str(exam.corrected_mask) in later.warnings[0] and "was changed outside" in later.warnings[0]
    assert "cspineseg correct" in later.warnings[0]
    assert [sentence for sentence in derived.problems(exam) if "was changed outside" in sentence]
    assert len(json.loads(exam.metrics_path.read_text(encoding="utf-8"))["revisions"]) == 2


def test_an_unknown_file_in_the_corrected_masks_place_is_kept(exam):
    exam.corrected_mask.parent.mkdir(parents=True)
    exam.corrected_mask.write_bytes(b"not even a mask")
    assert "was changed outside" in cases.save(exam, 2).warnings[0]
    assert exam.corrected_mask.read_bytes() == b"not even a mask"


@pytest.mark.parametrize("status", ["accepted", "in review"])
def test_correct_takes_the_corrected_mask_edited_in_place_and_renews_it(exam, status):
    first = cases.save(exam, 0)
    cases.edit(exam.corrected_mask, 7)
    taken = correct(exam, exam.corrected_mask, annotator="Bo", status=status)
    assert taken.warnings == ()
    assert taken.content["parent"]["revision"] == 1 and taken.content["voxels_added"]["bodies"] == 3
    np.testing.assert_array_equal(volume.read(taken.mask).array, cases.labels(7))
    counts = taken if status == "accepted" else first
    assert files.sha256(exam.corrected_mask) == counts.sha256
    assert derived.problems(exam) == []


def test_correct_renews_an_in_place_edit_that_other_bytes_hold_the_same_voxels_of(exam):
    """Another editor writes other headers, so the file's SHA-256 is no revision's although its voxels are."""
    cases.save(exam, 0)
    turned = volume.reorient(cases.drawn(exam, 7), "LPS")
    volume.write(volume.from_array(turned.array.astype(np.int16), turned.affine), exam.corrected_mask)
    given = files.sha256(exam.corrected_mask)
    taken = correct(exam, exam.corrected_mask, annotator="Bo")
    assert taken.sha256 != given == taken.content["taken_from_sha256"]
    assert files.sha256(exam.corrected_mask) == taken.sha256


def test_a_damaged_revision_does_not_make_its_copy_somebodys_work(exam):
    cases.save(exam, 1)
    second = cases.save(exam, 2)
    second.mask.write_bytes(second.mask.read_bytes()[:-1])
    third = cases.save(exam, 3, parent=exam.revision(1))
    assert files.sha256(exam.corrected_mask) == third.sha256


# A prediction, edited where it lies


def test_a_prediction_edited_in_place_is_never_a_models(exam):
    cases.predict(exam, "net", 1)
    cases.edit(exam.predicted("net"), 7)
    assert masks.predicted_mask(exam) is None and masks.edited_predictions(exam) == ["net"]
    assert masks.best_mask(exam).kind == "dataset"
    with pytest.raises(InputError, match="was changed after the model wrote it"):
        masks.blind_start(exam, "net")
    assert any("was changed after the model wrote it" in sentence for sentence in derived.problems(exam))
    named = cases.save(exam, 7, parent=exam.predicted("net"))
    assert named.content["model"] is None


def test_an_intact_prediction_is_chosen_before_a_newer_edited_one(exam):
    cases.predict(exam, "whole", 1)
    cases.predict(exam, "edited", 2)
    cases.edit(exam.predicted("edited"), 7)
    assert masks.best_mask(exam).model == "whole"


def test_a_prediction_without_its_record_or_half_replaced_is_neither_a_models_nor_an_edit(exam):
    cases.predict(exam, "net", 1)
    record = files.read_json(exam.predicted_record("net"))
    replaced = {"sha256": "0" * 64, "replaces": record["mask"]["sha256"]}
    files.write_json(exam.predicted_record("net"), {**record, "mask": replaced})
    assert masks.predicted_mask(exam) is None and masks.edited_predictions(exam) == []
    exam.predicted_record("net").unlink()
    assert masks.predicted_mask(exam) is None and masks.edited_predictions(exam) == []


@pytest.mark.parametrize("blind", [False, True])
def test_correct_names_the_models_own_mask_as_parent_of_an_edited_prediction(exam, blind):
    cases.predict(exam, "net", 1)
    predicted = files.sha256(exam.predicted("net"))
    edited = cases.edit(exam.predicted("net"), 7)
    revision = correct(exam, exam.predicted("net"), annotator="Bo", blind=blind)
    content = revision.content
    assert content["parent"]["sha256"] == predicted != edited
    assert content["parent"]["file"] == f"processed/predicted/net/{exam.mask_name}"
    assert content["model"] == {"name": "net", "sha256": "cd" * 32}
    assert content["voxels_added"] is None and content["voxels_removed"] is None
    assert content["metrics"]["against_source"]["bodies"]["voxels_added"] == 3
    assert "edited in place" in revision.warnings[0]


def test_a_prediction_that_nobody_edited_is_accepted_as_it_is(exam):
    path = cases.predict(exam, "net", 1)
    content = correct(exam, path, annotator="Bo").content
    assert content["parent"]["sha256"] == files.sha256(path)
    assert content["model"]["name"] == "net" and content["voxels_added"] == {"bodies": 0, "discs": 0}


# What a file from outside was made from


def test_a_guess_that_names_somebody_elses_revision_is_told_and_from_settles_it(exam):
    anna = correct(exam, outside(exam, 1), annotator="Anna")
    assert anna.warnings == ()
    bo = correct(exam, outside(exam, 2), annotator="Bo")
    assert bo.content["parent"]["revision"] == 1
    assert any("revision 1 by Anna" in sentence and "--from" in sentence for sentence in bo.warnings)
    cy = correct(exam, outside(exam, 4), annotator="Cy", parent=exam.mask)
    assert cy.content["parent"]["sha256"] == files.sha256(exam.mask) and cy.content["parent"]["revision"] is None
    assert not any("--from" in sentence for sentence in cy.warnings)
    assert correct(exam, outside(exam, 5), annotator="Cy").warnings == ()
    dee = correct(exam, outside(exam, 8), annotator="Dee", parent="r002")
    assert dee.content["parent"]["revision"] == 2 and dee.content["parent"]["sha256"] == bo.sha256


@pytest.mark.parametrize("parent", ["r9", "r001x", "nowhere.nii.gz"])
def test_a_parent_that_is_not_there_is_refused_and_nothing_is_written(exam, parent):
    edited = outside(exam, 1)
    before = cases.tree(exam.processed.parent)
    with pytest.raises(InputError, match=r"no complete revision|does not exist"):
        correct(exam, edited, annotator="Bo", parent=parent)
    with pytest.raises(InputError, match="cannot be made from itself"):
        correct(exam, edited, annotator="Bo", parent=edited)
    assert cases.tree(exam.processed.parent) == before


def test_a_parent_outside_the_dataset_is_known_by_its_hash_because_its_name_may_be_a_persons(exam, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("other") / "Mustermann Max.nii.gz"
    volume.write(cases.drawn(exam, 1), elsewhere)
    revision = correct(exam, outside(exam, 3), annotator="Bo", parent=elsewhere)
    assert revision.content["parent"] == {"file": None, "sha256": files.sha256(elsewhere), "revision": None}
    assert "Mustermann" not in revision.record.read_text(encoding="utf-8")


def test_unknown_editing_time_is_null_and_a_stated_one_is_kept(exam):
    assert correct(exam, outside(exam, 1), annotator="Bo").content["active_seconds"] is None
    assert correct(exam, outside(exam, 2), annotator="Bo", active_seconds=0).content["active_seconds"] == 0.0
    with pytest.raises(InputError, match="seconds"):
        correct(exam, outside(exam, 3), annotator="Bo", active_seconds=-1.0)


def test_a_source_mask_that_is_newly_drawn_over_while_it_is_read_is_refused(exam, monkeypatch):
    real = volume.read_mask

    def slow(path, allowed=(0, 1, 2)):
        found = real(path, allowed)
        cases.edit(exam.mask, 9)
        return found

    monkeypatch.setattr(volume, "read_mask", slow)
    with pytest.raises(InputError, match="changed while it was read"):
        origins.of_file(exam, exam.mask)


# The commands


def test_the_commands_take_a_gold_list_a_parent_and_no_time(exam, tmp_path, capsys):
    gold = tmp_path / "gold list.txt"
    gold.write_text(cases.STEM + "\n", encoding="utf-8")
    words = ["--dataset", str(tmp_path), "--gold-list", str(gold), "--json"]
    cases.save(exam, 1)
    edited = str(outside(exam, 3))
    assert main(["correct", cases.STEM, edited, "--annotator", "Bo", "--from", str(exam.mask), *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["source"], said["active_seconds"]) == ("gold", None)
    assert said["parent"]["revision"] is None
    assert main(["correct", cases.STEM, edited, "--annotator", "Bo", "--from", "r1", *words]) == 0
    assert json.loads(capsys.readouterr().out)["parent"]["revision"] == 1
    assert main(["metrics", cases.STEM, *words]) == 0
    assert json.loads(capsys.readouterr().out)[0]["kind"] == "accepted"
    assert len(records.history(exam)) == 3


def test_metrics_of_a_gold_exam_are_those_of_the_experts_mask_and_not_of_a_prediction(exam, tmp_path, capsys):
    gold = tmp_path / "gold list.txt"
    gold.write_text(cases.STEM + "\n", encoding="utf-8")
    cases.predict(exam, "net", 5)
    words = ["metrics", cases.STEM, "--dataset", str(tmp_path), "--json"]
    kinds = []
    for more in ([], ["--gold-list", str(gold)]):
        assert main([*words, *more]) == 0
        kinds.append(json.loads(capsys.readouterr().out)[0]["kind"])
    assert kinds == ["predicted", "dataset"]


def test_what_is_drawn_while_the_corrected_mask_is_taken_over_is_kept(exam, monkeypatch):
    cases.save(exam, 0)
    cases.edit(exam.corrected_mask, 7)
    real, later = volume.read_mask, []

    def slow(path, allowed=(0, 1, 2)):
        found = real(path, allowed)
        if not later:
            later.append(cases.edit(exam.corrected_mask, 9))
        return found

    monkeypatch.setattr(volume, "read_mask", slow)
    taken = correct(exam, exam.corrected_mask, annotator="Bo")
    assert files.sha256(exam.corrected_mask) == later[0]
    assert any("was changed outside" in sentence for sentence in taken.warnings)
