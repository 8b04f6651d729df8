"""An export that goes on where it stopped, and one that is brought up to date: what is kept, renewed and removed."""

from __future__ import annotations

import pytest
from nnunet_export_cases import add, case_of, contents, make, raw, stem

from CSpineSegLib import files, volume
from CSpineSegLib.dataset import Dataset
from CSpineSegLib.errors import Cancelled, InputError
from CSpineSegLib.progress import Progress
from CSpineSegLib.review import events
from CSpineSegLib.training.nnunet import Folders, cases, export


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return make(tmp_path / "jeu de données")


@pytest.fixture
def folders(tmp_path) -> Folders:
    return Folders.of(tmp_path / "wörk space")


def test_second_export_writes_nothing_and_keeps_every_byte(dataset, folders):
    made = export(dataset, folders)
    before = {path: path.stat().st_mtime_ns for path in made.folder.rglob("*.nii.gz")}
    again = export(dataset, folders)
    assert again.written == 0 and again.cases == made.cases
    assert {path: path.stat().st_mtime_ns for path in made.folder.rglob("*.nii.gz")} == before


def test_cancelled_export_is_no_dataset_and_goes_on_where_it_stopped(dataset, folders):
    seen: list[str] = []

    def stop() -> bool:
        return any("Exporting" in stage for stage in seen) and len(seen) > 6

    with pytest.raises(Cancelled):
        export(dataset, folders, progress=Progress(lambda event: seen.append(event.stage), stop))
    folder = raw(folders)
    done = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz")}
    assert 0 < len(done) < 14 and not (folder / "dataset.json").exists()
    with pytest.raises(InputError, match="interrupted"):
        cases.read_complete(folder)
    made = export(dataset, folders)
    assert made.written == 7 - len(done) // 2
    assert {path.name: path.stat().st_mtime_ns for path in folder.rglob("*.nii.gz") if path.name in done} == done
    assert cases.read_complete(folder).cases == made.cases


def test_renewal_that_is_cancelled_is_no_dataset_either(dataset, folders):
    made = export(dataset, folders)
    add(dataset.root, 9)
    seen: list[str] = []
    stop = Progress(lambda event: seen.append(event.stage), lambda: "Exporting" in seen)
    with pytest.raises(Cancelled):
        export(Dataset.open(dataset.root), folders, progress=stop)
    assert not (made.folder / "dataset.json").exists()
    assert export(Dataset.open(dataset.root), folders).written == 1


def test_file_that_a_killed_export_left_unrecorded_is_written_again(dataset, folders):
    made = export(dataset, folders)
    content = files.read_json(made.folder / cases.RECORD)
    for row in content["cases"]:
        row.update(written_image=None, written_label=None, how=None)
    files.write_json(made.folder / cases.RECORD, {**content, "complete": False})
    (made.folder / "imagesTr" / "cspine_2_0000.nii.gz").write_bytes(b"half")
    assert export(dataset, folders).written == 7
    assert cases.read_complete(made.folder).complete


def test_exam_that_no_longer_belongs_is_removed_and_others_keep_name_and_fold(dataset, folders):
    made = export(dataset, folders)
    folds = {case.exam: (case.case, case.fold) for case in made.cases}
    for number in (20, 21):
        add(dataset.root, number)
    events.record(dataset.exam(stem(5)), "rejected", annotator="ab")
    (folders.results / made.folder.name / "nnUNetTrainer__nnUNetPlans__2d" / "fold_0").mkdir(parents=True)
    (dataset.root / "splits" / "splits.tsv").write_text("patient_id\tsplit\n593973-000004\ttest\n", encoding="utf-8")
    again = export(Dataset.open(dataset.root), folders)
    kept = {case.exam: (case.case, case.fold) for case in again.cases}
    assert stem(5) not in kept and not (again.folder / "imagesTr" / f"{folds[stem(5)][0]}_0000.nii.gz").exists()
    assert {name: kept[name] for name in map(stem, (1, 2, 3))} == {name: folds[name] for name in map(stem, (1, 2, 3))}
    assert case_of(again, stem(4)).part == "test" and case_of(again, stem(6)).part == "train"
    moved = next(note for note in again.notes if "were trained while" in note)
    assert stem(4) in moved and stem(6) in moved and stem(1) not in moved
    there = {path.relative_to(again.folder).as_posix() for path in again.folder.rglob("*.nii.gz")}
    assert there == {name for case in again.cases for name in (case.image, case.label)}


def test_label_that_a_person_edited_is_never_replaced_silently(dataset, folders):
    made = export(dataset, folders)
    path = made.folder / "labelsTr" / "cspine_3.nii.gz"
    edited = volume.read_mask(path)
    drawn = edited.array.copy()
    drawn[0, 0, 0] = 2
    volume.write(volume.like(edited, drawn), path)
    before = contents(made.folder)
    with pytest.raises(InputError, match=rf"cspine_3.*{stem(2)}.*cspineseg correct"):
        export(dataset, folders)
    assert contents(made.folder) == before
    assert export(dataset, folders, force=True).written == 1
    assert volume.read_mask(path).array[0, 0, 0] == 0


def test_damaged_record_is_refused_in_a_sentence(dataset, folders):
    made = export(dataset, folders)
    content = files.read_json(made.folder / cases.RECORD)
    for spoiled in ({**content, "format_version": 99}, {"cases": 3}, {**content, "cases": [{"case": "../../x"}]}):
        files.write_json(made.folder / cases.RECORD, spoiled)
        with pytest.raises(InputError, match=r"cspineseg\.json"):
            export(dataset, folders)
