"""What headers and masks tell of a cohort, and what is found to be unlike the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas
import pytest
from nnunet_export_cases import affine

from CSpineSegLib import volume
from CSpineSegLib.dataset import Dataset, sample, sample_plan
from CSpineSegLib.errors import Cancelled, InputError
from CSpineSegLib.evaluation import cohort as analysis
from CSpineSegLib.evaluation.cohort import gathering, outliers
from CSpineSegLib.evaluation.report import plots
from CSpineSegLib.progress import Progress

SHAPE, SPACING = (32, 30, 8), (0.7, 0.7, 4.0)


def stem(number: int) -> str:
    return f"593973-{number:06d}_Study-MR-{number}_Series-1"


def drawn(shape=SHAPE) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[4:20, 4:14, 2:6], mask[4:20, 16:20, 2:6] = 1, 2
    return mask


def add(root: Path, number: int, mask=None, codes="PSR", spacing=SPACING, mask_affine=None) -> tuple[Path, Path]:
    mask = drawn() if mask is None else mask
    placed = affine(codes, mask.shape, spacing)
    paths = root / "annotation" / f"{stem(number)}.nii.gz", root / "segmentation" / f"{stem(number)}_SEG.nii.gz"
    volume.write(volume.from_array(np.arange(mask.size, dtype=np.int16).reshape(mask.shape), placed), paths[0])
    volume.write(volume.from_array(mask, placed if mask_affine is None else mask_affine), paths[1])
    return paths


def found(root: Path) -> list[tuple[str, str, str]]:
    """(exam's number, rule, what) of all outliers."""
    frame, _ = analysis.gather(Dataset.open(root))
    rows = outliers.outliers(frame)[0].frame
    return [(int(exam[7:13]), rule, of) for exam, rule, of in zip(rows["exam"], rows["rule"], rows["of"], strict=True)]


@pytest.fixture
def root(tmp_path) -> Path:
    """Twelve exams that are alike, but for a few voxels, as a spread of nothing makes no outliers."""
    for number in range(1, 13):
        mask = drawn()
        mask[20, 4 : 4 + number % 5, 2] = 1
        mask[20, 16 : 16 + number % 3, 2] = 2
        add(tmp_path / "set", number, mask)
    return tmp_path / "set"


def test_the_sample_has_the_geometry_and_the_volumes_that_it_was_made_with(sample_dataset):
    frame, _ = analysis.gather(sample_dataset)
    for row in frame.to_dict("records"):
        grid = sample_plan.plan_of(row["stem"]).grid(tiny=True)
        across = grid.sagittal_axis
        assert row["sagittal_axis"] == across and row["slices"] == grid.shape[across]
        assert row["slice_distance_mm"] == pytest.approx(grid.spacing[across], rel=1e-5)
        assert row["in_plane_mm"] == pytest.approx(grid.spacing[(across + 1) % 3], rel=1e-5)
        assert row["orientation"] == grid.orientation and row["mask_grid"] == "same"
        if row["source"] == "gold":
            truth = sample.truth(row["stem"], tiny=True)
            for label, key in ((1, "bodies"), (2, "discs")):
                voxels = np.count_nonzero(truth.mask == label)
                assert row[f"{key}_voxels"] == voxels
                assert row[f"{key}_mm3"] == pytest.approx(voxels * grid.voxel_volume, rel=1e-5)
    (three,) = frame[frame["orientation"] == "RAS"].to_dict("records")
    assert (three["matrix"], three["slices"], three["sagittal_axis"]) == ("64 x 64", 28, 0)


def test_the_whole_page_of_the_sample_has_its_tables_and_figures(sample_dataset):
    section = analysis.cohort(sample_dataset)
    names = {table.name for table in section.tables}
    assert {"cohort-grid", "cohort-spacing", "cohort-volumes", "cohort-outliers", "cohort-rules"} <= names
    assert len(section.figures) == 6 and all(plots.draw(figure) for figure in section.figures)
    assert section.warnings == ()
    # The one 3D series of the sample, and nothing else, is turned otherwise than the rest.
    rows = next(table.frame for table in section.tables if table.name == "cohort-outliers")
    assert set(rows["exam"]) == {"593973-900004_Study-MR-9006_Series-3"}
    assert {"orientation", "spacing"} <= set(rows["rule"])


def test_neither_images_nor_masks_are_opened_if_they_are_not_asked_for(root):
    for path in root.rglob("*.nii.gz"):
        path.write_bytes(b"damaged")
    section = analysis.cohort(Dataset.open(root), images=False, masks=False)
    names = {table.name for table in section.tables}
    assert (
        not names & {"cohort-grid", "cohort-volumes"}
        and section.sentences[-1] == "There are too few patients for any test."
    )


def test_voxels_that_touch_by_a_corner_are_one_component_and_small_ones_are_specks():
    array = np.zeros((8, 8, 8), np.uint8)
    array[1:3, 1:3, 1:3], array[3:5, 3:5, 3:5] = 1, 1
    array[6, 6, 6], array[0, 7, 0] = 1, 2
    assert gathering.content(array, 2.0) == {
        "bodies_mm3": 34.0,
        "bodies_voxels": 17.0,
        "bodies_components": 2.0,
        "bodies_specks": 1.0,
        "discs_mm3": 2.0,
        "discs_voxels": 1.0,
        "discs_components": 1.0,
        "discs_specks": 1.0,
    }
    assert set(gathering.content(np.zeros((4, 4, 4), np.uint8), 2.0).values()) == {0.0}


def test_alike_exams_have_no_outliers(root):
    assert found(root) == []


def blocks(count: int, size: int) -> np.ndarray:
    """So many bodies apart from each other, beside the usual ones."""
    mask = np.zeros((60, 60, 8), np.uint8)
    mask[4:20, 4:14, 2:6], mask[4:20, 16:20, 2:6] = 1, 2
    for number in range(count):
        low, high = 24 + 5 * (number // 8), 2 + 6 * (number % 8)
        mask[low : low + size, high : high + size, 2 : 2 + size] = 1
    return mask


def moved(millimetres: float) -> np.ndarray:
    """The usual affine, further to the right by less than a voxel."""
    found = affine("PSR", SHAPE, SPACING)
    found[0, 3] += millimetres
    return found


@pytest.mark.parametrize(
    ("exam", "expected"),
    [
        # 4 x 4 x 4 voxels of 1.96 mm3 are 125 mm3, single ones under 20.
        ({"mask": blocks(16, 4)}, [("components", "bodies, components"), ("volume", "bodies, mm3")]),
        ({"mask": blocks(16, 1)}, [("components", "bodies, components")]),
        ({"mask": np.where(drawn() == 2, 0, drawn())}, [("empty", "discs, voxels")]),
        ({"mask": np.where(np.arange(8) < 4, drawn(), 0).astype(np.uint8)}, [("volume",), ("volume",)]),
        ({"spacing": (0.7, 0.7, 1.0)}, [("volume",), ("volume",), ("grid", "grid"), ("spacing", "slice distance, mm")]),
        ({"spacing": (0.7, 0.7, 5.3)}, [("spacing", "slice distance, mm")]),
        ({"spacing": (0.7, 0.72, 4.0)}, [("spacing", "in-plane spacing, mm")]),
        ({"codes": "ASR"}, [("orientation", "orientation")]),
        ({"mask_affine": moved(0.9)}, [("mask grid", "mask")]),
    ],
)
def test_each_rule_finds_its_exam_and_no_other(root, exam, expected):
    add(root, 7, **exam)
    rows = [row for row in found(root) if row[1] != "volume" or ("volume",) in expected or row[1:] in expected]
    assert {number for number, *_ in rows} == {7}
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert row[1 : 1 + len(wanted)] == wanted


def test_the_reason_tells_a_wide_field_of_view_from_specks(root):
    add(root, 3, blocks(16, 4))
    add(root, 4, blocks(16, 1))
    frame, _ = analysis.gather(Dataset.open(root))
    rows = outliers.outliers(frame)[0].frame
    reasons = rows[rows["rule"] == "components"].set_index("exam")["reason"]
    assert "wide field of view" in reasons[stem(3)] and "16 of 17 components are specks" in reasons[stem(4)]


def test_a_table_that_says_otherwise_than_the_header_is_an_outlier(sample_dataset):
    path = next(sample_dataset.root.rglob("mr_series_*.tsv"))
    lines = path.read_text(encoding="utf-8").splitlines()
    header = lines[0].split("\t")
    cells = lines[1].split("\t")
    cells[header.index("number_of_instances")], cells[header.index("pixel_spacing")] = "14", "0.5"
    path.write_text("\n".join([lines[0], "\t".join(cells), *lines[2:]]) + "\n", encoding="utf-8")
    frame, _ = analysis.gather(Dataset.open(sample_dataset.root))
    rows = outliers.outliers(frame)[0].frame
    rows = rows[rows["rule"] == "table"]
    assert sorted(rows["of"]) == ["in-plane spacing, mm", "slices"] and set(rows["usual"]) == {"14", "0.5"}


def test_files_that_cannot_be_read_are_named_with_the_reason_and_the_rest_is_described(root):
    image, _ = root / "annotation" / f"{stem(1)}.nii.gz", None
    image.write_bytes(image.read_bytes()[:60])
    _, mask = add(root, 2)
    mask.write_bytes(mask.read_bytes()[:-20])
    (root / "annotation" / f"{stem(3)}.nii.gz").write_bytes(b"no image at all")
    section = analysis.cohort(Dataset.open(root))
    rows = next(table.frame for table in section.tables if table.name == "cohort-outliers")
    unreadable = rows[rows["rule"] == "unreadable"].set_index("exam")
    assert list(unreadable["of"]) == ["image", "mask", "image"]
    assert "truncated or damaged" in unreadable["reason"][stem(2)]
    assert all(stem(number) in unreadable["reason"][stem(number)] for number in (1, 2, 3))
    told = next(table.frame for table in section.tables if table.name == "cohort-rules").set_index("rule")
    assert told["found"]["unreadable"] == 3 and told["judged"]["volume"] == 11
    assert "10 images" in " ".join(section.sentences)


def test_the_header_alone_gives_the_grid_that_the_whole_image_has(root, tmp_path):
    path = root / "annotation" / f"{stem(5)}.nii.gz"
    whole, alone = volume.read(path).grid, gathering.read_grid(path)
    assert alone.shape == whole.shape and np.array_equal(alone.affine, whole.affine)
    with pytest.raises(InputError, match=r"none\.nii\.gz"):
        gathering.read_grid(tmp_path / "none.nii.gz")


def test_robust_z_needs_ten_values_and_a_spread():
    values = np.r_[np.arange(20.0), 100.0, np.nan]
    z = outliers.robust_z(values)
    # Median 10, MAD 5 of 0 ... 19 and 100.
    assert z[20] == pytest.approx(90 / (1.4826 * 5)) and np.isnan(z[21])
    assert np.isnan(outliers.robust_z(values[:9])).all() and np.isnan(outliers.robust_z(np.ones(20))).all()


def test_it_can_be_cancelled(root):
    with pytest.raises(Cancelled):
        analysis.cohort(Dataset.open(root), progress=Progress(cancelled=lambda: True))


@pytest.mark.parametrize(("z", "count"), [(3.4, 0), (3.6, 1), (-3.6, 1)])
def test_a_volume_is_an_outlier_beyond_a_robust_z_of_three_and_a_half(z, count):
    # Logarithms 0 ... 20 have median 10 and MAD 5; one more at the far end leaves both nearly as they are.
    logs = np.r_[np.arange(101.0) / 5, 10 + z * 1.4826 * 5]
    frame = pandas.DataFrame({"bodies_mm3": np.exp(logs), "discs_mm3": np.ones(len(logs))})
    assert abs(outliers.robust_z(logs)[-1] - z) < 0.1
    assert [(at, what) for at, what, *_ in outliers._volumes(frame)] == [(101, "bodies, mm3")] * count


@pytest.mark.parametrize(("components", "count"), [(15, 0), (16, 1)])
def test_fifteen_components_are_no_outlier_and_sixteen_are(components, count):
    columns = {f"{key}_{what}": [8.0, 8.0] for key in ("bodies", "discs") for what in ("components", "specks")}
    frame = pandas.DataFrame(columns | {"bodies_components": [8.0, float(components)], "bodies_specks": [0.0, 0.0]})
    assert len(list(outliers._components(frame))) == count
