"""What the documents say is so: links lead somewhere, commands and options exist, tests that they name are there."""

from __future__ import annotations

import ast
import importlib
import os
import re
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from document_parts import ROOT, Block, Document, all_tests, documents, rows

DOCUMENTS = documents()
BATCH, TUTORIAL, VERIFIED = (Document(ROOT / "Docs" / f"{name}.md") for name in ("batch", "tutorial", "verified"))
README = Document(ROOT / "README.md")
MODULE = ROOT / "CSpineSeg"
# Options in the prose that belong to other programs.
FOREIGN = {"--no-main-window", "--python-script", "--testing", "--disable_tta", "--no-index", "--save_probabilities"}
# What users of such extensions complained about: each has a row in verified.md that says what keeps it away here.
COMPLAINTS = {
    *("SlicerTotalSegmentator#17", "SlicerTotalSegmentator#65", "SlicerNNUnet#10", "Slicer#5205"),
    *("SlicerTotalSegmentator#10", "SlicerMONAIAuto3DSeg#81", "SlicerDentalSegmentator#18"),
    *("SlicerDentalSegmentator#38", "SlicerDentalSegmentator#34", "TotalSegmentator#157"),
    *("SlicerDentalSegmentator#41", "SlicerTotalSegmentator#50", "SlicerTotalSegmentator#14"),
    *("SlicerTotalSegmentator#12", "SlicerTotalSegmentator#13", "nnUNet#2265", "MONAILabel#35", "MONAILabel#1407"),
    *("MONAILabel#1856", "MONAILabel#1116", "Slicer#8129", "MONAILabel#1597", "MONAILabel#1432", "MONAILabel#780"),
    *("SlicerNNInteractive#88", "SlicerDentalSegmentator#7", "Slicer#7015"),
}


def command_line():
    """The root of the command line as click knows it."""
    import typer

    from CSpineSegLib.cli.app import app

    # Each file of the folder adds its commands to the app.
    for path in (ROOT / "CSpineSegLib" / "cli").glob("[a-z]*.py"):
        importlib.import_module(f"CSpineSegLib.cli.{path.stem}")

    return typer.main.get_command(app)


def options(command) -> set[str]:
    return {name for part in command.params for name in (*part.opts, *part.secondary_opts)} | {"--help"}


def all_options(command) -> set[str]:
    inner = getattr(command, "commands", {}).values()
    return options(command).union(*map(all_options, inner))


def wrong_words(words: list[str], command) -> list[str]:
    """What of these words is no command and no option."""
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        if len(words) > 1 and words[1] == "|":
            return [word for word in words if word not in ("|", "...") and word not in command.commands]
        if words[0] not in command.commands:
            return words[:1]
        command, words = command.commands[words[0]], words[1:]
    # What follows -- is another program's.
    words = words[: words.index("--")] if "--" in words else words
    given = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return [word for word in given if word not in options(command)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_link_and_picture_leads_somewhere(document):
    for link in document.links():
        if re.match(r"https?://|mailto:", link):
            continue
        name, _, anchor = link.partition("#")
        target = document.path.parent / name if name else document.path
        assert target.exists(), link
        assert target.resolve().is_relative_to(ROOT), link
        if anchor:
            assert anchor in Document(target).anchors(), link


def test_pictures_are_small():
    sizes = {path: path.stat().st_size for path in (ROOT / "Docs").rglob("*.png")}
    assert sizes and max(sizes.values()) < 2**20 and sum(sizes.values()) < 6 * 2**20


def test_what_leads_nowhere_is_found(tmp_path):
    page = Document(tmp_path / "page.md")
    text = '# A head, line\n[a](b.md) ![c](d.png) <img src="e.png" alt=""> `[no](link.md)`\n```\n[f](g)\n```\n'
    page.path.write_text(text, encoding="utf-8")
    assert page.links() == ["b.md", "d.png", "e.png"]
    assert page.anchors() == {"a-head-line"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_command_and_option_that_is_named_exists(document):
    cspineseg = command_line()
    for words in document.commands("cspineseg"):
        assert wrong_words(words, cspineseg) == [], f"cspineseg {' '.join(words)}"
    own = {"open", "--picture", "--scene", "--dataset"}
    for words in document.commands("Slicer"):
        told = words[words.index("--python-script") + 2 :] if "--python-script" in words else []
        wrong = [] if told[:1] == ["open"] else wrong_words(told, cspineseg)
        assert wrong == [] and (told[:1] != ["open"] or {word for word in told if word[:2] == "--"} <= own), told
    known = all_options(cspineseg) | FOREIGN
    for name, words in document.modules():
        known |= module_options(name)
        assert {word for word in words if word.startswith("--")} <= module_options(name), f"{name} {words}"
    named = {text.split()[0] for text in document.inline() if re.match(r"--[a-z]", text)}
    assert named <= known, named - known


def module_options(name: str) -> set[str]:
    """The options of `python -m name`, of this library, by its source; those of others are theirs to know."""
    if name.split(".")[0] != "CSpineSegLib":
        return {"--config_file", "--bundle_root", "--images", "--output_dir"} if name == "monai.bundle" else {"-c"}
    found = find_spec(name)
    assert found is not None, name
    source = Path(found.origin)
    source = source.with_name("__main__.py") if source.name == "__init__.py" else source
    # A worker reads its own words.
    read = [source, ROOT / "CSpineSegLib" / "jobs" / "worker" / "tree.py"] if name.endswith("worker") else [source]
    return set(re.findall(r'"(--[a-z][a-z-]*)"', "".join(path.read_text(encoding="utf-8") for path in read)))


def test_words_that_are_no_command_or_option_are_found():
    cspineseg = command_line()
    assert wrong_words(["segment", "x", "--all", "--part", "1/2"], cspineseg) == []
    assert wrong_words(["segment", "x", "--al"], cspineseg) == ["--al"]
    assert wrong_words(["segmentt"], cspineseg) == ["segmentt"]
    assert wrong_words(["nnunet", "export", "|", "plam"], cspineseg) == ["plam"]
    assert wrong_words(["models", "improt", "x.zip"], cspineseg) == ["improt"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_files_and_make_targets_that_are_named_exist(document):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [words for words in document.commands("make") if not {*words[:1]} <= set(targets)] == []
    for text in document.inline():
        name = text.removesuffix("/")
        if re.fullmatch(r"(CSpineSeg|CSpineSegLib|Docs|Resources|Testing)/[\w./-]+", name):
            assert (ROOT / name).exists(), text


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_python_in_documents_imports_and_calls_what_exists(document):
    for block in document.blocks("python"):
        assert unknown_names(block.text) == []


def unknown_names(code: str) -> list[str]:
    """What a piece of Python imports of this project, or asks of the module's logic, and is not there."""
    tree = ast.parse(code)
    wrong = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "CSpineSegLib":
            module = importlib.import_module(node.module)
            wrong += [name.name for name in node.names if not has(module, name.name)]
        elif isinstance(node, ast.ImportFrom) and node.module.split(".")[0] in ("CSpineSegModule", "CSpineSeg"):
            wrong += [name.name for name in node.names if name.name not in module_names(node.module)]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "logic":
            wrong += [node.attr] if node.attr not in logic_names() else []
    return wrong


def has(module, name: str) -> bool:
    return hasattr(module, name) or find_spec(f"{module.__name__}.{name}") is not None


def module_names(name: str) -> set[str]:
    """What a file of the Slicer module defines, or the files of its package, by their source."""
    path = MODULE.joinpath(*name.split("."))
    if path.is_dir() and name != "CSpineSeg":
        return {file.stem for file in path.glob("*.py")}
    tree = ast.parse(path.with_suffix(".py").read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def logic_names() -> set[str]:
    """The methods of CSpineSegLogic, and what its constructor sets."""
    tree = ast.parse((MODULE / "CSpineSeg.py").read_text(encoding="utf-8"))
    (logic,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "CSpineSegLogic"]
    methods = {node.name for node in logic.body if isinstance(node, ast.FunctionDef)}
    return methods | {node.attr for node in ast.walk(logic) if isinstance(node, ast.Attribute)}


def test_names_that_do_not_exist_are_found():
    assert unknown_names("from CSpineSegLib import jobs, jops") == ["jops"]
    assert unknown_names("from CSpineSegModule import install, uninstall") == ["uninstall"]
    assert unknown_names("from CSpineSeg import CSpineSegLogik") == ["CSpineSegLogik"]
    assert unknown_names("logic.openExam(exam)\nlogic.openExams(exam)") == ["openExams"]


def test_every_block_of_the_page_on_batches_runs_as_it_stands(tmp_path):
    blocks = [block for block in BATCH.blocks("sh", "python") if not block.needs_slicer]
    assert len(blocks) >= 8
    folder, programs = tmp_path / "empty folder", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    # The command as installed, of this clone.
    shim = programs / "cspineseg"
    shim.write_text('#!/bin/sh\nexec python -m CSpineSegLib.cli "$@"\n', encoding="utf-8")
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    given = {"CSPINESEG": str(ROOT), "SLURM_ARRAY_TASK_ID": "3", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **given, "PATH": path, "PYTHONPATH": str(ROOT)}
    said = [run(block, folder, environment) for block in blocks]
    assert said[1].count("593973-900003") > 2, "masks were made and listed"
    assert "593973-900001" in said[-1] and "593973-900003" not in said[-1], "what is left is listed"
    for name in ("neck_SEG.nii.gz", "neck.png", "accepted"):
        assert (folder / name).exists(), name
    masks = folder / "sample" / "processed" / "predicted" / "cspine-phantom"
    assert len(list(masks.glob("593973-900003*_SEG.nii.gz"))) == 3


def run(block: Block, folder: Path, environment: dict[str, str]) -> str:
    words = ["bash", "-e", "-u", "-c"] if block.language == "sh" else [sys.executable, "-c"]
    how = {"cwd": folder, "env": environment, "capture_output": True, "text": True, "check": False, "timeout": 600}
    done = subprocess.run([*words, block.text], **how)
    assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_blocks_that_need_slicer_are_told_from_the_others(tmp_path):
    page = Document(tmp_path / "page.md")
    page.path.write_text("**Needs Slicer**\n\n```sh\na\n```\n\nNot this:\n\n```sh\nb\n```\n", encoding="utf-8")
    assert [(block.text, block.needs_slicer) for block in page.blocks("sh")] == [("a\n", True), ("b\n", False)]
    for block in BATCH.blocks("sh", "python"):
        if block.needs_slicer:
            assert re.search(r"slicer\.util|CSpineSegModule|Slicer --no-main-window", block.text), block.text


def test_every_complaint_about_such_extensions_has_a_row_with_a_test():
    told = rows(VERIFIED.section("What users of such extensions complain about"))
    found = [reference for row in told for reference in re.findall(r"\w+#\d+", row[0])]
    assert sorted(found) == sorted(COMPLAINTS)
    for complaint, answer, kept in told:
        assert re.search(r"`test_\w+\.py::test_\w+`", kept), f"{complaint} {answer}"


def test_every_test_that_is_named_exists():
    known = all_tests()
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", VERIFIED.text)
    assert len(named) > 40
    assert [name for name in named if name[0] not in known or (name[1] and name[1] not in known[name[0]])] == []


def test_what_is_to_be_run_in_slicer_takes_ten_minutes():
    steps = rows(VERIFIED.section("To be run in Slicer, step by step"))
    minutes = [float(row[-1]) for row in steps]
    assert [int(row[0]) for row in steps] == list(range(1, len(steps) + 1))
    assert 5 <= sum(minutes) <= 10


def texts_of_the_form() -> set[str]:
    """What stands on the form: the texts of its .ui files, and the constants that its code translates."""
    found = set()
    for path in (MODULE / "Resources" / "UI").glob("*.ui"):
        found |= set(re.findall(r"<string[^>]*>([^<]+)</string>", path.read_text(encoding="utf-8")))
    for path in [MODULE / "CSpineSeg.py", *(MODULE / "CSpineSegModule").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                found |= {part.value for part in node.args if isinstance(part, ast.Constant)}
    return {text.strip().removesuffix("...").removesuffix(":").strip() for text in found}


@pytest.mark.parametrize("document", [TUTORIAL, README, VERIFIED], ids=str)
def test_what_is_bold_in_a_guide_stands_on_the_form(document):
    # What begins a line of a list, and whole sentences, are the document's own emphasis.
    found = re.findall(r"(- )?\*\*([^*]+)\*\*", document.prose)
    bold = {" ".join(text.split()).replace("...", "") for emphasis, text in found if not emphasis}
    missing = {text.removesuffix(":") for text in bold if not text.endswith(".")} - texts_of_the_form()
    assert missing == set()


def test_the_readme_says_how_large_an_installation_is():
    from CSpineSegLib.workplace import packages

    section = " ".join(README.section("What is installed").split())
    extra = [name for name in packages.SIZES[packages.GRAPHICS] if name not in packages.SIZES[packages.PROCESSOR]]
    for names in (packages.SIZES[packages.PROCESSOR], extra):
        for count in packages.cost(names):
            assert packages.size_text(count) in section, packages.cost_text(names)


def test_the_tutorial_is_five_minutes_and_shows_every_panel():
    text = TUTORIAL.prose
    assert 300 < len(text.split()) < 1100, "five minutes, read and done"
    pictures = {Path(link).name for link in TUTORIAL.links() if link.endswith(".png")}
    panels = ("dataset", "segment", "correct", "check", "levels", "doctor")
    assert pictures >= {f"{name}.png" for name in ("form", *panels)}


def test_every_key_is_in_the_tutorial_and_no_other():
    from CSpineSegLib.workplace import correct

    told = {key for row in rows(TUTORIAL.section("5. Accept (a moment)")) for key in row[0].split(", ")}
    assert told == {key.sequences[0] for key in correct.KEYS}
