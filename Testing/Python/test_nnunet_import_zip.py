"""Zips that are refused before anything in them is read: unsafe names, bombs, damage."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from pathlib import Path

import nnunet_zips as zips
import pytest

from CSpineSegLib.model.nnunet import archive, importing

torch = pytest.importorskip("torch", reason="checkpoints are torch's")

TOP, CHECKPOINT = zips.TOP, zips.CHECKPOINT


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    return zips.training("2d")


@pytest.fixture
def refused(tmp_path, monkeypatch):
    return zips.refusal(tmp_path, monkeypatch)


def zip_with(path: Path, good: dict[str, bytes], *infos: tuple[zipfile.ZipInfo, bytes]) -> Path:
    zips.write_zip(path, good)
    with zipfile.ZipFile(path, "a") as opened:
        for info, data in infos:
            opened.writestr(info, data)
    return path


def test_what_is_not_there_or_no_zip_is_named(refused, tmp_path):
    assert "does not exist" in refused(tmp_path / "none.zip")
    (tmp_path / "a.zip").write_bytes(b"no zip at all" * 100)
    assert "a.zip is not a zip; name one that" in refused(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"")
    assert "b.zip is not a zip" in refused(tmp_path / "b.zip")
    (tmp_path / "c.pth").write_bytes(zips.saved(zips.checkpoint(2)))
    assert "holds no trained model of nnU-Net 2" in refused(tmp_path / "c.pth")
    (tmp_path / "empty").mkdir()
    assert "holds no trained model of nnU-Net 2" in refused(tmp_path / "empty")


def test_a_truncated_zip_is_damaged(refused, tmp_path, good):
    whole = zips.write_zip(tmp_path / "a.zip", good).read_bytes()
    for length in (40, len(whole) // 2, len(whole) - 30):
        (tmp_path / "b.zip").write_bytes(whole[:length])
        assert "b.zip is a zip that is damaged or not complete" in refused(tmp_path / "b.zip")


def test_a_changed_byte_in_a_checkpoint_is_found_by_its_checksum(refused, tmp_path, good):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as opened:
        for name, data in good.items():
            opened.writestr(name, data)
    whole = bytearray(path.read_bytes())
    whole[whole.index(good[CHECKPOINT]) + 20_000] ^= 0xFF
    path.write_bytes(whole)
    assert f"{CHECKPOINT} in {path} is damaged (Bad CRC-32" in refused(path)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up.json", f"{TOP}/../../../up", "C:/x", "C:x", "a\\b", "//host/x", "a\nb"]
)
def test_a_name_that_leads_elsewhere_is_refused_even_of_a_file_that_is_not_needed(refused, good, name):
    words = {"/": "an absolute path", "C": "an absolute path", "a\\b": "backslashes", "a\nb": "control characters"}
    wanted = words.get(name) or words.get(name[0]) or "leads out of its folder"
    said = refused(good | {name: b"x"})
    assert wanted in said and repr(name) in said


def test_a_name_with_nul_in_it_is_refused(refused, tmp_path, good):
    path = zips.write_zip(tmp_path / "a.zip", good | {"a0b": b"x"})
    path.write_bytes(path.read_bytes().replace(b"a0b", b"a\0b"))
    assert "control characters" in refused(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(refused, tmp_path, good, kind):
    info = zipfile.ZipInfo(f"{TOP}/fold_1")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    assert "a link or a special file" in refused(zip_with(tmp_path / "a.zip", good, (info, b"/etc/passwd")))


def test_names_that_are_there_twice_are_refused(refused, tmp_path, good):
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = zip_with(tmp_path / "a.zip", good, (zipfile.ZipInfo(f"{TOP}/plans.json"), b"{}"))
    assert "a name that is there twice" in refused(path)


def test_encrypted_members_are_refused(refused, tmp_path, good):
    path = zips.write_zip(tmp_path / "a.zip", good)
    whole = bytearray(path.read_bytes())
    start = whole.rindex(b"PK\x01\x02")
    struct.pack_into("<H", whole, start + 8, 1)
    path.write_bytes(whole)
    assert "an encrypted file" in refused(path)


def test_other_compressions_are_refused(refused, tmp_path, good):
    path = zips.write_zip(tmp_path / "a.zip", good)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_LZMA) as opened:
        opened.writestr("x", b"x" * 1000)
    assert "another method than deflation" in refused(path)


def test_a_bomb_is_refused_by_its_ratio_before_it_is_unpacked(refused, tmp_path, good):
    path = zips.write_zip(tmp_path / "a.zip", good)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as opened,
        opened.open("bomb", "w", force_zip64=True) as stream,
    ):
        for _ in range(9):
            stream.write(bytes(8 * 2**20))
    assert f"unpack to over {archive.MOST_RATIO} times its size" in refused(path)


def test_a_zip_that_unpacks_to_more_than_any_model_is_refused(refused, tmp_path, good, monkeypatch):
    monkeypatch.setattr(archive, "MOST_BYTES", 2**10)
    assert "would unpack to" in refused(good)
    monkeypatch.undo()
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "Models"))
    monkeypatch.setattr(archive, "MOST_CHECKPOINT", 2**10)
    assert f"{CHECKPOINT} in" in refused(good) and "over the limit of 0 MB" in refused(good)
    monkeypatch.setattr(archive, "MOST_MEMBERS", 3)
    assert "over the limit of 3" in refused(good)


def test_a_size_that_lies_ends_in_a_sentence(refused, tmp_path, good):
    path = zips.write_zip(tmp_path / "a.zip", good)
    with zipfile.ZipFile(path) as opened:
        size = opened.getinfo(CHECKPOINT).file_size
    whole = path.read_bytes()
    assert whole.count(struct.pack("<L", size)) == 2
    path.write_bytes(whole.replace(struct.pack("<L", size), struct.pack("<L", size // 2)))
    assert "is damaged" in refused(path)


def test_litter_of_macos_does_not_matter(tmp_path, good, monkeypatch):
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "Models"))
    litter = {f"__MACOSX/{name.replace('checkpoint', '._checkpoint')}": b"x" for name in good} | {".DS_Store": b"x"}
    litter[f"__MACOSX/{CHECKPOINT}"] = b"x"
    assert importing.import_model(zips.write_zip(tmp_path / "a.zip", good | litter)).weights


def test_links_in_a_results_folder_are_followed_but_not_in_circles(tmp_path, good, monkeypatch):
    monkeypatch.setenv("CSPINESEG_MODELS", str(tmp_path / "Models"))
    results = zips.write_folder(tmp_path / "results", good)
    real = (results / TOP / "fold_0").rename(tmp_path / "scratch")
    try:
        os.symlink(real, results / TOP / "fold_0", target_is_directory=True)
    except OSError:
        pytest.skip("links cannot be made here")
    os.symlink(results, real / "circle", target_is_directory=True)
    assert set(importing.import_model(results).weights) == {("2d", 0)}
