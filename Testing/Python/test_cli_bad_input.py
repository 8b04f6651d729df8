"""Everything that a user can get wrong, through the command line: code 2, one sentence, nothing written."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from CSpineSegLib import jobs, resources, volume
from CSpineSegLib.cli import main
from CSpineSegLib.dataset import Dataset

LONG = "n" * 300
# Offsets in a NIfTI-1 header.
DIM, DATATYPE, VOX_OFFSET, QOFFSET_X, SROW_X, CODES = 40, 70, 108, 268, 280, 252


@pytest.fixture
def place(sample_dataset, tmp_path, monkeypatch):
    """The sample dataset in an empty working folder; every path below it has a space and an accent."""
    monkeypatch.delenv("CSPINESEG_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)
    return sample_dataset


def tree(folder: Path) -> dict[str, bytes | None]:
    """All that lies below a folder: contents of files, None for folders."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(place, tmp_path, capsys):
    """Run a command that must be refused; returns its sentence after checking that it is one and wrote nothing."""

    def run(*words: object, dataset: bool = True) -> str:
        before = tree(tmp_path)
        capsys.readouterr()
        code = main([*map(str, words), *(["--dataset", str(place.root)] if dataset else [])])
        out, err = capsys.readouterr()
        said = [line for line in err.splitlines() if line.startswith("cspineseg: ")]
        assert (code, out, len(said)) == (2, "", 1), err
        assert "Traceback" not in err
        assert said[0].endswith((".", "?"))
        assert tree(tmp_path) == before
        return said[0]

    return run


def table(dataset: Dataset, name: str) -> Path:
    return next((dataset.root / "extracted" / "structured").glob(f"{name}_*.tsv"))


def repeat(path: Path, holding: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join([*lines, next(line for line in lines[1:] if holding in line)]), encoding="utf-8")


@pytest.mark.parametrize("command", ["show", "segment", "metrics"])
def test_unknown_patient_offers_neighbours_in_every_command(refused, command):
    assert "593973-900006" in refused(command, "593973-900009")


@pytest.mark.parametrize(
    "name", ["", "593973-", "593973-1234567", "../x", "９００００１", "593973-900001_Study-MR-1", LONG]
)
def test_malformed_names(refused, name):
    assert "593973-000123" in refused("show", name)


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("mr_series", "manufacturer_model_name", "other", "manufacturer_model_name"),
        ("mr_series", "\t", ",", "commas"),
        ("case", "\t", ";", "semicolons"),
        ("case", "\t", "   ", "submitter_id"),
    ],
)
def test_tables_without_a_column_or_with_another_separator(refused, place, name, old, new, expected):
    path = table(place, name)
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    assert expected in refused("list")


@pytest.mark.parametrize(
    ("name", "holding", "expected"),
    [("case", "", "two rows"), ("mr_series", "", "two rows"), ("annotation_file", "_SEG", "two masks for one exam")],
)
def test_tables_with_rows_twice(refused, place, name, holding, expected):
    repeat(table(place, name), holding)
    assert expected in refused("segment", "--all")


def patched(data: bytes, *edits: tuple) -> bytes:
    raw = bytearray(gzip.decompress(data))
    for offset, layout, *values in edits:
        struct.pack_into(layout, raw, offset, *values)
    return gzip.compress(bytes(raw))


SPOILT = {
    "cut": lambda data: data[: len(data) // 2],
    "no file": lambda data: b"",
    "text": lambda data: b"not an image",
    "4D": lambda data: patched(data, (DIM, "<h", 4), (DIM + 8, "<h", 3)),
    "2D": lambda data: patched(data, (DIM, "<h", 2)),
    "empty": lambda data: patched(data, (DIM + 2, "<h", 0)),
    "NaN in sform": lambda data: patched(data, (SROW_X, "<f", np.nan)),
    "infinite qform": lambda data: patched(data, (QOFFSET_X, "<f", np.inf)),
    "shear": lambda data: patched(data, (CODES, "<hh", 0, 1), (SROW_X, "<fff", 3.0, 3.0, 3.0)),
    "forms disagree": lambda data: patched(data, (QOFFSET_X, "<f", 1000.0)),
    "no forms": lambda data: patched(data, (CODES, "<hh", 0, 0)),
    "unknown type": lambda data: patched(data, (DATATYPE, "<h", 999)),
    "voxels nowhere": lambda data: patched(data, (VOX_OFFSET, "<f", 1e30)),
}


@pytest.mark.parametrize("spoil", SPOILT)
def test_images_that_cannot_be_used(refused, place, spoil):
    exam = place.exams()[0]
    exam.image.write_bytes(SPOILT[spoil](exam.image.read_bytes()))
    for words in (["segment", exam.stem, "--device", "cpu"], ["correct", exam.stem, exam.mask]):
        assert str(exam.image) in refused(*words)
    assert str(exam.image) in refused("segment", exam.image, "--output", "mask é.nii.gz", dataset=False)


def test_voxels_that_are_not_finite(refused, place):
    exam = place.exams()[0]
    image = volume.read(exam.image)
    for value in (np.nan, np.inf):
        array = image.array.astype(np.float32)
        broken = volume.encode(volume.from_array(array, image.affine))
        exam.image.write_bytes(patched(broken, (352, "<f", value)))
        assert "not finite" in refused("segment", exam.stem, "--device", "cpu")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "bogus"], "bogus"),
        (["--seconds", "-1"], "zero or more"),
        (["--seconds", "nan"], "zero or more"),
        (["--seconds", "x"], "--seconds"),
        (["--annotator", ""], "annotator"),
        (["--annotator", "a\nb"], "annotator"),
    ],
)
def test_words_about_a_correction(refused, place, words, expected):
    exam = place.exams()[0]
    assert expected in refused("correct", exam.stem, exam.mask, *words)


@pytest.mark.parametrize("device", ["tpu", "", "CPU", "mps"])
def test_devices_that_are_not_there(refused, place, device):
    if device == "mps" and sys.platform == "darwin":
        pytest.skip("this machine may have one")
    assert "device" in refused("segment", place.exams()[0].stem, "--device", device)


def test_model_with_one_byte_changed(refused, tmp_path):
    folder = shutil.copytree(resources.path("Models") / jobs.DEFAULT_MODEL, tmp_path / "modèle x")
    weights = folder / "models" / "model.pt"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    assert str(weights) in refused("segment", "--all", "--model", folder)


def test_file_in_the_way_of_the_outputs(refused, place, tmp_path):
    exam = place.exams()[0]
    shutil.rmtree(place.processed, ignore_errors=True)
    place.processed.write_text("in the way", encoding="utf-8")
    assert "could not be written" in refused("correct", exam.stem, exam.mask)
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    for target in ("file", "file/below"):
        assert "could not be written" in refused("export", "--output", tmp_path / target)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("command", ["correct", "export"])
def test_full_disk(place, tmp_path, command):
    import resource

    exam = place.exams()[0]
    rest = [exam.stem, exam.mask] if command == "correct" else ["--output", tmp_path / "é x"]
    words = [sys.executable, "-m", "CSpineSegLib.cli", command, *map(str, rest), "--dataset", str(place.root)]
    before = tree(tmp_path)
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        words,
        cwd=root,
        capture_output=True,
        encoding="utf-8",
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)),
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("cspineseg: ") == 1
    assert "could not be written" in done.stderr
    assert tree(tmp_path) == before


@pytest.mark.parametrize("query", ["", "source ==", "colour == 1", "source", "1 == 1", "age > 'x'", "(" * 300])
def test_queries_that_are_not_understood(refused, query):
    assert "query" in refused("list", "--query", query)


def test_interrupted_batch_says_so_with_code_1(place, capsys, monkeypatch):
    def interrupted(*arguments, **given):
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "segment_many", interrupted)
    assert main(["segment", "--all", "--dataset", str(place.root)]) == 1
    assert "what was finished before is kept" in capsys.readouterr().err


def case(*words: object, reason: str):
    return pytest.param(words, id=reason)


@pytest.mark.parametrize(
    "words",
    [
        case("export", "--output", "out", reason="a damaged mask in an export"),
        case("segment", "--all", "--device", "tpu", reason="an unknown device for many exams"),
        case("export", "--output", LONG, reason="a folder's name of over 255 bytes"),
        case("show", LONG + ".nii.gz", reason="a file's name of over 255 bytes"),
        case("segment", "--all", "--model", LONG, reason="a model's name of over 255 bytes"),
        case("segment", "900004", "--device", "cpu", reason="an image that is a dead link"),
    ],
)
def test_what_cannot_be_used_later_on_is_refused_before_anything_is_written(refused, place, words):
    exam = place.exams(patient="900004")[0]
    exam.mask.write_bytes(b"damaged")
    exam.image.unlink()
    exam.image.symlink_to("nowhere")
    refused(*words)
