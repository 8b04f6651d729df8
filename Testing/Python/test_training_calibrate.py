"""Calibration finds what was put wrong on purpose, and leaves a bundle that is whole."""

from __future__ import annotations

import json

import numpy as np
import pytest
from training_cases import tiny_bundle, tiny_exam

from CSpineSegLib import model, volume
from CSpineSegLib.errors import InputError, ModelError
from CSpineSegLib.model import calibration, checksums, quality
from CSpineSegLib.training import calibrate, exams, fitting, spoiling

torch = pytest.importorskip("torch", reason="the model room needs torch")


def answers(count: int = 20_000, overconfident: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (3, N) and labels drawn from them, the probabilities then made too sure by a factor."""
    rng = np.random.default_rng(5)
    logits = rng.normal(0, 1.5, (3, count))
    true = np.exp(logits) / np.exp(logits).sum(axis=0)
    labels = (rng.random(count) > np.cumsum(true, axis=0)).sum(axis=0)
    told = np.exp(logits * overconfident)
    return (told / told.sum(axis=0)).astype(np.float32), labels


@pytest.mark.parametrize("overconfident", [0.5, 1.0, 2.0, 3.0])
def test_the_temperature_is_how_much_too_sure_the_network_is(overconfident):
    maps, labels = answers(overconfident=overconfident)
    assert fitting.fit_temperature(maps, labels) == pytest.approx(overconfident, rel=0.06)


def test_a_temperature_takes_the_calibration_error_away():
    maps, labels = answers(overconfident=3.0)
    before = fitting.calibration_error(fitting.reliability(maps, labels))
    after = fitting.calibration_error(fitting.reliability(quality.tempered(maps, 3.0), labels))
    assert before > 0.1 and after < 0.02


def test_a_reliability_table_says_how_often_each_confidence_is_right():
    maps = np.array([[0.9, 0.9, 0.9, 0.9, 0.6], [0.1, 0.1, 0.1, 0.1, 0.4], [0, 0, 0, 0, 0]])
    table = fitting.rows(fitting.reliability(maps, np.array([0, 0, 0, 1, 1])))
    assert table == ["0.600: 0.000 (1)", "0.900: 0.750 (4)"]
    assert fitting.calibration_error(fitting.reliability(maps, np.array([0, 0, 0, 1, 1]))) == pytest.approx(0.24)


def exams_of(people: int = 30, noise: float = 0.1) -> tuple[list[dict[str, float]], np.ndarray, list[int]]:
    """Features of which "a" tells Dice, "b" tells nothing and "c" tells it the wrong way round; two exams a person."""
    rng = np.random.default_rng(1)
    a = rng.normal(1, 1, 2 * people)
    dices = 1 / (1 + np.exp(-(0.5 + 0.8 * a + rng.normal(0, noise, len(a)))))
    features = [{"a": float(x), "b": float(rng.normal()), "c": float(-x + rng.normal())} for x in a]
    return features, dices, [index // 2 for index in range(2 * people)]


def test_the_line_follows_what_tells_dice_and_never_what_tells_it_the_wrong_way_round():
    features, dices, _ = exams_of()
    line = fitting.fit_line(features, dices, ["a", "b", "c"])
    assert line.weights["a"] == pytest.approx(0.8, abs=0.1) and line.weights["b"] < 0.1 and line.weights["c"] < 0.02
    values = [line.value({"a": a, "b": 0.0, "c": 0.0}) for a in np.linspace(-3, 4, 30)]
    assert values == sorted(values) and 0 < values[0] < 0.4 and 0.9 < values[-1] < 1
    assert np.abs([line.value(f) - d for f, d in zip(features, dices, strict=True)]).mean() < 0.03


def test_an_exam_is_predicted_by_a_line_that_never_saw_its_person():
    features, dices, people = exams_of()
    plain = fitting.left_out(features, dices, ["a"], people)
    # A person who is unlike all others has no influence on how this person is predicted.
    odd = dices.copy()
    odd[:2] = 0.02
    predicted = fitting.left_out(features, odd, ["a"], people)
    np.testing.assert_allclose(predicted[:2], plain[:2])
    assert fitting.rank_correlation(plain, dices) > 0.95


def test_rank_correlation_asks_for_order_alone():
    assert fitting.rank_correlation([1, 2, 3, 10], [5, 6, 70, 71]) == pytest.approx(1)
    assert fitting.rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert fitting.rank_correlation([1, 1, 1], [3, 2, 1]) is None and fitting.rank_correlation([1], [1]) is None


def test_dice_is_pooled_over_the_exam_and_leaves_out_what_does_not_count():
    truth, mask = np.zeros((2, 4, 4), int), np.zeros((2, 4, 4), int)
    truth[0, :2], mask[0, :3] = 1, 1
    assert fitting.dice(truth, mask) == {"bodies": pytest.approx(16 / 20), "discs": None}
    counted = np.ones(truth.shape, bool)
    counted[0, 2] = False
    assert fitting.dice(truth, mask, counted)["bodies"] == 1.0


# --- exams ---


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exams")
    for number in range(2):
        for kind in calibrate.KINDS:
            exams.save(folder, tiny_exam(kind, number))
    return folder


def test_a_kept_exam_is_read_back_as_it_was(tmp_path):
    exam = tiny_exam("t2", 3, shape=(40, 44, 5), spacing=(4.0, 4.0, 4.0))
    back = exams.load(exams.save(tmp_path, exam))
    assert (back.name, back.about) == (exam.name, exam.about)
    for name in ("image", "mask", "spared"):
        np.testing.assert_array_equal(getattr(back, name).array, getattr(exam, name).array)
        np.testing.assert_array_equal(getattr(back, name).affine, exam.image.affine)
    assert {0, 1, 2} <= set(np.unique(back.mask.array))


def test_exams_are_drawn_once_and_those_of_one_person_share_the_truth(tmp_path, monkeypatch):
    monkeypatch.setattr(exams, "_LARGEST", 56)
    assert exams.build(tmp_path, {"t2": 1, "t1": 1}) == 2
    one, other = (exams.load(tmp_path / f"{kind}-0000.npz") for kind in ("t2", "t1"))
    np.testing.assert_array_equal(one.mask.array, other.mask.array)
    assert (one.about["style"], other.about["style"]) == ("t2", "t1")
    assert np.abs(one.image.array - other.image.array).mean() > 5
    assert exams.build(tmp_path, {"t2": 1, "t1": 1}) == 0


def test_calibration_and_validation_never_meet_the_persons_of_training():
    from CSpineSegLib.training import feeder

    firsts = sorted({kind.first for kind in exams.KINDS.values()})
    assert firsts[0] > feeder.FIRST + 5_000_000
    assert min(np.diff(firsts)) >= 100_000
    calibrating = {exams.KINDS[name].first for name in calibrate.KINDS}
    assert not calibrating & {kind.first for name, kind in exams.KINDS.items() if name not in calibrate.KINDS}


def test_a_damaged_exam_and_an_unknown_kind_are_refused(tmp_path):
    (tmp_path / "t2-0000.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputError, match=r"t2-0000\.npz"):
        exams.load(tmp_path / "t2-0000.npz")
    with pytest.raises(InputError, match="calibration"):
        exams.draw("ct", 0)
    assert exams.main([str(tmp_path), "t2"]) == 2


def test_spoiling_harms_the_image_and_keeps_the_truth_with_it():
    exam = tiny_exam("t2", 1, shape=(64, 72, 5))
    names = set()
    for seed in range(12):
        spoilt = spoiling.spoil(exam, seed)
        names |= set(spoilt.name.split(" ")[1].split("+"))
        assert spoilt.image.shape == spoilt.mask.shape == spoilt.spared.shape
        assert np.isfinite(spoilt.image.array).all() and spoilt.image.array.min() >= 0
        if "cropped" not in spoilt.name:
            np.testing.assert_array_equal(spoilt.mask.array, exam.mask.array)
            assert not np.array_equal(spoilt.image.array, exam.image.array)
    assert len(names) >= 5
    again = spoiling.spoil(exam, 3)
    np.testing.assert_array_equal(again.image.array, spoiling.spoil(exam, 3).image.array)


def test_a_cropped_exam_lies_where_it_was():
    exam = tiny_exam("t2", 1, shape=(64, 72, 5))
    part = spoiling.cropped(exam, np.random.default_rng(0))
    assert np.prod(part.mask.shape) < np.prod(exam.mask.shape)
    back = volume.resample(exam.mask, part.mask.grid, order=0)
    np.testing.assert_array_equal(back.array, part.mask.array)


# --- the whole ---


def test_a_calibrated_bundle_is_whole_and_predicts_a_score(tmp_path, kept):
    bundle = tiny_bundle(tmp_path)
    assert bundle.calibration is None
    command = [str(bundle.folder), "--exams-folder", str(kept), "--exams", "2", "--variants", "3", "--compare"]
    assert calibrate.main(command) == 0
    fitted = model.load(bundle.folder)
    assert set(fitted.calibration.lines) == {"bodies", "discs"} and fitted.calibration.views == calibrate.VIEWS
    assert fitted.calibration.plausibility is not None
    assert fitted.calibration.fitted["exams"] == 12 and fitted.calibration.fitted["persons"] == 2
    content = json.loads((bundle.folder / calibration.CALIBRATION).read_text(encoding="utf-8"))
    assert calibration.compose(fitted.calibration) == content
    exam = tiny_exam("t2", 5)
    found = model.predict(fitted, exam.image, "cpu", anyway=True)
    assert 0 <= found.quality.score <= 1 and found.quality.doubt.max() <= 100
    assert found.quality.per_slice.shape == (7,) and found.quality.doubt.shape[0] == 7


def test_a_bundle_without_calibration_says_that_there_is_no_score(tmp_path):
    found = model.predict(tiny_bundle(tmp_path), tiny_exam("t2", 5).image, "cpu", anyway=True)
    assert found.quality is None
    assert any("no quality score" in note for note in found.notes)


def test_a_calibration_that_was_changed_by_hand_is_refused_when_the_bundle_is_opened(tmp_path):
    bundle = tiny_bundle(tmp_path)
    path = bundle.folder / calibration.CALIBRATION
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"calibration\.json"):
        model.load(bundle.folder)
    checksums.seal(bundle.folder)
    with pytest.raises(ModelError, match="'format' is missing"):
        model.load(bundle.folder)


def test_too_few_exams_and_an_unknown_model_are_a_sentence(tmp_path, kept, capsys):
    bundle = tiny_bundle(tmp_path)
    command = [str(bundle.folder), "--exams-folder", str(kept), "--exams", "2", "--variants", "1"]
    assert calibrate.main(command) == 2
    assert "too few" in capsys.readouterr().err
    assert model.load(bundle.folder).calibration is None
    assert calibrate.main(["no-such-model", "--exams-folder", str(kept), "--exams", "2"]) == 2
