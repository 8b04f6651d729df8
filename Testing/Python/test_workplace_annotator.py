"""Who works here changes while an exam is open: what was drawn stays that of who drew it."""

# ruff: noqa: F811  (fixtures are parameters)

from __future__ import annotations

import numpy as np
import pytest
import review_cases as cases
from recovery_cases import draw, folder, open_and_draw, place, workplace_of  # noqa: F401  (fixture)

from CSpineSegLib import volume
from CSpineSegLib.errors import WriteError
from CSpineSegLib.review import records
from CSpineSegLib.workplace import recovery


def known(workplace):
    exam = workplace.dataset.exam(cases.STEM)
    return [(item.annotator, item.status, item.blind) for item in records.history(exam)]


def test_what_one_drew_is_saved_under_their_name_before_another_goes_on(place):
    workplace = open_and_draw(place)
    for name in ("Ann", "", "B", "Be", "Ben"):
        workplace.name_annotator(name)
    assert known(workplace) == [("Anna", "in review", False)]
    assert np.array_equal(volume.read_mask(records.latest(workplace.session.exam).mask).array, cases.labels(5))
    draw(workplace, 6)
    workplace.save("accepted")
    first, second = records.history(workplace.session.exam)
    assert second.annotator == "Ben" and second.content["parent"]["revision"] == first.number


def test_who_forgot_to_give_a_name_gives_it_before_saving(place):
    workplace = workplace_of(place, "")
    workplace.open_exam(workplace.dataset.exam(cases.STEM))
    draw(workplace, 5)
    for name in ("A", "An", "Anna"):
        assert workplace.name_annotator(name) is None
    workplace.save("accepted")
    assert known(workplace) == [("Anna", "accepted", False)]


def test_a_name_that_is_changed_before_anything_is_drawn_saves_nothing(place):
    workplace = workplace_of(place)
    workplace.open_exam(workplace.dataset.exam(cases.STEM))
    assert workplace.name_annotator("Ben") is None and known(workplace) == []
    draw(workplace, 5)
    workplace.name_annotator("Cleo")
    assert known(workplace) == [("Ben", "in review", False)]


def test_a_blind_reading_is_closed_before_another_sees_it(place):
    workplace = open_and_draw(place, blind=True)
    draft = workplace.name_annotator("Ben")
    assert (draft.annotator, draft.blind) == ("Anna", True)
    assert workplace.session is None
    own = workplace.open_exam(workplace.dataset.exam(cases.STEM), blind=True)
    assert np.array_equal(own.mask().array, cases.labels(0)), "Ben starts from the dataset's mask"
    assert workplace.name_annotator("Anna") is None and workplace.session is own, "nothing of Ben's is shown"


def test_a_name_stays_while_what_was_drawn_under_it_cannot_be_saved(place, monkeypatch):
    workplace = open_and_draw(place)

    def full(*_arguments, **_more):
        raise WriteError("No space left on device.")

    monkeypatch.setattr(volume, "write", full)
    with pytest.raises(WriteError, match="No space"):
        workplace.name_annotator("Ben")
    assert workplace.annotator == "Anna" and workplace.is_changed()


def test_a_copy_names_who_drew_and_not_who_recovered_it(place):
    workplace = open_and_draw(place)
    copy = workplace.keeper.keep()
    workplace.keeper.leave()
    later = workplace_of(place, "Ben")
    recovery.restore(later, copy)
    (again,) = recovery.find(folder(place))
    assert again.annotator == "Anna"
    later.name_annotator("Anna")
    assert known(later) == [] and later.is_changed()
