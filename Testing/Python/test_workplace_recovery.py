"""What was drawn and not saved survives a crash, is offered once, and never in the place of what was saved."""

# ruff: noqa: F811  (fixtures are parameters)

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import review_cases as cases
from recovery_cases import (  # noqa: F401  (fixture)
    draw,
    edit_record,
    folder,
    found,
    names,
    open_and_draw,
    place,
    workplace_of,
)

from CSpineSegLib import volume
from CSpineSegLib.errors import InputError
from CSpineSegLib.review import records
from CSpineSegLib.workplace import Workplace, processes, recovery

# Offering


def test_a_copy_of_this_process_that_is_in_hand_is_not_offered(place):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    assert workplace.keeper.found() == []


def test_a_copy_is_offered_to_another_only_once_its_process_has_ended(place):
    open_and_draw(place).keeper.keep()
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        process = {"id": sleeper.pid, "began": processes.began(sleeper.pid), "computer": recovery.platform.node()}
        edit_record(place, process=process)
        assert found(place) == []
        # Another process that got the number of one that has ended is not it.
        edit_record(place, process={**process, "began": "long ago"})
        assert len(found(place)) == 1
        edit_record(place, process=process)
    finally:
        sleeper.kill()
        sleeper.communicate()
    assert len(found(place)) == 1


def test_a_copy_of_another_computer_is_offered_only_after_a_day(place):
    open_and_draw(place).keeper.keep()
    elsewhere = {"id": 1, "began": "x", "computer": "another computer"}
    edit_record(place, process=elsewhere)
    assert found(place) == []
    edit_record(place, kept=records.format_time(datetime.now(UTC) - timedelta(days=1, minutes=1)))
    assert len(found(place)) == 1


def test_what_was_saved_just_before_the_end_is_not_offered_again(place):
    workplace = open_and_draw(place)
    workplace.keeper.keep()
    # The end comes between the saving and the removal of the copy.
    workplace.keeper.leave()
    workplace.save("in review")
    assert found(place) == [] and names(place) == []


def test_an_older_revision_with_the_same_voxels_hides_no_copy(place):
    workplace = open_and_draw(place)
    workplace.save("in review")
    draw(workplace, 6)
    workplace.save("in review")
    draw(workplace, 5)
    copy = workplace.keeper.keep()
    workplace.keeper.leave()
    assert found(place) == [copy]


def test_the_newest_copy_is_offered_first(place):
    copies = []
    for seed in (5, 6):
        workplace = open_and_draw(place, seed)
        copies.append(workplace.keeper.keep())
        workplace.keeper.leave()
    edited = copies[0].record
    content = json.loads(edited.read_text(encoding="utf-8"))
    content["kept"] = records.format_time(copies[0].kept - timedelta(minutes=5))
    edited.write_text(json.dumps(content), encoding="utf-8")
    assert [copy.record for copy in found(place)] == [copies[1].record, copies[0].record]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": "cspineseg-recovery"}', '{"format": "cspineseg-recovery", "mask": {"file": "../x"}}'],
)
def test_a_file_that_describes_no_copy_is_passed_over(place, text):
    copy = open_and_draw(place).keeper.keep()
    (folder(place) / "0000.json").write_text(text, encoding="utf-8")
    assert found(place) == [copy]


def test_what_a_kill_while_keeping_leaves_is_swept_after_an_hour(place):
    copy = open_and_draw(place).keeper.keep()
    stray = folder(place) / "0000.1111.nii.gz"
    stray.write_bytes(b"half")
    found(place)
    assert stray.exists()
    for path in (stray, copy.mask):
        os.utime(path, (0, 0))
    assert found(place) == [copy]
    assert not stray.exists() and copy.mask.exists()


def test_a_copy_whose_json_cannot_be_read_for_now_is_not_swept(place):
    copy = open_and_draw(place).keeper.keep()
    os.utime(copy.mask, (0, 0))
    text = copy.record.read_bytes()
    copy.record.write_bytes(text[:40])
    assert found(place) == [] and copy.mask.exists()
    copy.record.write_bytes(text)
    assert found(place) == [copy]


# Recovering


CRASH = """
import os, sys
from pathlib import Path
import review_cases as cases
import recovery_cases as tests
workplace = tests.open_and_draw(Path(sys.argv[1]))
workplace.clock.restart(seconds=42.0)
workplace.keeper.keep()
print("kept", flush=True)
sys.stdin.readline()
"""


def test_a_process_that_is_killed_leaves_what_was_drawn_and_the_next_one_saves_it(place):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(cases.ROOT), str(Path(__file__).parent)])}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", CRASH, str(place)], env=environment, **pipes)
    assert process.stdout.readline() == "kept\n"
    workplace = workplace_of(place)
    assert workplace.keeper.found() == []
    process.kill()
    process.communicate()
    (copy,) = workplace.keeper.found()

    session = recovery.restore(workplace, copy)
    assert np.array_equal(workplace.mask().array, cases.labels(5)) and workplace.is_changed()
    assert session.opened == copy.started and session.warnings == ()
    # Its own copy by now, and no other.
    assert workplace.keeper.found() == [] and len(names(place)) == 2
    assert copy.record.name not in names(place)

    revision = workplace.save("accepted")
    assert np.array_equal(volume.read_mask(revision.mask).array, cases.labels(5))
    assert revision.content["active_seconds"] >= 42.0 and revision.annotator == "Anna"
    assert revision.content["parent"]["file"].endswith(session.exam.mask.name)
    assert names(place) == []


def crashed(root: Path, **how) -> recovery.Copy:
    """What a workplace leaves whose process has ended."""
    workplace = open_and_draw(root, **how)
    copy = workplace.keeper.keep()
    workplace.keeper.leave()
    return copy


def test_work_that_somebody_saved_meanwhile_is_neither_hidden_nor_forgotten(place):
    copy = crashed(place)
    exam = cases.open_exam(place)
    theirs = cases.save(exam, 3, annotator="Ben", started=None, ended=None)
    workplace = workplace_of(place)
    session = recovery.restore(workplace, copy)
    # It was made from the dataset's mask, and not from what Ben saved after that.
    assert session.origin.path == exam.mask
    revision = workplace.save("accepted")
    assert revision.overlapping == (theirs.number,) and "Ben" in " ".join(revision.warnings)


def test_it_is_said_if_what_the_work_was_made_from_has_changed(place):
    copy = crashed(place)
    cases.edit(cases.open_exam(place).mask, 9)
    workplace = workplace_of(place)
    session = recovery.restore(workplace, copy)
    assert str(session.exam.mask) in " ".join(session.warnings)
    assert np.array_equal(workplace.mask().array, cases.labels(5))


def test_work_of_one_annotator_that_another_recovers_says_so(place):
    copy = crashed(place)
    session = recovery.restore(workplace_of(place, "Ben"), copy)
    assert "Anna" in session.warnings[-1] and "Ben" in session.warnings[-1]


def test_a_blind_reading_is_recovered_by_its_own_reader_only(place):
    copy = crashed(place, blind=True)
    with pytest.raises(InputError, match="Anna"):
        recovery.restore(workplace_of(place, "Ben"), copy)
    assert found(place) == [copy]
    assert recovery.restore(workplace_of(place), copy).blind


def test_a_damaged_copy_is_refused_and_stays(place):
    copy = crashed(place)
    copy.mask.write_bytes(copy.mask.read_bytes()[:-20])
    workplace = workplace_of(place)
    with pytest.raises(InputError, match="damaged"):
        recovery.restore(workplace, copy)
    assert workplace.session is None and copy.record.exists()
    recovery.discard(copy)
    assert names(place) == []


def test_a_dataset_that_is_gone_is_named_and_the_copy_stays(place):
    copy = crashed(place)
    place.rename(place.with_name("elsewhere"))
    workplace = Workplace()
    workplace.annotator = "Anna"
    with pytest.raises(InputError, match="jeu de données"):
        recovery.restore(workplace, copy)
    assert found(place) == [copy]


def test_an_image_that_became_another_one_is_refused_before_anything_is_opened(place):
    copy = crashed(place)
    exam = cases.open_exam(place)
    exam.image.unlink()
    exam.mask.unlink()
    cases.make_exam(place, affine=np.diag([2.0, 2.0, 2.0, 1.0]))
    workplace = workplace_of(place)
    with pytest.raises(InputError):
        recovery.restore(workplace, copy)
    assert workplace.session is None and found(place) == [copy]


# Who runs


def test_a_process_is_known_by_when_it_began():
    own = processes.began(os.getpid())
    assert own and processes.began(os.getpid()) == own
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert processes.began(ended.pid) != own
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        began = processes.began(other.pid)
        assert began and began != own
        other.kill()
    assert processes.began(other.pid) != began
