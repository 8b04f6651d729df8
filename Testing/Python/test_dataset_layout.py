"""A dataset as a folder: which forms are recognised, what is reported, and where outputs go."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from CSpineSegLib.dataset import Dataset, ExamName, exam_from_file
from CSpineSegLib.errors import InputError

FIRST = ExamName("593973-000001", 2, 10)
SECOND = ExamName("593973-000001", 12, 3)
THIRD = ExamName("593973-000021", 3, 4)


def place(base: Path, *names: ExamName, masks: bool = True) -> Path:
    """Empty files in the layout of the release: opening a dataset looks at names only."""
    for name in names:
        for part, file_name in (("annotation", name.image_name), ("segmentation", name.mask_name)):
            if masks or part == "annotation":
                (base / part).mkdir(parents=True, exist_ok=True)
                (base / part / file_name).touch()
    return base


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "é à ü dataset"
    place(folder / "extracted", FIRST, SECOND, THIRD)
    return folder


def test_a_dataset_without_tables_works_from_file_names_and_says_so(root):
    dataset = Dataset.open(root)
    frame = dataset.table()
    assert frame["stem"].tolist() == [FIRST.stem, SECOND.stem, THIRD.stem]
    assert frame["study"].tolist() == [2, 12, 3] and frame["age"].isna().all() and frame["manufacturer"].isna().all()
    assert len(dataset.problems) == 1 and "known from their file names alone" in dataset.problems[0]
    assert Path(frame["mask"][0]).name == FIRST.mask_name and Path(frame["image"][0]).is_file()


@pytest.mark.parametrize("inner", ["", "extracted", "extracted/annotation", "extracted/segmentation", "raw/.."])
def test_any_folder_of_a_release_stands_for_the_release(root, inner):
    (root / "raw").mkdir()
    dataset = Dataset.open(root / inner)
    assert dataset.root == root and dataset.processed == root / "processed" and len(dataset) == 3


def test_a_relative_path_is_a_path_too(root, monkeypatch):
    monkeypatch.chdir(root)
    assert Dataset.open(".").root == root and Dataset.open("extracted").root == root


def test_the_three_folders_may_lie_in_the_root_itself(tmp_path):
    dataset = Dataset.open(place(tmp_path / "x", FIRST))
    assert dataset.processed == tmp_path / "x" / "processed" and len(dataset) == 1


def test_an_archive_unpacked_into_a_folder_of_its_own_name_is_found(tmp_path):
    place(tmp_path / "extracted" / "annotation", FIRST, masks=False)
    assert Dataset.open(tmp_path).exam(FIRST.stem).image.is_file()


def test_a_flat_folder_holds_exams_of_any_name(tmp_path):
    for name in ("scan one.nii.gz", "scan one_SEG.nii.gz", "zwei.nii", FIRST.image_name, "._zwei.nii", "notes.txt"):
        (tmp_path / name).touch()
    dataset = Dataset.open(tmp_path)
    assert dataset.table()["stem"].tolist() == [FIRST.stem, "scan one", "zwei"]
    own = dataset.exam("scan one")
    assert own.mask.name == "scan one_SEG.nii.gz" and own.patient_id is None and own.name is None
    assert dataset.exam("zwei").mask is None
    assert [exam.stem for exam in dataset.exams(patient=1)] == [FIRST.stem]


def test_files_that_tables_name_and_the_disk_lacks_are_reported_and_the_reverse(sample_dataset):
    dataset = sample_dataset
    gone, bare, *_ = (exam.name for exam in dataset.exams())
    (dataset.root / "extracted" / "annotation" / gone.image_name).unlink()
    (dataset.root / "extracted" / "segmentation" / bare.mask_name).unlink()
    place(dataset.root / "extracted", FIRST)
    dataset = Dataset.open(dataset.root)
    text = "\n".join(dataset.problems)
    images = dataset.root / "extracted" / "annotation"
    assert f"1 images that annotation_file names are not in {images}: {gone.stem}." in text
    assert "1 masks that annotation_file names are not in" in text and "1 masks have no image on disk" in text
    assert f"1 exams are on disk but not in annotation_file: {FIRST.stem}." in text
    assert len(dataset) == 9 and dataset.exam(gone.stem).image is None and dataset.exam(gone.stem).fields["sex"]


def test_many_problems_of_one_kind_make_one_sentence(tmp_path):
    place(tmp_path, *(ExamName("593973-000001", study, 1) for study in range(200)))
    for path in (tmp_path / "annotation").iterdir():
        path.unlink()
    sentence = next(text for text in Dataset.open(tmp_path).problems if "have no image" in text)
    assert sentence.startswith("200 masks") and sentence.endswith("and 197 more.") and len(sentence) < 300


def test_what_does_not_belong_is_left_out_and_reported(root):
    images = root / "extracted" / "annotation"
    for name in ("other.nii.gz", SECOND.mask_name, f"{THIRD.stem}.nii", "._x.nii.gz"):
        (images / name).touch()
    dataset = Dataset.open(root)
    assert len(dataset) == 3 and dataset.exam(THIRD.stem).image.name == THIRD.image_name
    text = "\n".join(dataset.problems)
    assert "left out: other.nii.gz." in text
    assert f"is for images but holds masks, left out: {SECOND.mask_name}." in text
    assert "holds both .nii and .nii.gz" in text


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: folder / "none", "does not exist"),
        (lambda folder: folder, "is empty; give a folder with extracted/annotation"),
        (lambda folder: (folder / "raw").mkdir() or folder, "extract the archives in raw/ first"),
        (lambda folder: (folder / "a.txt").touch() or folder, "holds no dataset"),
        (lambda folder: (folder / "a.txt").touch() or folder / "a.txt", "is a file and not a dataset folder"),
        (lambda folder: (folder / "extracted" / "annotation").mkdir(parents=True) or folder, "holds no exam"),
    ],
)
def test_a_folder_that_is_no_dataset_is_refused_in_one_sentence(tmp_path, make, expected):
    folder = tmp_path / "dossier é"
    folder.mkdir()
    with pytest.raises(InputError) as caught:
        Dataset.open(make(folder))
    assert expected in str(caught.value) and str(folder) in str(caught.value)


def test_opening_writes_nothing(root):
    before = sorted(root.rglob("*"))
    Dataset.open(root).table()
    exam_from_file(root / "extracted" / "annotation" / FIRST.image_name)
    assert sorted(root.rglob("*")) == before


def test_a_patient_is_found_by_any_form_of_the_id(root):
    dataset = Dataset.open(root)
    for form in ("593973-000001", "000001", "1", 1):
        assert [exam.study for exam in dataset.exams(patient=form)] == [2, 12]
    assert [exam.series for exam in dataset.exams(patient=1, study=12)] == [3]


def test_a_patient_who_is_not_there_brings_the_nearest_ids(root):
    dataset = Dataset.open(root)
    with pytest.raises(InputError) as caught:
        dataset.exams(patient="12")
    assert "Patient 593973-000012 is not in" in str(caught.value) and "593973-000021" in str(caught.value)
    with pytest.raises(InputError, match="is not a patient ID"):
        dataset.exams(patient="12a")


def test_an_exam_that_is_not_there_brings_similar_names(root):
    with pytest.raises(InputError, match=f"did you mean .*{FIRST.stem}"):
        Dataset.open(root).exam("593973-000001_Study-MR-2_Series-11")
    with pytest.raises(InputError, match="list the exams"):
        Dataset.open(root).exam("x")


def test_exams_are_chosen_by_source_scanner_and_field(sample_dataset):
    dataset = sample_dataset
    assert len(dataset.exams(manufacturer="ge")) == 3 and len(dataset.exams(manufacturer="SIEMENS")) == 5
    assert len(dataset.exams(field_strength=3)) == 2
    assert len(dataset.exams(source="silver", manufacturer="Siemens", field_strength=1.5)) == 2
    assert [e.patient_id for e in dataset.exams(query="age_over_89 and sex == 'F'")] == ["593973-900005"]
    assert dataset.exams(patient=900003, source="silver", query="series == 401")[0].study == 9005
    with pytest.raises(InputError, match="'golden' is not a source of masks; choose gold, silver, unknown"):
        dataset.exams(source="golden")


def test_outputs_are_named_as_the_design_says(root):
    exam = Dataset.open(root).exam(FIRST.mask_name)
    stem = FIRST.stem
    assert {
        path.relative_to(root / "processed").as_posix()
        for path in (
            exam.predicted("m"),
            exam.predicted_record("m"),
            exam.quality("m"),
            exam.doubt("m"),
            exam.corrected_mask,
            exam.revision(1),
            exam.revision_record(12),
            exam.event("abc"),
            exam.levels,
            exam.levels_record,
            exam.metrics_path,
            exam.reports_folder,
        )
    } == {
        f"predicted/m/{stem}_SEG.nii.gz",
        f"predicted/m/{stem}_SEG.json",
        f"predicted/m/{stem}_quality.json",
        f"predicted/m/{stem}_doubt.nii.gz",
        f"corrected/{stem}_SEG.nii.gz",
        f"corrected/revisions/{stem}_SEG.r001.nii.gz",
        f"corrected/revisions/{stem}_SEG.r012.json",
        f"corrected/events/{stem}.abc.json",
        f"levels/{stem}_LEVELS.nii.gz",
        f"levels/{stem}_LEVELS.json",
        f"metrics/{stem}.json",
        "reports",
    }


def test_a_single_file_gets_a_folder_of_its_own_beside_it(tmp_path):
    path = tmp_path / "mon image é.nii.gz"
    path.touch()
    exam = exam_from_file(path)
    assert exam.stem == "mon image é" and exam.image == path and exam.mask is None and exam.source == "unknown"
    assert exam.processed == tmp_path / "mon image é_cspineseg" and exam.fields["age"] is None
    (tmp_path / FIRST.image_name).touch()
    assert exam_from_file(str(tmp_path / FIRST.image_name)).patient_id == FIRST.patient_id


def test_a_file_within_a_release_is_that_exam_so_that_nothing_is_written_beside_it(root):
    exam = exam_from_file(root / "extracted" / "annotation" / FIRST.image_name)
    assert exam.processed == root / "processed" and exam.mask.name == FIRST.mask_name
    (root / "extracted" / "annotation" / "odd.nii.gz").touch()
    assert exam_from_file(root / "extracted" / "annotation" / "odd.nii.gz").processed == root / "processed"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("none.nii.gz", "does not exist"), ("a.nrrd", "is not a NIfTI file"), ("a_SEG.nii.gz", "is named as a mask")],
)
def test_a_single_file_of_another_kind_is_refused(tmp_path, name, expected):
    if "none" not in name:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=expected):
        exam_from_file(tmp_path / name)


def test_a_dataset_as_large_as_the_release_opens_with_work_that_grows_by_the_exam(tmp_path):
    calls = {}
    for count in (251, 1255):
        names = [ExamName(f"593973-{1 + number % 1232:06d}", number + 1, 3) for number in range(count)]
        root = tmp_path / str(count)
        place(root / "extracted", *names)
        write_tables(root / "extracted" / "structured", names)
        Dataset.open(root).table()  # the first call imports pandas
        counted = itertools.count()
        sys.setprofile(lambda frame, event, argument, counted=counted: next(counted))
        try:
            dataset = Dataset.open(root)
            frame = dataset.table()
        finally:
            sys.setprofile(None)
        calls[count] = next(counted)
        assert dataset.problems == [] and len(frame) == count and frame["age"].notna().all()
    # Five times the exams; comparing every exam with every other would be twenty-five times the work.
    assert calls[1255] < 6 * calls[251]


def write_tables(folder: Path, names: list[ExamName]) -> None:
    folder.mkdir()
    patients = sorted({name.patient_id for name in names})
    files = [(file, name) for name in names for file in (name.image_name, name.mask_name)]
    contents = {
        "case": [("submitter_id", "sex", "race", "ethnicity"), *((p, "Male", "White", "Other") for p in patients)],
        "imaging_study": [
            ("submitter_id", "case_ids", "age_at_imaging", "age_at_imaging_gt89"),
            *((f"study{name.study}", name.patient_id, "50.0", "No") for name in names),
        ],
        "mr_series": [
            (
                "submitter_id",
                "imaging_studies.submitter_id",
                "manufacturer",
                "manufacturer_model_name",
                "magnetic_field_strength",
                "series_description",
            ),
            *((f"series{name.study}", f"study{name.study}", "SIEMENS", "Aera", "1.5", "T2") for name in names),
        ],
        "annotation_file": [
            ("file_name", "mr_series_files.submitter_id"),
            *((file, f"series{name.study}") for file, name in files),
        ],
    }
    for table, rows in contents.items():
        (folder / f"{table}_x.tsv").write_text("\n".join("\t".join(row) for row in rows) + "\n", encoding="utf-8")
