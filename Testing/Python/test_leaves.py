"""The small leaves: errors, progress, resources, and the vocabulary of structures and levels."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from CSpineSegLib import anatomy, errors, progress, resources
from CSpineSegLib.progress import Event, Progress, ensure

ROOT = Path(__file__).resolve().parents[2]
quick = settings(max_examples=60, deadline=None, database=None, derandomize=True)


# Errors


@pytest.mark.parametrize("name", ["InputError", "GeometryError", "ModelError", "WriteError"])
def test_every_error_for_the_user_is_caught_as_one_kind(name):
    kind = getattr(errors, name)
    assert issubclass(kind, errors.CSpineSegError) and issubclass(kind, ValueError)
    assert str(kind("A sentence.")) == "A sentence."


def test_a_geometry_error_is_an_input_error_and_cancelling_is_none():
    assert issubclass(errors.GeometryError, errors.InputError)
    assert not issubclass(errors.Cancelled, errors.CSpineSegError)


# Progress


class Clock:
    """A clock that the test sets."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)


def test_events_say_stage_fraction_and_message():
    seen: list[Event] = []
    Progress(seen.append).update("segment", 0.25, "slice 3 of 12")
    assert seen == [Event("segment", 0.25, None, "slice 3 of 12")]


@pytest.mark.parametrize(("given_", "reported"), [(-1, 0), (0, 0), (1, 1), (1.0001, 1), (7, 1)])
def test_a_fraction_outside_0_to_1_is_clipped(given_, reported):
    seen: list[Event] = []
    Progress(seen.append).update("x", given_)
    assert seen[0].fraction == reported


def test_a_part_reports_within_its_range_and_nests():
    seen: list[Event] = []
    whole = Progress(seen.append)
    half = whole.part(0.5, 1.0)
    half.update("a", 0)
    half.update("a", 1)
    half.part(0.2, 0.4).update("b", 0.5)
    whole.update("c", 0.25)
    assert [event.fraction for event in seen] == pytest.approx([0.5, 1.0, 0.65, 0.25])


@quick
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=5), st.floats(0, 1))
def test_a_part_never_leaves_the_range_of_its_parent(ranges, fraction):
    seen: list[Event] = []
    inner, low, high = Progress(seen.append), 0.0, 1.0
    for ends in ranges:
        start, stop = sorted(ends)
        inner = inner.part(start, stop)
        low, high = low + start * (high - low), low + stop * (high - low)
    inner.update("x", fraction)
    assert low - 1e-9 <= seen[0].fraction <= high + 1e-9


def test_the_time_left_comes_from_the_whole_job_and_not_from_a_part(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    whole = Progress(seen.append)
    clock.now += 30
    part = whole.part(0.5, 1.0)
    part.update("x", 0.5)  # three quarters of the whole, after 30 s
    assert seen[-1].eta == pytest.approx(10)
    clock.now += 10
    part.update("x", 1.0)
    assert seen[-1].eta == 0


def test_no_time_left_is_guessed_from_the_first_moments(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    whole = Progress(seen.append)
    clock.now += 0.4
    whole.update("x", 0.5)
    clock.now += 60
    whole.update("x", 0.01)
    whole.update("x", 0.0)
    assert [event.eta for event in seen] == [None, None, None]
    whole.update("x", 0.02)
    assert seen[-1].eta == pytest.approx(60.4 * 49)


def test_cancelling_stops_the_next_update_before_it_is_reported():
    seen: list[Event] = []
    answers = iter([False, True])
    job = Progress(seen.append, lambda: next(answers))
    job.update("x", 0.1)
    with pytest.raises(errors.Cancelled):
        job.update("x", 0.2)
    assert len(seen) == 1


def test_cancelling_reaches_parts_and_works_without_anyone_watching():
    with pytest.raises(errors.Cancelled):
        Progress(cancelled=lambda: True).part(0, 0.5).part(0, 0.5).update("x", 0)


def test_nobody_needs_to_watch():
    ensure(None).part(0, 0.5).update("x", 0.5)
    job = Progress()
    assert ensure(job) is job


# Resources


def test_resources_are_found_in_a_clone():
    assert resources.root() == ROOT / "Resources"
    assert resources.path("Terminologies", "labels.tsv").is_file()
    assert resources.path("Models", "not yet") == ROOT / "Resources" / "Models" / "not yet"


@pytest.mark.parametrize("inside", [True, False])
def test_resources_are_found_inside_or_beside_the_package(tmp_path, inside):
    """A wheel has them inside; Slicer's folder of scripted modules has them beside."""
    place = tmp_path / "Ångström folder"
    package = place / "CSpineSegLib"
    package.mkdir(parents=True)
    for name in ("__init__.py", "resources.py", "errors.py", "anatomy.py"):
        shutil.copy(ROOT / "CSpineSegLib" / name, package)
    target = (package if inside else place) / "Resources" / "Terminologies"
    target.mkdir(parents=True)
    code = "from CSpineSegLib import anatomy, resources; print(resources.root()); print(anatomy.level_value('C2'))"

    def run() -> subprocess.CompletedProcess:
        command = [sys.executable, "-X", "utf8", "-c", code]
        return subprocess.run(command, cwd=place, capture_output=True, encoding="utf-8", check=False)

    missing = run()
    assert missing.returncode == 1 and "InputError: The Resources folder of CSpineSeg was not found" in missing.stderr
    shutil.copy(ROOT / "Resources" / "Terminologies" / "labels.tsv", target)
    assert run().stdout.splitlines() == [str(target.parent), "12"]


# Anatomy


def rows() -> list[dict[str, str]]:
    with open(ROOT / "Resources" / "Terminologies" / "labels.tsv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_the_labels_are_the_dataset_s():
    assert (anatomy.BACKGROUND, anatomy.BODY, anatomy.DISC) == (0, 1, 2) == anatomy.LABELS
    assert [(part.label, part.key) for part in anatomy.STRUCTURES] == [(1, "bodies"), (2, "discs")]
    bodies, discs = anatomy.STRUCTURES
    assert bodies.color[0] > max(bodies.color[1:]), "bodies are red"
    assert discs.color[1] > max(discs.color[0], discs.color[2]), "discs are green"
    codes = {row["structure"]: row["sct_code"] for row in rows()}
    assert bodies.code == codes["vertebral body (any)"] and discs.code == codes["intervertebral disc (any)"]


def test_a_structure_is_found_by_its_label_alone():
    assert anatomy.structure(2).name == "Intervertebral discs"
    for label in (0, 3, -1):
        with pytest.raises(errors.InputError, match=f"Label {label} is not part"):
            anatomy.structure(label)


def test_levels_are_those_of_the_terminology_file_with_its_values_and_codes():
    expected = {
        row["structure"].replace(" disc", ""): (int(row["totalspineseg"]), row["sct_code"])
        for row in rows()
        if row["totalspineseg"] != "-" and row["sct_kind"] in ("vertebra", "intervertebral disc")
    }
    assert {level.name: (level.value, level.code) for level in anatomy.levels()} == expected
    assert len(expected) == 19 + 17


@pytest.mark.parametrize(
    ("name", "value", "kind", "code"),
    [
        ("C1", 11, "vertebra", "14806007"),
        ("C2", 12, "vertebra", "39976000"),
        ("C7", 17, "vertebra", "87391001"),
        ("T1", 21, "vertebra", "64864005"),
        ("C2-C3", 63, "disc", "1078209008"),
        ("C7-T1", 71, "disc", "37414007"),
        ("T1-T2", 72, "disc", "40908007"),
    ],
)
def test_levels_have_the_totalspineseg_values(name, value, kind, code):
    assert anatomy.level_value(name) == value and anatomy.level_name(value) == name
    (level,) = [level for level in anatomy.levels() if level.name == name]
    assert (level.kind, level.code) == (kind, code)


def test_values_of_levels_never_collide_with_each_other_or_with_the_labels():
    values = [level.value for level in anatomy.levels()]
    assert len(set(values)) == len(values) and not {*values} & {*anatomy.LABELS}
    assert all(anatomy.level_value(anatomy.level_name(value)) == value for value in values)
    for kind in ("vertebra", "disc"):
        ordered = [level.value for level in anatomy.levels() if level.kind == kind]
        assert ordered == sorted(ordered), "head to foot"


@pytest.mark.parametrize("name", ["", "c2", "C8", "C2-C4", "C1-C2", "C2 disc", "1"])
def test_what_is_no_level_is_refused_with_an_example(name):
    with pytest.raises(errors.InputError, match="write it as 'C2' or 'C2-C3'"):
        anatomy.level_value(name)


@pytest.mark.parametrize("value", [0, 1, 2, 18, 62, 255])
def test_what_is_no_value_of_a_level_is_refused(value):
    with pytest.raises(errors.InputError, match=f"{value} is not the TotalSpineSeg value"):
        anatomy.level_name(value)
