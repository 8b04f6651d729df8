"""The entry for Slicer's catalogue, and what the checks and the reviewers of the Extensions Index look at.

Nothing is fetched. The rules are pinned as facts, as read in 2026: the fields in Slicer's
Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json, the other checks in ExtensionsIndex, in
scripts/check_description_files.py and .github/PULL_REQUEST_TEMPLATE/new_extension.md.
"""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing" / "Tools"))
import make_icon  # noqa: E402

SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
REQUIRED = ("$schema", "category", "scm_url")
TEXTS = {*REQUIRED, "scm_revision", "scm_type", "dicom_support_rule", "build_subdirectory"}
FIELDS = {*TEXTS, "build_dependencies", "enabled", "tier"}
SCM_TYPES = ("git", "local")
TIERS = range(1, 6)
# Of the categories that the index knows, those that could be meant here.
CATEGORIES = {"Analysis", "Informatics", "Quantification", "Segmentation"}
LARGEST_CLONE = 100 * 2**20

ENTRY = json.loads((ROOT / "CSpineSeg.json").read_text(encoding="utf-8"))
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def problems(entry: Any) -> list[str]:
    """What Slicer's schema would object to, a clause each; none if the entry is valid."""
    if not isinstance(entry, dict):
        return ["it is not a table of names and values"]
    found = [f"{name} is missing" for name in REQUIRED if name not in entry]
    found += [f"{name} is no field" for name in entry if name not in FIELDS]
    found += [f"{name} is not a text" for name in TEXTS & set(entry) if not isinstance(entry[name], str)]
    if entry.get("scm_type", "git") not in SCM_TYPES:
        found.append("scm_type is not known")
    depends = entry.get("build_dependencies", [])
    if not isinstance(depends, list) or not all(isinstance(name, str) for name in depends):
        found.append("build_dependencies is not a list of texts")
    if not isinstance(entry.get("enabled", True), bool):
        found.append("enabled is not true or false")
    tier = entry.get("tier", 1)
    if isinstance(tier, bool) or not isinstance(tier, int) or tier not in TIERS:
        found.append("tier is not a whole number from 1 to 5")
    return found


def cmake_value(name: str) -> str:
    """A value in the CMakeLists.txt, found as the index's script finds it."""
    (value,) = re.findall(rf'set\s*\({name}\s*"([^"]+)"[ ]*\)', CMAKE)
    return value


def test_the_catalogue_entry_fits_slicers_schema():
    assert problems(ENTRY) == []
    assert ENTRY["$schema"] == SCHEMA


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("$schema", None, "$schema is missing"),
        ("category", None, "category is missing"),
        ("scm_url", None, "scm_url is missing"),
        ("category", ["Segmentation"], "category is not a text"),
        ("scmurl", "https://example.org/Slicer.git", "scmurl is no field"),
        ("scm_type", "svn", "scm_type is not known"),
        ("build_dependencies", "PyTorch", "build_dependencies is not a list of texts"),
        ("build_dependencies", [1], "build_dependencies is not a list of texts"),
        ("enabled", "true", "enabled is not true or false"),
        ("tier", 0, "tier is not a whole number from 1 to 5"),
        ("tier", 6, "tier is not a whole number from 1 to 5"),
        ("tier", True, "tier is not a whole number from 1 to 5"),
        ("tier", "1", "tier is not a whole number from 1 to 5"),
    ],
)
def test_each_rule_of_the_schema_is_kept(name, value, said):
    changed = {key: given for key, given in {**ENTRY, name: value}.items() if given is not None}
    assert problems(changed) == [said]


def test_the_entry_means_this_repository_and_the_extension_in_it():
    (project,) = re.findall(r"project\s*\(\s*([^\s)]+)", CMAKE)
    repository = urlsplit(ENTRY["scm_url"])
    assert project == "CSpineSeg" and (ROOT / project / f"{project}.py").is_file()
    assert repository.scheme == "https"
    assert Path(repository.path).stem == f"Slicer{project}"
    # A branch, so that an update needs no new submission; a pre-release is of the lowest tier.
    assert ENTRY["scm_revision"] == "main" and ENTRY["tier"] == 1
    assert ENTRY["category"] in CATEGORIES
    module = (ROOT / project / f"{project}.py").read_text(encoding="utf-8")
    assert f'"{ENTRY["category"]}")]' in module, "the module is found where its extension is"


def test_the_extension_is_built_after_those_that_it_depends_on():
    assert ENTRY["build_dependencies"] == cmake_value("EXTENSION_DEPENDS").split() == ["PyTorch"]


def test_addresses_of_icon_and_pictures_lead_to_files_of_this_repository():
    home = ENTRY["scm_url"].removesuffix(".git")
    assert cmake_value("EXTENSION_HOMEPAGE").split("#")[0] == home
    addresses = [cmake_value("EXTENSION_ICONURL"), *cmake_value("EXTENSION_SCREENSHOTURLS").split()]
    assert len(addresses) >= 2
    for address in addresses:
        start = f"{home}/raw/{ENTRY['scm_revision']}/"
        assert address.startswith(start)
        assert (ROOT / address.removeprefix(start)).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n", address


def test_the_description_is_two_sentences_or_less_that_say_what_it_is_for():
    description = cmake_value("EXTENSION_DESCRIPTION")
    assert 1 <= len(re.findall(r"[.!?](?:\s|$)", description)) <= 2
    assert "not a medical device" in description
    assert len(description) < 300


def test_the_licence_may_be_distributed_and_lies_where_it_is_looked_for():
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]
    assert "Apache-2.0" in README
    models = list((ROOT / "Resources" / "Models").glob("*/configs/metadata.json"))
    assert models and all((path.parent.parent / "LICENSE").is_file() for path in models)


def test_the_readme_has_what_the_index_asks_of_a_homepage():
    title, _, first, *_ = README.splitlines()
    assert title == "# CSpineSeg"
    assert len(first) > 60, "a description stands first"
    beginning = README[: README.index("\n## ")]
    assert re.search(r"!\[[^]]+\]\(Docs/[\w/.-]+\.png\)", beginning), "a picture"
    assert "not a medical device" in beginning
    headings = re.findall(r"^## (.+)$", README, re.MULTILINE)
    for asked in ("The module", "What is installed", "Privacy", "Citation", "Licence"):
        assert asked in headings
    assert "Docs/tutorial.md" in README
    assert "https://doi.org/10.1038/s41597-025-05975-w" in README, "the publication"


def test_a_clone_with_its_history_is_small_enough_for_the_index():
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    words = ["git", "-C", str(ROOT), "count-objects", "-v"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    counted = {name: int(count) for name, count in (line.split(": ") for line in said.splitlines())}
    history = 1024 * (counted["size"] + counted["size-pack"])
    words = ["git", "-C", str(ROOT), "ls-files", "-z"]
    names = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    files = sum(path.stat().st_size for name in names.split("\0") if name and (path := ROOT / name).is_file())
    assert 0 < history + files < LARGEST_CLONE


def test_the_icon_is_the_drawing_of_its_tool_on_128_pixels_with_transparency():
    data = make_icon.ICON.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">IIBB", data[16:26]) == (128, 128, 8, 6)
    start = data.index(b"IDAT")
    (length,) = struct.unpack(">I", data[start - 4 : start])
    rows = np.frombuffer(zlib.decompress(data[start + 4 : start + 4 + length]), np.uint8).reshape(128, 1 + 128 * 4)
    drawn = make_icon.draw()
    # A processor may round the last bit of an angle otherwise.
    assert np.abs(rows[:, 1:].reshape(drawn.shape).astype(int) - drawn).max() <= 4
