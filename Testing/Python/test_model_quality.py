"""How far a mask can be trusted: doubt where the views differ, less Dice predicted, and no number without a fit."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from CSpineSegLib.errors import Cancelled, ModelError
from CSpineSegLib.model import calibration, preprocess, quality
from CSpineSegLib.model.calibration import Calibration, Line
from CSpineSegLib.progress import Progress

SHAPE = (6, 40, 36)
WAY = preprocess.Way(SHAPE[1:], (0.7, 0.7), SHAPE[1:], (0.7, 0.7), 4.0)
AREA = 0.49


def image() -> np.ndarray:
    """Slices with a body (intensity 2) above a disc (intensity 4) in the four middle ones."""
    slices = np.zeros(SHAPE, np.float32)
    slices[1:5, 8:20, 10:26] = 2.0
    slices[1:5, 20:27, 10:26] = 4.0
    return slices


def sure(slices: np.ndarray) -> np.ndarray:
    """A network that tells classes by intensity, whatever the view, and is nearly sure."""
    logits = np.stack([-np.square(slices - level) for level in (0.0, 2.0, 4.0)]) * 3
    maps = np.exp(logits - logits.max(axis=0))
    return maps / maps.sum(axis=0)


def undecided(strength: float):
    """The same network, except that it calls the left half of what it is shown background with some strength."""

    def network(slices: np.ndarray) -> np.ndarray:
        maps = sure(slices).copy()
        half = slice(0, len(slices) // 2)
        maps[:, half] *= 1 - strength
        maps[0, half] += strength
        return maps

    return network


def lines(names=("expected", "mirror")) -> dict[str, Line]:
    found = {}
    for key in calibration.STRUCTURES:
        weights = {f"{key}_{name}": 0.5 for name in names}
        found[key] = Line(-1.0, weights, {name: (-4.0, 5.0) for name in weights})
    return found


def judged(network, views=("mirror",), slices=None, labels=None, temperature=1.0) -> quality.Quality:
    slices = image() if slices is None else slices
    maps = network(slices)
    labels = maps.argmax(axis=0).astype(np.uint8) if labels is None else labels
    fitted = Calibration(1.0, temperature, tuple(views), lines(("expected", *views)))
    return quality.assess(fitted, labels, maps, slices, WAY, AREA, network)


def test_views_that_agree_leave_little_doubt_and_predict_a_good_mask():
    found = judged(sure)
    assert found.doubt.shape == SHAPE and found.doubt.dtype == np.uint8
    assert found.doubt.max() <= 1 and found.per_slice.max() < 0.01
    assert found.score == pytest.approx((found.dice_bodies + found.dice_discs) / 2)
    assert 0.9 < found.score < 1


def test_where_views_disagree_there_is_doubt_and_elsewhere_there_is_none():
    found = judged(undecided(0.9))
    spine = image() > 0
    # In one of the two views every other half was called background.
    assert found.doubt[spine].min() > 30
    assert found.doubt[~spine].max() < 5
    assert found.per_slice[[1, 2, 3, 4]].min() > 0.2
    assert found.per_slice[[0, 5]].max() < 0.05


def test_the_more_views_disagree_the_less_dice_is_predicted():
    scores = [judged(undecided(strength)).score for strength in (0.0, 0.2, 0.4, 0.55, 0.9)]
    assert scores == sorted(scores, reverse=True) and scores[0] - scores[-1] > 0.1


def test_a_voxel_whose_label_is_not_the_likely_one_is_in_doubt():
    labels = sure(image()).argmax(axis=0).astype(np.uint8)
    labels[3, 22:25, 12:15] = 1
    labels[0, 30:32, 30:32] = 2
    found = judged(sure, labels=labels)
    assert found.doubt[3, 22:25, 12:15].min() > 95 and found.doubt[0, 30:32, 30:32].min() > 95
    assert np.argmax(found.per_slice) == 3


def test_traces_of_probability_all_over_a_slice_are_no_doubt():
    def hazy(slices):
        return 0.94 * sure(slices) + 0.02

    found = judged(hazy)
    assert found.per_slice[[0, 5]].max() == 0 and 0 < found.per_slice[2] < 0.1


def test_a_structure_that_was_not_found_gets_no_dice():
    only_bodies = np.minimum(image(), 2.0)
    found = judged(sure, slices=only_bodies)
    assert found.dice_discs == 0.0 and found.dice_bodies > 0.9


def test_a_temperature_softens_doubt_and_keeps_the_order_of_classes():
    maps = sure(image() + np.random.default_rng(0).normal(0, 0.4, SHAPE).astype(np.float32))
    soft = quality.tempered(maps, 2.5)
    np.testing.assert_allclose(soft.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(soft.argmax(axis=0), maps.argmax(axis=0))
    assert soft.max(axis=0).mean() < maps.max(axis=0).mean()
    np.testing.assert_allclose(quality.tempered(soft, 1 / 2.5), maps, atol=1e-3)
    assert quality.tempered(maps, 1.0) is maps
    assert judged(undecided(0.3), temperature=3.0).doubt.mean() > judged(undecided(0.3)).doubt.mean()


def test_every_view_of_what_is_the_same_from_all_sides_comes_back_to_its_place():
    slices = image()
    plain = sure(slices).argmax(axis=0)
    for name, maps in quality.look_again(tuple(quality.VIEWS), slices, WAY, lambda s: sure(_levels(s))):
        assert maps.shape == (3, *SHAPE), name
        assert np.mean(maps.argmax(axis=0) == plain) > 0.97, name


def _levels(slices: np.ndarray) -> np.ndarray:
    """Intensities by rank, so that a network by intensity withstands views in another contrast."""
    low, high = slices.min(), slices.max()
    share = (slices - low) / max(high - low, 1e-6)
    return np.select([share < 0.15, share < 0.8], [0.0, 2.0], 4.0).astype(np.float32)


def test_the_mirrored_view_shows_the_slices_in_reverse_and_gives_them_back_in_order():
    shown = []

    def network(slices):
        shown.append(slices)
        return sure(slices)

    slices = image()
    slices[1] *= 0.5
    ((_, maps),) = quality.look_again(["mirror"], slices, WAY, network)
    np.testing.assert_array_equal(shown[0], slices[::-1])
    np.testing.assert_array_equal(maps, sure(slices))


def test_cancelling_is_heard_between_views():
    fitted, maps = Calibration(1.0, 1.0, ("mirror", "coarse"), lines()), sure(image())
    with pytest.raises(Cancelled):
        quality.assess(
            fitted, maps.argmax(axis=0), maps, image(), WAY, AREA, sure, Progress(cancelled=lambda: True)
        )  # fmt: skip


def test_features_outside_what_was_seen_are_held_at_its_ends():
    line = Line(0.0, {"a": 2.0}, {"a": (-1.0, 1.0)})
    assert line.value({"a": 50.0}) == line.value({"a": 1.0}) == pytest.approx(1 / (1 + math.exp(-2)))
    assert line.value({"a": -50.0}) == line.value({"a": -1.0})
    assert line.value({"a": 0.5}) > line.value({"a": 0.1})


# --- the file ---


def content() -> dict:
    return calibration.compose(Calibration(1.2, 1.1, ("mirror",), lines(), {"intercept": 1.0}, {"exams": 3}))


def test_a_calibration_is_read_as_it_was_written(tmp_path):
    (tmp_path / "configs").mkdir()
    assert calibration.read(tmp_path) is None
    (tmp_path / calibration.CALIBRATION).write_text(json.dumps(content()), encoding="utf-8")
    found = calibration.read(tmp_path)
    assert (found.plain, found.averaged, found.views) == (1.2, 1.1, ("mirror",))
    assert found.lines == lines() and found.plausibility == {"intercept": 1.0} and found.fitted == {"exams": 3}


def without(key: str) -> dict:
    return {name: value for name, value in content().items() if name != key}


def changed(*path: str, value) -> dict:
    whole = json.loads(json.dumps(content()))
    part = whole
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return whole


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (without("temperature"), "'temperature' is missing"),
        (without("format"), "'format' is missing"),
        (changed("format", value=99), "format is 99"),
        (changed("command", value="rm"), "unknown entries command"),
        (changed("temperature", "plain", value="hot"), "temperature plain is 'hot'"),
        (changed("temperature", "averaged", value=0), "temperature averaged is 0"),
        (changed("quality", "views", value=[3]), "names of its views"),
        (changed("quality", "bodies", "intercept", value=float("nan")), "the intercept of bodies is nan"),
        (changed("quality", "bodies", "weights", "bodies_expected", value=-1), "weight of bodies_expected is -1"),
        (changed("quality", "discs", "ranges", "discs_mirror", value=[2, 1]), "ends before it begins"),
        (changed("quality", "discs", "ranges", value={}), "'discs_expected' is missing"),
        ([1, 2], "does not hold a table"),
        ("{ not json", "not a readable JSON file"),
    ],
)
def test_a_calibration_that_cannot_be_used_is_refused_by_a_sentence_with_the_way_out(tmp_path, wrong, said):
    (tmp_path / "configs").mkdir()
    text = wrong if isinstance(wrong, str) else json.dumps(wrong)
    (tmp_path / calibration.CALIBRATION).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError) as caught:
        calibration.read(tmp_path)
    message = str(caught.value)
    assert said in message and "calibration.json" in message and "training.calibrate" in message


def test_a_view_or_a_feature_that_is_not_known_is_named():
    with pytest.raises(ModelError, match="upside"):
        list(quality.look_again(["upside"], image(), WAY, sure))
    fitted, maps = Calibration(1.0, 1.0, (), lines(("smell",))), sure(image())
    with pytest.raises(ModelError, match="bodies_smell"):
        quality.assess(fitted, maps.argmax(axis=0).astype(np.uint8), maps, image(), WAY, AREA, sure)
