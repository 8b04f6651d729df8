"""Two annotators' masks, and what editing changed: counted by hand on small masks, and gathered from revisions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import review_cases
from cli_cases import refused, said  # noqa: F401 - a fixture
from review_cases import make_exam

from CSpineSegLib import files, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation import editing, raters
from CSpineSegLib.evaluation.report import plots
from CSpineSegLib.jobs import raters as jobs
from CSpineSegLib.review import records, revisions

STEMS = [f"593973-00000{number}_Study-MR-{number}_Series-4" for number in (1, 2, 3, 4)]


def mask(array: np.ndarray) -> volume.Volume:
    return volume.from_array(array.astype(np.uint8), review_cases.PSR)


def table(section, name):
    (found,) = [one.frame for one in section.tables if one.name == name]
    return found


@pytest.fixture
def exams(tmp_path):
    """Four exams of four patients with the same mask, bodies of 2 x 7 x 5 x 3 voxels and a disc of 7 x 2 x 3."""
    made = [make_exam(tmp_path / "dataset", stem) for stem in STEMS]
    return [Dataset.open(tmp_path / "dataset").exam(exam.stem) for exam in made]


def save(exam, change=None, **given):
    """A revision by Anna, unless said otherwise: the exam's mask with `change` done to its array."""
    array = volume.read_mask(exam.mask).array.copy()
    if change is not None:
        change(array)
    words = {"annotator": "Anna", "status": "accepted", "parent": exam.mask, "active_seconds": 120.0}
    return revisions.save(exam, volume.like(volume.read(exam.image), array), **{**words, **given})


def shave(array):
    """Takes 21 voxels of the lower body away: one layer of 7 x 3."""
    array[3:10, 2, 1:4] = 0


def to_disc(array):
    """Turns a layer of 21 voxels from body to disc."""
    array[3:10, 6, 1:4] = 2


def on_the_edge(array):
    """Takes 5 voxels away from the first slice that holds anything."""
    array[3:8, 2, 1] = 0


# Arithmetic.


def test_of_the_voxels_that_anybody_changed_those_with_the_same_label_at_last_agree():
    source, first, second = np.zeros((3, 6, 5, 4))
    source[1:4, 1:4, 1:3] = 1
    first[:], second[:] = source, source
    first[1, 1, 1] = second[1, 1, 1] = 2  # both, the same
    first[2, 1, 1], second[2, 1, 1] = 2, 0  # both, differently
    first[3, 1, 1] = 0  # one only
    second[0, 0, 0] = 1  # the other only
    found = raters.touched(mask(source), mask(first), mask(second))
    assert found == {"voxels": 4, "both": 2, "agreed": 1}


def test_the_intraclass_correlation_is_that_of_shrout_and_fleiss():
    # Their example of four judges and six targets, for which they print ICC(2,1) = .29.
    judges = np.array([[9, 6, 8, 7, 10, 6], [2, 1, 4, 1, 5, 2], [5, 3, 6, 2, 6, 4], [8, 2, 8, 6, 9, 7]])
    assert round(raters.icc(*judges), 2) == 0.29
    assert raters.icc(judges[0], judges[0]) == 1
    assert raters.icc(judges[0], judges[0] + 5) < 0.5, "a constant difference is no agreement"
    assert np.isnan(raters.icc([1.0], [2.0])) and np.isnan(raters.icc(np.ones(3), np.ones(3)))


def test_changes_are_counted_by_slice_from_both_ends_of_the_stack():
    source = np.zeros((4, 4, 9))
    source[1:3, 1:3, 1:8] = 1
    corrected = source.copy()
    corrected[1, 1, 1] = 0  # outermost
    corrected[1, 1, 2] = 2  # second, relabelled
    corrected[1, 1:3, 4] = 0  # inside
    corrected[0, 0, 8] = 1  # beyond: then this slice is the outermost
    found = editing.changes(mask(source), mask(corrected))
    depths = found.pop("depths")
    assert found == {"voxels": 5, "relabelled": 1, "slices": 8, "slices_changed": 4}
    assert depths == {
        "outermost slice": {"slices": 2, "voxels": 2, "labelled": 5},
        "second slice": {"slices": 2, "voxels": 1, "labelled": 8},
        "further inside": {"slices": 4, "voxels": 2, "labelled": 16},
    }


def test_empty_masks_have_no_changes_and_no_slices():
    nothing = mask(np.zeros((4, 4, 3)))
    found = editing.changes(nothing, nothing)
    assert (found["voxels"], found["slices"]) == (0, 0)
    assert all(depth["labelled"] == 0 for depth in found["depths"].values())


# Two annotators.


def test_agreement_is_counted_by_hand(exams):
    for exam in exams:
        save(exam, shave)
        save(exam, to_disc, annotator="Bela", blind=True)
    section = jobs.raters(exams)
    dice = table(section, "raters-classes").set_index(["structure", "metric"]).loc[("bodies", "dice")]
    # Anna keeps 210 - 21 voxels of the bodies, Bela as many, and 210 - 42 are the same.
    assert dice["mean"] == pytest.approx(168 / 189)
    assert (dice["exams"], dice["sd"]) == (4, pytest.approx(0))
    assert (dice["low"], dice["high"]) == (pytest.approx(168 / 189), pytest.approx(168 / 189))
    volumes = table(section, "raters-volumes").set_index("structure")
    voxel = volume.read(exams[0].mask).grid.voxel_volume
    assert volumes.loc["bodies", "bias"] == pytest.approx(0)
    assert volumes.loc["discs", "bias"] == pytest.approx(21 * voxel)
    own = table(section, "raters-exams").iloc[0]
    assert (own["revision_first"], own["revision_second"], own["independent"]) == (1, 2, "yes")
    assert (own["voxels_touched"], own["touched_agreed"]) == (42, 0)
    assert section.title == "Agreement of Anna and Bela" and section.warnings == ()
    assert "draws +0 mm3" in section.sentences[0] and "0 % have the same label" in section.sentences[2]


def test_of_each_annotator_the_newest_accepted_revision_counts_then_the_newest_that_is_not_rejected(exams):
    exam = exams[0]
    save(exam, shave)
    save(exam, to_disc, status="in review")
    save(exam, shave, annotator="Bela", status="in review")
    save(exam, to_disc, annotator="Bela", status="in review")
    save(exam, None, annotator="Bela", status="rejected")
    history = records.history(exam)
    assert [jobs.kept(history, name).number for name in ("Anna", "Bela")] == [1, 4]
    assert jobs.kept(history, "Carla") is None


def test_a_reading_that_went_on_from_the_others_is_not_independent_and_a_warning_says_so(exams):
    for exam in exams[:2]:
        first = save(exam, shave)
        save(exam, to_disc, annotator="Bela", parent=first.mask)
    section = jobs.raters(exams)
    assert table(section, "raters-exams")["independent"].tolist() == ["no", "no"]
    assert "2 of 2 exams" in section.warnings[0] and "blind" in section.warnings[0]


def test_annotators_are_those_who_share_most_exams_or_those_who_are_named(exams):
    for exam in exams:
        save(exam, shave)
    save(exams[0], to_disc, annotator="Bela", blind=True)
    for exam in exams[:2]:
        save(exam, to_disc, annotator="Carla", blind=True)
    assert jobs.raters(exams).title == "Agreement of Anna and Carla"
    assert jobs.raters(exams, ("Bela", "Anna")).title == "Agreement of Bela and Anna"
    with pytest.raises(InputError, match=r"no revision by 'Dora'.*Anna \(4\)"):
        jobs.raters(exams, ("Anna", "Dora"))
    with pytest.raises(InputError, match="name two people"):
        jobs.raters(exams, ("Anna", " Anna"))


def test_without_two_people_at_one_exam_nothing_is_compared(exams):
    with pytest.raises(InputError, match="nobody"):
        jobs.raters(exams)
    save(exams[0], shave)
    save(exams[1], shave, annotator="Bela")
    with pytest.raises(InputError, match=r"two people.*Anna \(1\)"):
        jobs.raters(exams)
    with pytest.raises(InputError, match="no exam that both Anna and Bela corrected"):
        jobs.raters(exams, ("Anna", "Bela"))


def test_a_damaged_mask_is_listed_and_the_other_exams_are_compared(exams, monkeypatch):
    for exam in exams:
        save(exam, shave)
        save(exam, to_disc, annotator="Bela", blind=True)
    read = volume.read_mask

    def failing(path, *more):
        if STEMS[1] in path.name:
            raise InputError(f"{path.name} cannot be read.")
        return read(path, *more)

    monkeypatch.setattr(volume, "read_mask", failing)
    section = jobs.raters(exams)
    left = table(section, "raters-left-out").iloc[0]
    assert left["exam"] == STEMS[1] and "cannot be read" in left["reason"]
    assert len(table(section, "raters-exams")) == 3


# Editing.


def test_what_editing_changed_is_counted_by_hand(exams):
    save(exams[0], shave)
    save(exams[1], to_disc, active_seconds=60.0)
    save(exams[2], None, active_seconds=None)
    section = jobs.editing(exams)
    classes = table(section, "editing-classes").set_index("structure")
    assert classes["source"].tolist() == [exams[0].source] * 2
    bodies, discs = classes.loc["bodies"], classes.loc["discs"]
    assert (bodies["exams"], bodies["changed"], bodies["voxels_added"], bodies["voxels_removed"]) == (3, 2, 0, 42)
    assert (discs["changed"], discs["voxels_added"], discs["voxels_removed"]) == (1, 21, 0)
    assert bodies["dice"] == pytest.approx((2 * (2 * 189 / 399) + 1) / 3)
    rows = table(section, "editing-exams")
    assert rows["relabelled"].tolist() == [0, 21, 0]
    slices = table(section, "editing-slices").set_index("place")
    # Three slices hold labels: two are outermost, one is second; 7 changed voxels in each, twice.
    assert slices.loc["outermost slice", ["slices", "voxels_changed"]].tolist() == [6, 28]
    assert slices.loc["second slice", ["slices", "voxels_changed"]].tolist() == [3, 14]
    times = table(section, "editing-time").iloc[0]
    assert (times["exams"], times["time_known"], times["minutes_median"]) == (3, 2, 1.5)
    assert times["hours_total"] == pytest.approx(3 / 60)
    assert any("without a change: 1 of 3 masks" in sentence for sentence in section.sentences)


def test_time_is_that_of_all_sessions_that_led_to_the_mask_and_of_no_other(exams):
    exam = exams[0]
    first = save(exam, shave, status="in review", active_seconds=100.0)
    save(exam, to_disc, annotator="Bela", blind=True, active_seconds=1000.0)
    save(exam, to_disc, parent=first.mask, active_seconds=50.0)
    row = table(jobs.editing([exam]), "editing-exams").iloc[0]
    assert (row["seconds"], row["sessions"], row["annotator"]) == (150, 2, "Anna")


def test_edits_at_the_ends_of_the_stack_are_seen_there(exams):
    for exam in exams:
        save(exam, on_the_edge)
    slices = table(jobs.editing(exams), "editing-slices").set_index("place")
    assert slices["voxels_changed"].tolist() == [20, 0, 0]


def test_time_and_changes_go_together_only_from_six_exams_on():
    ten = np.arange(10.0)
    assert editing._rho(ten, ten**2) == pytest.approx(1)
    assert np.isnan(editing._rho(ten[:5], ten[:5])) and np.isnan(editing._rho(ten, np.ones(10)))


def test_a_correction_whose_source_is_gone_is_listed(exams):
    for exam in exams[:2]:
        save(exam, shave)
    review_cases.edit(exams[0].mask, 5)
    section = jobs.editing(exams)
    left = table(section, "editing-left-out").iloc[0]
    assert left["exam"] == STEMS[0] and "changed" in left["reason"]
    assert table(section, "editing-exams")["exam"].tolist() == [STEMS[1]]


def test_a_source_that_a_model_made_is_found_though_another_model_came_later(tmp_path):
    exam = make_exam(tmp_path / "dataset")
    exam.mask.unlink()
    exam = review_cases.open_exam(tmp_path / "dataset")
    made = review_cases.predict(exam, "first", 3)
    save_from = volume.read_mask(made)
    revisions.save(exam, save_from, status="accepted", annotator="Anna", parent=made)
    review_cases.predict(exam, "second", 9)
    row = table(jobs.editing([exam]), "editing-exams").iloc[0]
    assert (row["source"], row["dice_bodies"]) == ("predicted", 1)


def test_without_an_accepted_correction_there_is_nothing_to_say(exams):
    save(exams[0], shave, status="in review")
    with pytest.raises(InputError, match="accept some"):
        jobs.editing(exams)


# Levels and commands, on masks that have levels.


@pytest.fixture(scope="module")
def reviewed(_tiny_sample, tmp_path_factory):
    """The sample with an exam that Anna and Bela corrected, Bela without any change."""
    import shutil

    root = tmp_path_factory.mktemp("raters") / "jeu de données"
    shutil.copytree(_tiny_sample, root)
    for exam in Dataset.open(root).exams()[:1]:
        source = volume.read_mask(exam.mask)
        labels = source.array.copy()
        labels[tuple(np.argwhere(labels == 1)[0])] = 0
        edited = volume.like(source, labels)
        revisions.save(exam, edited, status="accepted", annotator="Anna", parent=exam.mask, active_seconds=60.0)
        revisions.save(exam, source, status="accepted", annotator="Bela", parent=exam.mask, blind=True)
    return root


def test_levels_are_compared_and_the_pictures_can_be_drawn(reviewed):
    exams = Dataset.open(reviewed).exams()[:1]
    for section in (jobs.raters(exams), jobs.editing(exams)):
        levels = table(section, f"{section.key}-levels")
        assert {"C2", "C2-C3"} <= set(levels["level"])
        assert levels["level"].tolist() == sorted(levels["level"], key=lambda name: "-" in name)
        assert section.figures
        for figure in section.figures:
            assert "<svg" in plots.draw(figure)


def test_the_commands_print_for_people_and_for_programs_and_write_tables(said, reviewed, tmp_path):  # noqa: F811
    before = {path: files.sha256(path) for path in reviewed.rglob("*") if path.is_file()}
    code, out, _ = said("raters", "--dataset", reviewed, "--query", "source == 'gold'", "--annotators", "Anna", "Bela")
    assert code == 0 and "Anna and Bela agree on the vertebral bodies of 1 exam with" in out
    code, out, _ = said("editing", "--dataset", reviewed, "--json", "--output", tmp_path / "tables")
    assert code == 0 and json.loads(out)["key"] == "editing"
    assert (tmp_path / "tables" / "editing-levels.tsv").is_file()
    assert {path: files.sha256(path) for path in reviewed.rglob("*") if path.is_file()} == before


def test_bad_input_of_the_commands_is_one_sentence(said, reviewed):  # noqa: F811
    assert "by 'Carla'" in refused(said("raters", "--dataset", reviewed, "--annotators", "Anna", "Carla"))
    assert "query" in refused(said("editing", "--dataset", reviewed, "--query", "age > 200"))
    assert "--dataset" in refused(said("raters"))
