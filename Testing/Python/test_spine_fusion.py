"""The scored model of a sequence, on heights alone: how many vertebrae, which level first, and how sure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from CSpineSegLib.spine import fusion, naming, sizes
from CSpineSegLib.spine.fusion import Evidence
from CSpineSegLib.spine.sheets import Sheet
from CSpineSegLib.spine.stretches import End


def sheet(place: float, volume: float = 1000.0, cut: bool = False) -> Sheet:
    return Sheet(np.zeros(1, int), place, np.zeros(2), 5.0, volume, cut)


def evidence(
    first: str = "C2", last: str = "T2", *, fused: tuple[str, ...] = (), scale: float = 1.0, peak: float = 9.0
) -> Evidence:
    """That of a spine of expected sizes; `fused` names the upper vertebra of each pair without a disc."""
    levels = range(sizes.NAMES.index(first), sizes.NAMES.index(last) + 1)
    sheets, along = [], 0.0
    for level in levels:
        along += sizes.HEIGHT[level] * scale
        disc = sizes.DISC[level] * scale
        if level != levels[-1]:
            if sizes.NAMES[level] in fused:
                along += sizes.LEFT_OF_DISC * disc
            else:
                sheets.append(sheet(along + disc / 2))
                along += disc
    upper = End(sheets[0].place, peak, 0.5, 7.5, 20.0, 3000.0)
    lower = End(along - sheets[-1].place, 0.0, 0.0, 7.5, 20.0, 3000.0)
    count = len(sheets) + 1
    depth = sizes.DEPTH[levels[0]] * scale
    return Evidence(sheets, np.full(count, 2500.0), np.full(count, depth), [upper] * 4, [lower] * 4)


def spans(reading: fusion.Reading) -> list[int]:
    return [step.spans for step in reading.steps]


@pytest.mark.parametrize("scale", [0.55, 0.8, 1.0, 1.3])
def test_expected_heights_are_single_vertebrae_in_people_of_any_size(scale):
    reading = fusion.read(evidence(scale=scale))
    assert spans(reading) == [1] * 8 and reading.first == 0
    assert min(reading.sure) > 0.98


@pytest.mark.parametrize("fused", [("C2",), ("C4",), ("C3", "C6"), ("C4", "C5"), ("T1",), ("C3", "C4", "C5")])
def test_a_stretch_as_tall_as_several_vertebrae_is_a_block(fused):
    reading = fusion.read(evidence(fused=fused))
    assert sum(spans(reading)) == 8 and reading.first == 0
    told = [sizes.NAMES[step.above] for step in reading.steps for _ in range(step.spans - 1)]
    assert len(told) == len(fused) and set(told) <= set(fused)


def test_worn_discs_and_a_compressed_vertebra_are_no_reason_for_another_count():
    found = evidence()
    places = np.array([each.place for each in found.sheets])
    places[3:] -= 3.5
    places[4:] -= 2.5
    shrunk = replace(found, sheets=[sheet(place) for place in places])
    assert spans(fusion.read(shrunk)) == [1] * 8


def test_a_crumb_of_disc_inside_a_body_is_passed_over():
    found = evidence()
    middle = (found.sheets[2].place + found.sheets[3].place) / 2
    sheets = [*found.sheets[:3], sheet(middle, volume=40.0), *found.sheets[3:]]
    more = replace(found, sheets=sheets, volume=np.full(9, 2500.0), depth=np.full(9, 15.0))
    reading = fusion.read(more)
    assert sum(spans(reading)) == 8 and 3 not in [step.lower for step in reading.steps]


def test_a_crumb_of_disc_above_the_first_body_is_no_disc_unless_the_image_ends_there():
    found = evidence(peak=0.0)

    def first_disc(cut: bool) -> int:
        sheets = [sheet(found.sheets[0].place - 17.0, volume=20.0, cut=cut), *found.sheets]
        upper = [None, *found.upper[:3]]
        more = replace(found, sheets=sheets, volume=np.full(9, 2500.0), depth=np.full(9, 15.0), upper=upper)
        return fusion.read(more).steps[0].lower

    assert first_disc(cut=False) == 1 and first_disc(cut=True) == 0


def test_a_first_disc_with_a_whole_body_above_it_is_no_dens():
    def passed(above: float) -> float:
        found = evidence()
        return fusion._reality(replace(found, volume=np.array([above, *found.volume[1:]])))[1][0]

    assert passed(2500.0) == -12.0 and passed(300.0) == -6.0


def test_first_levels_are_probabilities_and_the_dens_decides():
    tall, flat = fusion.read(evidence(peak=9.0)), fusion.read(evidence(peak=0.0))
    assert tall.firsts.sum() == pytest.approx(1.0) and flat.firsts.sum() == pytest.approx(1.0)
    assert tall.firsts[0] > 0.99 and flat.firsts[0] < 0.6 and flat.firsts.max() < 0.95


def test_a_dens_at_the_edge_of_the_image_counts_less_than_one_in_the_open_but_more_than_none():
    def odds(peak: float, room: float) -> float:
        return float(fusion.start_with_body(End(17.0, peak, 0.5, 7.5, room, 3000.0))[0])

    assert odds(9.0, 20.0) > odds(3.5, 0.0) > odds(0.0, 0.0) > odds(0.0, 20.0)


def test_a_mask_that_begins_with_a_disc_does_not_begin_with_c2():
    found = evidence("C3", "T2", peak=0.0)
    reading = fusion.read(replace(found, upper=[None] * 4))
    assert spans(reading)[0] == 0 and reading.firsts[0] == 0.0


def test_heights_like_those_of_the_chest_speak_for_a_neck_of_six():
    def odds(lacks: str | None) -> dict[int, float]:
        found, along, sheets = evidence("C2", "T5"), 0.0, []
        names = [name for name in sizes.NAMES if name != lacks][: len(found.sheets) + 1]
        for level in map(sizes.NAMES.index, names):
            along += sizes.HEIGHT[level] + sizes.DISC[level]
            sheets.append(sheet(along - sizes.DISC[level] / 2))
        return fusion.read(replace(found, sheets=sheets[:-1])).necks

    usual, six = odds(None), odds("C7")
    assert set(usual) == {6, 8} and max(usual.values()) < -4
    assert six[6] > usual[6] and six[8] < usual[8]
    assert fusion.read(evidence("C2", "C6")).necks == {}


def test_a_gap_between_bodies_is_a_disc_without_label_if_heights_agree():
    found = evidence()
    sheets = list(found.sheets)
    sheets[3] = replace(sheet(sheets[3].place, volume=0.0), members=np.zeros(0, int), gap=5.0)
    assert not sheets[3].labelled
    assert spans(fusion.read(replace(found, sheets=sheets))) == [1] * 8
    middle = replace(sheets[3], place=(sheets[4].place + sheets[5].place) / 2, gap=1.0)
    more = [*found.sheets[:5], middle, *found.sheets[5:]]
    torn = replace(found, sheets=more, volume=np.full(9, 2500.0), depth=np.full(9, 15.0))
    assert sum(spans(fusion.read(torn))) == 8


def test_counts_are_sure_above_a_disc_that_may_be_none():
    found = evidence()
    # Between the volumes of a speck and of a disc.
    crumb = sheet(found.sheets[-1].place + 15.0, volume=200.0)
    lower = [replace(found.lower[0], height=5.0, room=0.0, volume=200.0), *found.lower[:3]]
    more = replace(found, sheets=[*found.sheets, crumb], volume=np.full(9, 2500.0), depth=np.full(9, 15.0), lower=lower)
    reading = fusion.read(more)
    assert min(reading.sure) < 0.6 and min(reading.counted) > 0.99


def test_a_count_that_is_not_clear_gives_no_names():
    reading = fusion.read(evidence())
    assert naming.first_level(reading)[0] == 0
    unclear = replace(reading, counted=[1.0, 0.7, 0.7, *reading.counted[3:]])
    first, reason, confidence = naming.first_level(unclear)
    assert first is None and "from the top to number 2 is not clear" in reason and confidence <= 0.5


def test_other_counts_are_behind_the_best():
    reading = fusion.read(evidence(fused=("C4",)))
    assert reading.others and min(reading.others.values()) >= 0.0
    block = next(step for step in reading.steps if step.spans == 2)
    assert reading.others[block, 1] > 2.0


def test_the_sum_over_all_paths_is_that_of_enumerating_them():
    lattice = fusion._Lattice(evidence("C2", "C5", fused=("C3",)))
    total = lattice.passes(np.logaddexp)
    prior = total.forward[0][0]

    def paths(node: int, above: int, score: np.ndarray):
        if node == lattice.last:
            yield score
        for (upper, lower, many), weight in lattice.weights.items():
            if upper + 1 == node and above + many < lattice.counts:
                yield from paths(lower + 1, above + many, score + weight[above])

    scores = list(paths(0, 0, prior))
    assert len(scores) > 50
    assert np.allclose(
        np.logaddexp.reduce(np.array(scores).reshape(-1)), np.logaddexp.reduce(total.forward[-1].reshape(-1))
    )
    best = lattice.passes(np.maximum)
    assert np.max(scores) == pytest.approx(best.forward[-1].max())


def test_expected_heights_grow_with_every_vertebra_and_count_half_of_the_discs_beside():
    single = sizes.stretch(1, False, False)
    assert np.allclose(single, sizes.HEIGHT)
    assert np.allclose(sizes.stretch(1, False, True) - single, sizes.DISC / 2)
    two = sizes.stretch(2, False, False)[:-1]
    assert np.allclose(two, sizes.HEIGHT[:-1] + sizes.HEIGHT[1:] + sizes.LEFT_OF_DISC * sizes.DISC[:-1])
