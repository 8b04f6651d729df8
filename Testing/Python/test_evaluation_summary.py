"""Summaries of an evaluation: figures whose answer is known, empty masks counted, blocks as what they are."""

from __future__ import annotations

import numpy as np
import pytest
from evaluate_cases import PARTS, judged, moved

from CSpineSegLib.evaluation import summary, worst
from CSpineSegLib.evaluation.statistics import bootstrap

BLOCK = (
    ("body", ("C3",), (4, 14)),
    ("disc", ("C3-C4",), (14, 18)),
    ("block", ("C4", "C5"), (18, 42)),
)
SHIFTED = tuple(
    (kind, names, rows)
    for (kind, _, rows), names in zip(PARTS, [("C4",), ("C4-C5",), ("C5",), ("C5-C6",), ("C6",)], strict=True)
)
SAME = ((PARTS, True), (PARTS, True))
EXAMS = {
    "a": SAME,
    "b": ((PARTS, True), (moved(PARTS, 1), True)),
    "c": ((PARTS, True), ([part for part in PARTS if part[0] == "body"], True)),
    "d": ((PARTS, True), (SHIFTED, True)),
    "e": ((BLOCK, True), (PARTS, True)),
    "f": ((PARTS, False), (moved(PARTS, 2), True)),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    patients = ["p1", "p1", "p2", "p3", "p4", "p5"]
    quality = [0.95, 0.9, None, None, None, None]
    return judged(tmp_path_factory.mktemp("judged"), EXAMS, patient=patients, quality=quality)


def row(frame, **where):
    for column, value in where.items():
        frame = frame[frame[column] == value]
    (found,) = frame.to_dict("records")
    return found


def table(section, name):
    (wanted,) = [one for one in section.tables if one.name == name]
    return wanted.frame


def test_mean_spread_and_quartiles_are_those_of_the_exams(found):
    dice = found.values("dice", "bodies").to_numpy()
    # Bodies of 10 rows moved by 1 and by 2; block: two bodies of 10 rows where the block has 24.
    known = [1, 0.9, 1, 1, 2 * 30 / (34 + 30), 0.8]
    assert dice == pytest.approx(known)
    line = row(summary.spreads(found), structure="bodies", metric="dice")
    assert (line["exams"], line["patients"], line["without_value"], line["one_empty"]) == (6, 5, 0, 0)
    assert line["mean"] == pytest.approx(np.mean(known)) and line["sd"] == pytest.approx(np.std(known, ddof=1))
    assert [line[name] for name in ("q1", "median", "q3")] == pytest.approx(np.percentile(known, (25, 50, 75)))


def test_the_interval_draws_patients_and_not_exams(found):
    line = row(summary.spreads(found), structure="bodies", metric="dice")
    dice, patients = found.values("dice", "bodies"), found.exams["patient"]
    by_patient = bootstrap(dice.to_numpy(), patients[dice.index].to_numpy())
    assert (line["low"], line["high"]) == (by_patient.low, by_patient.high)
    by_exam = bootstrap(dice.to_numpy())
    assert (line["low"], line["high"]) != (by_exam.low, by_exam.high)


def test_a_structure_that_only_one_mask_has_is_counted_and_not_dropped(found):
    frame = summary.spreads(found)
    dice, far = (row(frame, structure="discs", metric=metric) for metric in ("dice", "hd95_mm"))
    assert dice["one_empty"] == 1 and dice["exams"] == 6 and dice["without_value"] == 0
    assert far["exams"] == 5 and far["without_value"] == 1
    known = [1, 0.75, 0, 1, 2 * 4 / (4 + 8), 0.5]
    assert dice["mean"] == pytest.approx(np.mean(known)), "its Dice is 0 and lowers the mean"


def test_against_silver_the_page_carries_the_warning(tmp_path, found):
    assert summary.section(found).warnings == ()
    silver = judged(tmp_path, {"a": SAME}, ruler="silver")
    assert summary.SILVER_WARNING in summary.section(silver).warnings
    assert "Silver masks" in summary.section(silver).sentences[0]
    other = judged(tmp_path / "other", {"a": SAME}, ruler="readers")
    assert "the masks in readers" in summary.section(other).sentences[0]


def test_published_figures_stand_beside_only_when_asked_for(found):
    plain, asked = (table(summary.section(found, published=one), "conventions") for one in (False, True))
    assert set(asked.columns) - set(plain.columns) == {
        "published 2D",
        "published 3D full resolution",
        "published ensemble",
    }
    assert row(asked, structure="macro")["published ensemble"] == 0.916


def test_figures_have_the_data_that_plots_ask_for(found):
    dice, calibration = summary.section(found).figures
    assert dice.kind == "groups" and {dice.data["value"], dice.data["group"]} <= set(dice.data["frame"].columns)
    assert calibration.kind == "calibration"
    assert calibration.data["score"] == pytest.approx([0.95, 0.9])
    assert calibration.data["truth"] == pytest.approx([1, (0.9 + 0.75) / 2])


def test_levels_stand_from_head_to_foot_with_what_is_missing_as_zero(found):
    frame = table(summary.levels_section(found), "levels")
    assert frame["level"].to_list() == [
        *("C3", "C3-C4", "C4", "C4-C5", "C5"),
        *("bodies without a name", "discs without a name"),
    ]
    disc = row(frame, level="C3-C4")
    assert disc["exams"] == 5 and disc["missing"] == 1
    assert disc["dice"] == pytest.approx(np.mean([1, 0.75, 0, 1, 1]))
    assert disc["dice_matched"] == pytest.approx(np.mean([1, 0.75, 1, 1]))
    body = row(frame, level="C4")
    assert body["exams"] == 4, "the exam with a block has no C4 by itself"
    assert body["shifted"] == 1 and body["missing"] == 0
    assert frame.set_index("level")["in_blocks"].to_dict() == {level: level in ("C4", "C5") for level in frame["level"]}
    relative = row(frame, level="bodies without a name")
    assert relative["exams"] == 1 and relative["dice"] == pytest.approx(0.8)


def test_what_has_the_same_name_is_told_apart_from_what_lies_on_each_other(found):
    frame = table(summary.levels_section(found), "levels")
    # In the shifted exam nothing of the reference's C3 is called C3, and what is called C4 is another body.
    assert row(frame, level="C3")["dice"] == pytest.approx(np.mean([1, 0.9, 1, 1, 1]))
    assert row(frame, level="C3")["named_dice"] == pytest.approx(np.mean([1, 0.9, 1, 0, 1]))


def test_blocks_have_rows_of_their_own(found):
    blocks = table(summary.levels_section(found), "levels-blocks").to_dict("records")
    assert [(one["exam"], one["block"], one["match"]) for one in blocks] == [("e", "C4+C5", "fused in reference")]
    assert blocks[0]["dice"] == pytest.approx(2 * 20 / (24 + 20))


def test_events_count_what_a_block_explains_apart(found):
    count = table(summary.levels_section(found), "levels-events").set_index("event")["count"]
    assert count["discs missing"] == 2, "both discs of the exam without any"
    assert (count["discs extra"], count["discs extra within a block"]) == (0, 1)
    assert count["bodies fused in reference"] == 1 and count["bodies fused in candidate"] == 0
    assert count["exams with shifted levels"] == 1 and count["exams whose shift cannot be told"] == 1


def test_the_level_shift_rate_is_said_of_the_exams_that_can_tell(found):
    said = " ".join(summary.levels_section(found).sentences)
    assert "Levels are shifted in 1 of 5 exams" in said and "level-shift rate is 20.0 %" in said
    assert "In 1 exam a mask shows no level to count from" in said


def test_the_worst_come_first_with_the_ways_in_which_they_failed(found):
    frame = worst.table(found)
    assert frame["exam"].to_list() == ["c", "f", "e", "b", "a", "d"]
    ways = dict(zip(frame["exam"], frame["categories"], strict=True))
    assert ways == {
        "a": "",
        "b": "low overlap",
        "c": "empty; low overlap; missing",
        "d": "shifted levels",
        "e": "low overlap; far border; fused otherwise",
        "f": "low overlap",
    }
    section = summary.worst_section(found)
    counts = table(section, "failures").set_index("category")["exams"]
    assert counts["low overlap"] == 4 and counts["none of these"] == 1 and counts["far border"] == 1
    assert section.sentences[0].startswith("The worst exam is c with a Dice of 1.000 (bodies) and 0.000 (discs)")


def test_a_border_that_lies_far_off_is_a_failure_of_its_own(tmp_path):
    stray = [*PARTS, ("body", ("C7",), (54, 60))]
    exams = {"a": SAME, "b": ((PARTS, True), (stray, True))}
    frame = worst.table(judged(tmp_path, exams)).set_index("exam")
    assert frame.loc["b", "far border"] and not frame.loc["a", "far border"]
    assert frame.loc["b", "extra"] and frame.loc["b", "categories"] == "far border; extra"


def test_pictures_of_the_worst_are_figures_where_they_were_drawn(found):
    folder = found.folder / "pictures"
    folder.mkdir(exist_ok=True)
    for exam in ("c", "f"):
        (folder / f"{exam}.png").write_bytes(exam.encode())
    figures = summary.worst_section(found).figures
    assert [(one.name, one.kind, one.data["png"]) for one in figures] == [
        ("worst-1", "picture", b"c"),
        ("worst-2", "picture", b"f"),
    ]
    assert "c: Dice 1.000 (bodies), 0.000 (discs); empty" in figures[0].caption
    assert summary.worst_section(found, pictures=False).figures == ()
