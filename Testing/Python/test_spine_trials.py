"""Trials hold what they say, and the score finds what is wrong with a labelling."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CSpineSegLib import phantom, volume
from CSpineSegLib.anatomy import BODY, DISC, level_value
from CSpineSegLib.errors import InputError
from CSpineSegLib.phantom.geometry import names_of
from CSpineSegLib.phantom.shape import VERTEBRAE
from CSpineSegLib.spine import trials, trials_cases, trials_spoiled
from CSpineSegLib.spine.labelling import Element, Labelling

BENCH = Path(__file__).resolve().parents[1] / "Benchmarks" / "levels_bench.py"
GRID = phantom.grid_around((90, 140, 13), (1.6, 1.6, 4.0), "PSR")
BLOCK = ("C5", "C6")


def person(fused: bool = False) -> trials.Trial:
    mask, levels = phantom.truth(0, GRID, fused=(BLOCK,) if fused else (("T6", "T7"),))
    return trials.Trial("whole", 0, volume.from_array(mask, GRID.affine), levels, (BLOCK,) if fused else ())


@pytest.fixture(scope="module")
def whole() -> trials.Trial:
    return person()


@pytest.fixture(scope="module")
def fused() -> trials.Trial:
    return person(fused=True)


def perfect(trial: trials.Trial, absolute: bool = True, join: bool = True) -> Labelling:
    """What a faultless method says; with `join`, a block is one element."""
    volume_of, elements, place = np.zeros(trial.mask.shape, np.uint16), [], {}
    for name in names_of(trial.levels):
        block = next((block for block in trial.blocks if join and name in block), (name,))
        if block not in place:
            place[block] = len(place) + 1
            kind = "disc" if "-" in name else "block" if len(block) > 1 else "body"
            ordinal = VERTEBRAE.index(name.split("-")[0]) + 1
            spans = 0 if kind == "disc" else len(block)
            elements.append(Element(kind, block if absolute else (), ordinal, (len(place),), 1.0, spans=spans))
        volume_of[trial.levels == level_value(name)] = place[block]
    return Labelling(volume_of, (), tuple(elements), (), absolute, "known", 1.0, np.zeros((0, 3)))


def changed(labelling: Labelling, name: str, **values) -> Labelling:
    elements = [replace(e, **values) if name in e.levels else e for e in labelling.elements]
    return replace(labelling, elements=tuple(elements))


def without(labelling: Labelling, name: str) -> Labelling:
    return replace(labelling, elements=tuple(e for e in labelling.elements if name not in e.levels))


def test_a_faultless_labelling_is_right(whole, fused):
    assert trials.score(perfect(whole), whole) == trials.Score("right", False, 0, 0)
    assert trials.score(perfect(fused), fused) == trials.Score("right", False, 1, 1)
    assert trials.score(perfect(fused, absolute=False), fused) == trials.Score("relative", False, 1, 1)


def test_names_that_are_one_off_are_false(whole):
    elements = []
    for element in perfect(whole).elements:
        parts = [VERTEBRAE[min(VERTEBRAE.index(part) + 1, 12)] for part in element.levels[0].split("-")]
        elements.append(replace(element, levels=("-".join(parts),)))
    found = trials.score(replace(perfect(whole), elements=tuple(elements)), whole)
    assert found.outcome == "wrong" and found.false_names
    assert "C3-C4 is C2-C3" in found.faults


def test_a_missing_body_or_disc_is_a_fault_but_no_false_name(whole):
    for name in ("C2", "C4-C5", "C7"):
        found = trials.score(without(perfect(whole), name), whole)
        assert found == trials.Score("wrong", False, 0, 0, (f"{name} not found",))


def test_an_element_of_specks_that_bears_a_name_is_false(whole):
    labelling = perfect(whole)
    array = labelling.instances_volume.copy()
    array[:2, :2, 0] = 99
    extra = Element("disc", ("C2-C3",), 1, (99,), 1.0, spans=0)
    found = trials.score(replace(labelling, instances_volume=array, elements=(*labelling.elements, extra)), whole)
    assert found.outcome == "wrong" and found.false_names and found.faults == ("C2-C3 is nothing",)


def test_a_block_split_into_its_vertebrae_has_right_levels_but_is_not_named(fused):
    assert trials.score(perfect(fused, join=False), fused) == trials.Score("right", False, 1, 0)


def test_a_block_taken_for_one_body_is_a_fault_even_if_it_bears_a_name_of_its_own(fused):
    found = trials.score(changed(perfect(fused), "C5", kind="body", levels=("C5",), spans=1), fused)
    assert found.outcome == "wrong" and not found.false_names and found.named_blocks == 0
    assert trials.score(changed(perfect(fused), "C5", kind="body"), fused).named_blocks == 0
    found = trials.score(changed(perfect(fused), "C5", levels=("C5", "C6", "C7"), spans=3), fused)
    assert found.outcome == "wrong" and found.false_names


def test_two_bodies_that_are_not_grown_together_are_no_block(whole):
    labelling = perfect(whole)
    upper, lower = (labelling.element_of(name) for name in BLOCK)
    joined = replace(upper, kind="block", levels=BLOCK, instances=upper.instances + lower.instances, spans=2)
    kept = [joined if e is upper else e for e in labelling.elements if e is not lower]
    found = trials.score(replace(labelling, elements=tuple(kept)), whole)
    assert found.outcome == "wrong" and found.faults == ("C5-C6 is no block",)


def test_relative_ordinals_may_begin_anywhere_but_must_keep_their_distance(fused):
    labelling = perfect(fused, absolute=False)
    later = tuple(replace(e, ordinal=e.ordinal + 4) for e in labelling.elements)
    assert trials.score(replace(labelling, elements=later), fused).outcome == "relative"
    slipped = tuple(replace(e, ordinal=e.ordinal - (k > 8)) for k, e in enumerate(labelling.elements))
    assert trials.score(replace(labelling, elements=slipped), fused).faults == ("ordinals differ by 1 along the spine",)
    short = tuple(replace(e, spans=1) if e.kind == "block" else e for e in labelling.elements)
    assert trials.score(replace(labelling, elements=short), fused).outcome == "wrong"


def test_nothing_found_is_not_right(whole):
    empty = replace(perfect(whole), elements=(), instances_volume=np.zeros(whole.mask.shape, np.uint16))
    assert trials.score(empty, whole).outcome == "wrong"


def test_what_the_edge_cuts_to_less_than_half_may_be_missing_but_not_have_another_name(whole):
    rows, axis = trials_cases.heights(whole)
    others = tuple({0, 1, 2} - {axis})
    seen = rows[(whole.levels == level_value("T1")).any(axis=others)]
    cut = trials_cases.crop(whole, int(seen.max()) - 2, np.inf)
    assert names_of(cut.levels)[-1] == "T1" and trials.Truth(cut).needed[-1] == "C7-T1"
    assert trials.score(without(perfect(cut), "T1"), cut).outcome == "right"
    assert trials.score(perfect(cut), cut).outcome == "right"
    assert trials.score(changed(perfect(cut), "T1", levels=("T2",)), cut).false_names


def test_a_crop_keeps_every_voxel_at_its_place_in_the_patient(whole):
    part = trials_cases.crop(whole, 30, 120)
    for name in ("C4", "C4-C5", "C5"):
        places = [
            volume.grid.apply(one.mask.affine, np.argwhere(one.levels == level_value(name))) for one in (whole, part)
        ]
        assert len(places[0]) and np.allclose(*places)


def test_the_click_lies_in_the_body_that_it_names_and_in_no_block(fused):
    name, place = trials.anchor_of(fused)
    index = np.linalg.inv(fused.mask.affine) @ np.append(place, 1)
    assert fused.levels[tuple(np.rint(index[:3]).astype(int))] == level_value(name)
    assert name not in BLOCK


def test_a_relative_labelling_is_tried_again_with_a_click(whole):
    asked = []

    def label(mask, anchor=None):
        asked.append(anchor)
        return perfect(whole, absolute=anchor is not None)

    found = trials.run(whole, label)
    assert found.score.outcome == "relative" and found.anchored.outcome == "right"
    assert asked == [None, trials.anchor_of(whole)]


def test_a_click_that_is_refused_is_no_right_labelling(whole):
    def label(mask, anchor=None):
        if anchor:
            raise InputError("C5 cannot be there.")
        return perfect(whole, absolute=False)

    assert trials.run(whole, label).anchored == trials.Score("wrong", False, 0, 0, ("C5 cannot be there.",))


@pytest.mark.parametrize("name", trials_spoiled.FAULTS)
def test_a_fault_changes_the_mask_and_keeps_the_truth_with_it(whole, name):
    mask, levels = whole.mask.array.copy(), whole.levels.copy()
    told = trials_spoiled.FAULTS[name](mask, levels, GRID, np.random.default_rng(1))
    assert told and not np.array_equal(mask, whole.mask.array)
    named = levels > 0
    assert not (named & (mask == 0)).any()
    discs = np.isin(levels, [level_value(n) for n in names_of(levels) if "-" in n])
    assert (mask[named & discs] == DISC).all() and (mask[named & ~discs] == BODY).all()
    assert (name in ("specks", "disc on the dens")) == bool((mask[~named] > 0).any())


def test_no_fault_takes_a_vertebra_away(whole):
    for name, fault in trials_spoiled.FAULTS.items():
        mask, levels = whole.mask.array.copy(), whole.levels.copy()
        fault(mask, levels, GRID, np.random.default_rng(2))
        gone = set(names_of(whole.levels)) - set(names_of(levels))
        assert len(gone) == (name == "missing disc") and all("-" in level for level in gone)


def test_a_kind_that_does_not_exist_is_refused():
    with pytest.raises(InputError, match="'lumbar' is not a kind of trial; whole, wide"):
        trials.make("lumbar", 0)


def test_cut_trials_hold_no_c2_body_whole_and_end_where_their_note_says():
    for kind in ("C2 cut off", "C2 not in the mask", "four vertebrae"):
        made = trials.make(kind, 3)
        names = [name for name in trials.Truth(made).needed if name in VERTEBRAE]
        if kind == "four vertebrae":
            first, last = made.note.split(", ")[-1].split(" to ")
            assert names == list(VERTEBRAE[VERTEBRAE.index(first) : VERTEBRAE.index(last) + 1])
        else:
            full = trials_cases._person(3)
            count = [np.count_nonzero(one.levels == level_value("C2")) for one in (made, full)]
            assert count[0] < 0.75 * count[1]
        assert np.array_equal(made.mask.array > 0, made.levels > 0)


def test_a_trial_is_the_same_each_time():
    first = trials.make("congenital", 1)
    trials_cases._kept.cache_clear()
    again = trials.make("congenital", 1)
    assert np.array_equal(first.mask.array, again.mask.array) and first.note == again.note
    assert first.blocks and all(set(block) <= set(VERTEBRAE) for block in first.blocks)


def test_the_benchmark_renews_the_table_of_a_document_and_lists_what_failed(tmp_path):
    document, listed, kept = tmp_path / "levels.md", tmp_path / "failures.txt", tmp_path / "kept"
    document.write_text("before\n<!-- trials -->\nold\n<!-- end of trials -->\nafter\n", encoding="utf-8")
    words = ["--count", "1", "--kinds", "four vertebrae", "--keep", str(kept)]
    words += ["--document", str(document), "--failures", str(listed)]
    for _ in range(2):  # the second time from what the first has kept
        subprocess.run([sys.executable, str(BENCH), *words], check=True, stdout=subprocess.DEVNULL)
        text = document.read_text(encoding="utf-8")
        assert text.startswith("before\n<!-- trials -->\nTrials 0 to 0 of each kind.\n\n| masks |") and text.endswith(
            "<!-- end of trials -->\nafter\n"
        )
        assert "| four vertebrae | " in text and "old" not in text
    assert listed.is_file() and len(list(kept.glob("*.npz"))) == 1
