"""Events, the status that follows from them, and the list of work."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import review_cases as cases

from CSpineSegLib import files, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import InputError, WriteError
from CSpineSegLib.review import derived, events, records, status, worklist


@pytest.fixture
def exam(tmp_path):
    return cases.make_exam(tmp_path)


def test_an_event_is_a_small_file_of_its_own(exam):
    event = events.record(exam, "opened", annotator="Zoë", notes="motion artefacts")
    assert event.path.parent == exam.events_folder and event.path.name.startswith(cases.STEM + ".")
    content = json.loads(event.path.read_text(encoding="utf-8"))
    assert (content["event"], content["annotator"], content["notes"]) == ("opened", "Zoë", "motion artefacts")
    assert content["exam"] == cases.STEM and content["time"].endswith("Z")
    assert events.history(exam) == [event]
    assert len({events.record(exam, "opened", annotator="Bo").path for _ in range(50)}) == 50


def test_events_that_cannot_be_are_refused(exam):
    with pytest.raises(InputError, match="accepted"):
        events.record(exam, "accepted")
    with pytest.raises(InputError, match="annotator"):
        events.record(exam, "opened", annotator="")
    with pytest.raises(WriteError, match="never written"):
        events.record(replace(exam, processed=exam.image.parent / "out"), "opened")
    assert not exam.events_folder.exists()


def test_a_damaged_event_is_reported_and_does_not_count(exam):
    good = events.record(exam, "opened", annotator="Anna")
    good.path.with_name(f"{cases.STEM}.20260101T000000.000000Z-0123abcd.json").write_text("{", encoding="utf-8")
    good.path.with_name(f"{cases.STEM}.20260101T000000.000000Z-0123abce.json").write_text("{}", encoding="utf-8")
    assert events.history(exam) == [good]
    assert len(events.problems(exam)) == len(derived.problems(exam)) == 2


def test_the_status_follows_revisions_and_events_in_the_order_of_time(exam):
    assert status.of(exam) == status.Status("unreviewed")
    seen = []

    def step(action, *arguments, **given):
        action(exam, *arguments, annotator="Anna", **given)
        time.sleep(0.002)
        seen.append(status.of(exam).status)

    step(events.record, "opened")
    step(events.record, "released")
    step(events.record, "opened")
    step(cases.save, 1, status="in review")
    step(cases.save, 2, status="accepted")
    step(events.record, "opened")
    step(events.record, "rejected", revision=2)
    step(events.record, "reopened")
    step(events.record, "released")
    assert seen == [
        "in review",
        "unreviewed",
        "in review",
        "in review",
        "accepted",
        "accepted",
        "rejected",
        "in review",
        "accepted",
    ]


def test_looking_at_an_exam_that_is_not_unreviewed_is_no_change(exam):
    events.record(exam, "opened", annotator="Anna")
    assert status.of(exam).annotator == "Anna"
    for change in (
        lambda: cases.save(exam, 1, annotator="Anna"),
        lambda: events.record(exam, "rejected", annotator="Anna"),
    ):
        time.sleep(0.002)
        change()
        before = status.of(exam)
        time.sleep(0.002)
        events.record(exam, "opened", annotator="Bo")
        assert status.of(exam) == before and before.annotator == "Anna"


def test_revisions_keep_the_order_of_their_numbers_even_if_clocks_disagree(exam):
    first, second = cases.save(exam, 1, status="in review"), cases.save(exam, 2, status="accepted")
    early = records.format_time(first.saved - timedelta(hours=2))
    skewed = replace(second, content={**second.content, "saved": early})
    assert status.derive([skewed, first], []).status == "accepted"
    assert status.derive([first, skewed], []).last_change == first.saved


def test_the_table_adds_the_state_of_the_review_to_the_datasets(tmp_path):
    stems = [f"593973-00000{number}_Study-MR-{number}_Series-1" for number in (1, 2, 3, 4)]
    exams = [cases.make_exam(tmp_path, stem) for stem in stems]
    dataset = Dataset.open(tmp_path)
    empty = worklist.table(dataset)
    assert list(empty["status"]) == ["unreviewed"] * 4 and empty["last_change"].isna().all()
    assert list(empty.columns)[: len(dataset.table().columns)] == list(dataset.table().columns)
    cases.save(exams[0], 1, status="in review", annotator="Anna")
    accepted = cases.save(exams[0], 2, annotator="Bo")
    event = events.record(exams[1], "rejected", annotator="Anna")
    volume.write(cases.drawn(exams[2]), exams[2].predicted("net"))
    frame = worklist.table(dataset).set_index("stem")
    assert list(frame["status"]) == ["accepted", "rejected", "unreviewed", "unreviewed"]
    assert list(frame["annotator"].fillna("-")) == ["Bo", "Anna", "-", "-"]
    assert list(frame["revisions"]) == [2, 0, 0, 0]
    assert list(frame["has_prediction"]) == [False, False, True, False]
    assert frame["last_change"].iloc[0] == accepted.content["saved"]
    assert frame["last_change"].iloc[1] == records.format_time(event.time)


def test_the_score_is_the_latest_models_and_never_a_damaged_files(tmp_path):
    stems = [f"593973-00000{number}_Study-MR-{number}_Series-1" for number in (1, 2, 3, 4, 5)]
    exams = [cases.make_exam(tmp_path, stem) for stem in stems]
    for age, (name, score) in enumerate({"newer": 0.9, "older": 0.4}.items()):
        files.write_json(exams[0].quality(name), {"score": score})
        os.utime(exams[0].quality(name), (1e9 - age, 1e9 - age))
    for exam, damaged in zip(exams[1:4], ("{", '{"score": "high"}', '{"score": 7}'), strict=True):
        exam.quality("net").parent.mkdir(parents=True, exist_ok=True)
        exam.quality("net").write_text(damaged, encoding="utf-8")
    frame = worklist.table(Dataset.open(tmp_path))
    assert frame["score"].iloc[0] == 0.9 and frame["score"].iloc[1:].isna().all()
    files.write_json(exams[4].quality("net"), {"score": 0.5})
    assert [exam.stem for exam in worklist.exams(Dataset.open(tmp_path), "score < 0.8")] == [stems[4]]


def test_exams_are_chosen_by_the_state_of_their_review(tmp_path):
    stems = [f"593973-00000{number}_Study-MR-{number}_Series-1" for number in (1, 2, 3)]
    exams = [cases.make_exam(tmp_path, stem) for stem in stems]
    cases.save(exams[1], 1)
    dataset = Dataset.open(tmp_path)
    chosen = worklist.exams(dataset, "source == 'unknown' and status == 'unreviewed'")
    assert [exam.stem for exam in chosen] == [stems[0], stems[2]]
    assert [exam.stem for exam in worklist.exams(dataset, "revisions > 0")] == [stems[1]]
    assert len(worklist.exams(dataset)) == 3
    with pytest.raises(InputError, match="statsu"):
        worklist.exams(dataset, "statsu == 'accepted'")


def test_the_table_of_1255_exams_with_hundreds_of_revisions_takes_under_a_second(tmp_path):
    model = cases.make_exam(tmp_path / "model")
    template = json.loads(cases.save(model, 1).record.read_text(encoding="utf-8"))
    data = model.revision(1).read_bytes()
    event = events.record(model, "reopened", annotator="Anna").path.read_text(encoding="utf-8")
    images = tmp_path / "big" / "extracted" / "annotation"
    images.mkdir(parents=True)
    for number in range(1, 1256):
        (images / f"593973-{number % 1232 + 1:06d}_Study-MR-{number}_Series-1.nii.gz").touch()
    dataset = Dataset.open(tmp_path / "big")
    exams = dataset.exams()
    exams[0].revisions_folder.mkdir(parents=True)
    exams[0].events_folder.mkdir()
    for exam in exams[:200]:
        for number in (1, 2):
            exam.revision(number).write_bytes(data)
            record = json.dumps({**template, "exam": exam.stem, "revision": number})
            exam.revision_record(number).write_text(record, encoding="utf-8")
        exam.event("20990101T000000.000000Z-0123abcd").write_text(event, encoding="utf-8")
    for exam in exams:
        exam.predicted("net").parent.mkdir(parents=True, exist_ok=True)
        exam.predicted("net").touch()
    plain = dataset.table()
    begin, cpu = time.perf_counter(), time.process_time()
    frame = worklist.table(dataset)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    print(f"{seconds:.3f} s, of the processor {cpu:.3f} s")
    assert len(frame) == len(plain) == 1255
    assert frame["revisions"].sum() == 400 and (frame["status"] == "in review").sum() == 200
    assert frame["has_prediction"].all()
    # The processor's time, which does not grow when others use the machine too.
    assert cpu < 1.0


def test_the_time_of_an_event_is_when_it_happened(exam):
    before = datetime.now(UTC)
    event = events.record(exam, "opened")
    assert before - timedelta(milliseconds=1) <= event.time <= datetime.now(UTC)
