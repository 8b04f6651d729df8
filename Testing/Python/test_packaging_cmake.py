"""The extension as Slicer packages it: the lists of files, and a real configure and build with CMake."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing" / "Tools"))
import cmake_lists  # noqa: E402

# What Slicer's macros do with their arguments, as strictly as they do it, and a plain copy in place of the byte
# compilation. From Slicer's CMake/SlicerMacroBuildScriptedModule.cmake and CTK's ctkMacroCompilePythonScript.cmake.
SLICER_CONFIG = """
set(Slicer_USE_FILE ${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake)
set(Slicer_EXTENSION_GENERATE_CONFIG ${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake)
set(Slicer_EXTENSION_CPACK ${CMAKE_CURRENT_LIST_DIR}/CPack.cmake)
"""
USE_SLICER = """
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.12/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer-5.12/qt-scripted-modules)
option(BUILD_TESTING "" ON)
enable_testing()

macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY_SLICER "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_SLICER_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicerMacroBuildScriptedModule(): ${MY_SLICER_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT DEFINED MY_SLICER_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  foreach(value ${MY_SLICER_SCRIPTS} ${MY_SLICER_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${value} AND NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${value}.py)
      message(FATAL_ERROR "slicerMacroBuildScriptedModule given nonexistent file or directory '${value}'")
    endif()
  endforeach()
  ctkMacroCompilePythonScript(
    TARGET_NAME ${MY_SLICER_NAME}
    SCRIPTS "${MY_SLICER_SCRIPTS}"
    RESOURCES "${MY_SLICER_RESOURCES}"
    DESTINATION_DIR ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}
    INSTALL_DIR ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    NO_INSTALL_SUBDIR
    )
endmacro()

function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(MY "NO_INSTALL_SUBDIR;GLOBAL_TARGET" "TARGET_NAME;SOURCE_DIR;DESTINATION_DIR;INSTALL_DIR"
    "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to ctkMacroCompilePythonScript(): ${MY_UNPARSED_ARGUMENTS}")
  endif()
  foreach(varname TARGET_NAME SCRIPTS DESTINATION_DIR INSTALL_DIR)
    if(NOT DEFINED MY_${varname})
      message(FATAL_ERROR "${varname} is mandatory")
    endif()
  endforeach()
  set(copied_files)
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    set(src "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
    set(tgt "${MY_DESTINATION_DIR}/${file}")
    if(IS_DIRECTORY ${src} OR NOT EXISTS ${src})
      message(FATAL_ERROR "ctkMacroCompilePythonScript given '${src}', which is no file")
    endif()
    add_custom_command(DEPENDS ${src} COMMAND ${CMAKE_COMMAND} -E copy ${src} ${tgt} OUTPUT ${tgt})
    list(APPEND copied_files ${tgt})
  endforeach()
  add_custom_target(Copy${MY_TARGET_NAME}PythonFiles ALL DEPENDS ${copied_files})
  set(from ${MY_DESTINATION_DIR})
  if(MY_NO_INSTALL_SUBDIR)
    set(from ${MY_DESTINATION_DIR}/)
  endif()
  install(DIRECTORY "${from}" DESTINATION "${MY_INSTALL_DIR}" COMPONENT Runtime USE_SOURCE_PERMISSIONS)
endfunction()

macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords given to slicer_add_python_unittest(): ${MY_UNPARSED_ARGUMENTS}")
  endif()
  get_filename_component(test_name ${MY_SCRIPT} NAME_WE)
  get_filename_component(script_folder ${MY_SCRIPT} PATH)
  if("${script_folder}" STREQUAL "")
    set(script_folder ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
  # Slicer puts the folder on Python's path as it is, and runs the test from elsewhere.
  if(NOT IS_ABSOLUTE "${script_folder}" OR NOT EXISTS "${script_folder}/${test_name}.py")
    message(FATAL_ERROR "slicer_add_python_unittest given nonexistent '${MY_SCRIPT}'")
  endif()
  add_test(NAME py_${MY_TESTNAME_PREFIX}${test_name}
    COMMAND Slicer ${MY_SLICER_ARGS} "runUnitTest(['${script_folder}'], '${test_name}')")
endmacro()
"""
GENERATE_CONFIG = """
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS LICENSE_FILE README_FILE)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is not set")
  endif()
endforeach()
foreach(file ${EXTENSION_LICENSE_FILE} ${EXTENSION_README_FILE})
  if(NOT EXISTS ${file})
    message(FATAL_ERROR "${file} does not exist")
  endif()
endforeach()
file(WRITE ${CMAKE_BINARY_DIR}/described.txt "${PROJECT_NAME}\\n${EXTENSION_DEPENDS}\\n${EXTENSION_DESCRIPTION}\\n")
"""
CPACK = 'include(CPack)\nfile(WRITE ${CMAKE_BINARY_DIR}/cpack.txt "${PROJECT_NAME}")\n'


def cmake(*words: str | Path) -> str:
    """Run the CMake of this environment; AssertionError with its words if it fails."""
    scripts = Path(sys.executable).parent
    program = shutil.which("cmake", path=os.pathsep.join([str(scripts), os.environ.get("PATH", "")]))
    if program is None:
        pytest.skip("cmake is not installed; pip install cmake")
    done = subprocess.run([program, *map(str, words)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packaged_files(root: Path) -> set[str]:
    return {name for entry in cmake_lists.LISTS for name in cmake_lists.wanted(entry, root)}


@pytest.fixture
def slicer_folder(tmp_path):
    """A `Slicer_DIR` whose macros refuse what Slicer's refuse."""
    folder = tmp_path / "Slicer"
    folder.mkdir()
    for name, text in {
        "SlicerConfig.cmake": SLICER_CONFIG,
        "UseSlicer.cmake": USE_SLICER,
        "GenerateConfig.cmake": GENERATE_CONFIG,
        "CPack.cmake": CPACK,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def configure(source: Path, build: Path, slicer: Path) -> str:
    # Nothing is compiled: the compilers that project() looks for are taken as given, for machines that have none.
    taken = [f"-DCMAKE_{language}_COMPILER_FORCED=ON" for language in ("C", "CXX")]
    taken += [f"-DCMAKE_{language}_COMPILER={sys.executable}" for language in ("C", "CXX")]
    return cmake("-S", source, "-B", build, f"-DSlicer_DIR={slicer}", *taken)


@pytest.fixture
def built(tmp_path, slicer_folder):
    """The folder of scripted modules after configure, build and install."""
    build, prefix = tmp_path / "build", tmp_path / "installed"
    configure(ROOT, build, slicer_folder)
    cmake("--build", build, "--parallel", "2")
    cmake("--install", build, "--prefix", prefix)
    return prefix / "lib" / "Slicer-5.12" / "qt-scripted-modules"


def test_the_cmake_lists_are_equal_to_the_tree():
    found = list(cmake_lists.differences())
    assert not found, "\n".join([*found, f"Run: {cmake_lists.COMMAND}"])


def test_the_tool_finds_and_repairs_a_list_that_differs(tmp_path):
    for name in ("CMakeLists.txt", "CSpineSeg/CMakeLists.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for name in packaged_files(ROOT):
        base = ROOT if (ROOT / name).is_file() else ROOT / "CSpineSeg"
        for target in {tmp_path / base.relative_to(ROOT) / name}:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
    cmake_lists.rewrite(tmp_path)
    assert not list(cmake_lists.differences(tmp_path))
    (tmp_path / "CSpineSegLib" / "new.py").touch()
    (tmp_path / "CSpineSegLib" / "__pycache__").mkdir()
    (tmp_path / "CSpineSegLib" / "__pycache__" / "new.py").touch()
    (tmp_path / "CSpineSeg" / "Testing" / "Python").mkdir(parents=True)
    (tmp_path / "CSpineSeg" / "Testing" / "Python" / "test_new.py").touch()
    (tmp_path / "CSpineSeg" / "Resources" / "UI" / "CSpineSeg.ui").unlink()
    said = list(cmake_lists.differences(tmp_path))
    assert len(said) == 2
    assert "CSpineSegLib/new.py" in said[0] and "CSpineSeg.ui" in said[1]
    cmake_lists.rewrite(tmp_path)
    assert not list(cmake_lists.differences(tmp_path))
    assert "CSpineSegLib/new.py" in cmake_lists.listed("LIBRARY_PYTHON_SCRIPTS", tmp_path)


def test_a_name_that_cmake_would_split_is_refused(tmp_path):
    (tmp_path / "Resources").mkdir()
    (tmp_path / "Resources" / "two words.txt").touch()
    with pytest.raises(ValueError, match="two words"):
        cmake_lists.wanted("LIBRARY_RESOURCES", tmp_path)


def test_slicer_finds_one_module_in_the_folder_that_it_searches():
    # Slicer tries to load every .py file of a folder of modules as a module.
    assert [path.name for path in (ROOT / "CSpineSeg").glob("*.py")] == ["CSpineSeg.py"]
    assert len((ROOT / "CSpineSeg" / "CSpineSeg.py").read_text(encoding="utf-8").splitlines()) < 250


def test_the_packaged_extension_runs_from_its_own_folder_alone(built, tmp_path):
    present = {path.relative_to(built).as_posix() for path in built.rglob("*") if path.is_file()}
    assert present == packaged_files(ROOT)
    code = (
        "import json, CSpineSegModule, CSpineSegLib\n"
        "from CSpineSegLib import anatomy, model, resources\n"
        "print(json.dumps([CSpineSegLib.__file__, str(resources.root()), anatomy.level_name(11) and 1,"
        " sorted(b.name for b in model.available())]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(built), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    library, resources, _, models = json.loads(done.stdout)
    assert Path(library).parent == built / "CSpineSegLib"
    assert Path(resources) == built / "Resources"
    bundles = (ROOT / "Resources" / "Models").glob("*/configs/metadata.json")
    packaged = sorted(path.parent.parent.name for path in bundles)
    assert models == packaged


def test_the_extension_says_what_it_is_and_registers_its_tests_with_a_window_and_without(tmp_path, slicer_folder):
    build = tmp_path / "build"
    configure(ROOT, build, slicer_folder)
    name, depends, description = (build / "described.txt").read_text(encoding="utf-8").splitlines()
    assert (name, depends) == ("CSpineSeg", "PyTorch")
    assert "not a medical device" in description
    registered = (build / "CSpineSeg" / "CTestTestfile.cmake").read_text(encoding="utf-8")
    found = re.findall(r"add_test\((?:\[=\[)?(\w+).*?runUnitTest\(\[\'([^\']+)\'", registered)
    assert sorted(name for name, _ in found) == [
        "py_CSpineSeg",
        "py_nomainwindow_CSpineSeg",
        "py_nomainwindow_test_module_review",
        "py_test_module_review",
    ]
    assert all(
        (Path(folder) / f"{name.removeprefix('py_').removeprefix('nomainwindow_')}.py").is_file()
        for name, folder in found
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  CSpineSeg.py\n", "  CSpineSeg.py\n  missing.py\n"),
        ("WITH_GENERIC_TESTS", "WITH_GENERIC_TESTING"),
        ("${MODULE_NAME}.py Testing", "CSpineSegTests.py Testing"),
        ("SCRIPT ${CMAKE_CURRENT_SOURCE_DIR}/${script}", "SCRIPT Testing/Python/test_module_review.py"),
    ],
)
def test_what_slicer_would_refuse_is_refused_here(tmp_path, slicer_folder, old, new):
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".*", "build", "Models", "__pycache__"))
    path = source / "CSpineSeg" / "CMakeLists.txt"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"nonexistent|Unknown keywords"):
        configure(source, tmp_path / "build", slicer_folder)


@pytest.mark.parametrize(("required", "said"), [("1", "1 error"), ("", "1 skipped")])
def test_a_missing_slicer_core_is_an_error_where_it_is_required(tmp_path, required, said):
    (tmp_path / "test_scene.py").write_text("import scene_helpers\n", encoding="utf-8")
    # None in sys.modules is how Python notes that a module is not to be found.
    (tmp_path / "conftest.py").write_text("import sys\nsys.modules['slicer'] = None\n", encoding="utf-8")
    search = os.pathsep.join([str(ROOT), str(ROOT / "Testing" / "Python")])
    environment = {**os.environ, "PYTHONPATH": search, "CSPINESEG_REQUIRE_SLICER": required}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert said in done.stdout.splitlines()[-1], done.stdout


def test_the_projects_own_test_run_requires_slicer_core():
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    runs = [line for line in lines if 'pytest -m "not slow"' in line or "test_scene*.py" in line]
    assert len(runs) == 2
    assert all(line.startswith("\tCSPINESEG_REQUIRE_SLICER=1 ") for line in runs)


def test_a_clone_shadows_no_package_of_the_same_name(tmp_path):
    (tmp_path / "Testing").mkdir()
    (tmp_path / "Testing" / "__init__.py").touch()
    code = "import sys, CSpineSegModule, Testing; print(Testing.__file__); print(sys.path[-1])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "CSpineSeg"), str(tmp_path)])}
    words = [sys.executable, "-S", "-c", code]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, last = map(Path, done.stdout.splitlines())
    assert found == tmp_path / "Testing" / "__init__.py" and last == ROOT
