"""Which mask one starts from, and which one counts."""

from __future__ import annotations

import os

import pytest
import review_cases as cases

from CSpineSegLib.errors import InputError
from CSpineSegLib.review import masks


@pytest.fixture
def exam(tmp_path):
    return cases.make_exam(tmp_path)


def test_best_mask_prefers_people_to_networks_and_new_models_to_the_released_mask(exam):
    assert masks.best_mask(exam).kind == "dataset"
    for age, model in enumerate(("older", "newer")):
        cases.predict(exam, model, 10 + age)
        os.utime(exam.predicted(model), (1000 + age, 1000 + age))
    assert (masks.best_mask(exam).kind, masks.best_mask(exam).model) == ("predicted", "newer")
    assert masks.best_mask(exam, "older").path == exam.predicted("older")
    assert masks.blind_start(exam).kind == "dataset"
    assert masks.blind_start(exam, "older").model == "older"
    with pytest.raises(InputError, match="absent"):
        masks.blind_start(exam, "absent")
    draft = cases.save(exam, 1, status="in review", parent=exam.predicted("newer"))
    assert draft.content["parent"]["file"] == f"processed/predicted/newer/{cases.STEM}_SEG.nii.gz"
    assert masks.best_mask(exam).kind == "predicted"
    assert masks.best_mask(exam, drafts=True) == masks.Mask(draft.mask, "draft", draft)
    accepted = cases.save(exam, 2)
    assert masks.best_mask(exam, "newer") == masks.Mask(accepted.mask, "accepted", accepted)
    cases.save(exam, 3, status="rejected")
    assert masks.best_mask(exam, drafts=True).revision.number == 2


def test_experts_own_mask_comes_before_a_prediction_unless_that_model_is_asked_for(tmp_path):
    cases.make_exam(tmp_path)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "gold.txt").write_text(cases.STEM + "\n", encoding="utf-8")
    gold = cases.open_exam(tmp_path)
    cases.predict(gold, "net", 10)
    assert gold.source == "gold"
    assert masks.best_mask(gold).kind == "dataset"
    assert masks.best_mask(gold, "net").kind == "predicted"
    assert cases.save(gold, 1).content["source"] == "gold"
