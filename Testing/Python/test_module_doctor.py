"""The doctor's panel: looked at, installed from, copied; on Slicer's stand-ins, with a real process that looks."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from slicer_standins import MODULE_FOLDER, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib.errors import CSpineSegError
from CSpineSegLib.jobs import graphics, trying


class Shell:
    """What the panel sees of the form."""

    def __init__(self):
        self.said, self.updates, self.panel, self.closed = [], 0, None, 0
        segmenting = SimpleNamespace(is_busy=False, close=self.close_worker)
        self.workplace = SimpleNamespace(dataset=None, segmenting=segmenting)

    def close_worker(self):
        self.closed += 1

    def resourcePath(self, name):
        return str(MODULE_FOLDER / "Resources" / name)

    def say(self, *sentences):
        self.said.append(" ".join(sentences))

    def update(self):
        self.updates += 1
        self.panel.update()


class FakeCheck:
    """The other process, which is told what it finds."""

    def __init__(self, python=None, names=()):
        self.ended = False
        FakeCheck.last = self

    def is_running(self):
        return not self.ended

    def poll(self):
        return self.found()

    def wait(self):
        return {"broken": {}}

    def close(self):
        self.ended = True


@pytest.fixture
def panel(slicer_app, monkeypatch):  # noqa: F811
    """The panel in a window, folded, with everything installed, on a computer without a card."""
    from CSpineSegModule.panels import doctor
    from PySide6 import QtWidgets

    monkeypatch.setattr(graphics, "known", lambda: ())
    monkeypatch.setattr(graphics, "look", lambda: ([], None))
    monkeypatch.setattr(doctor, "python_slicer", lambda: sys.executable)
    monkeypatch.setattr(doctor.install, "python_slicer", lambda: sys.executable)
    shell = Shell()
    shell.panel = doctor.PANEL(shell)
    window = QtWidgets.QWidget()
    window.setLayout(QtWidgets.QVBoxLayout())
    window.layout().addWidget(shell.panel.root.wrapped)
    window.resize(500, 700)
    window.show()
    yield shell.panel
    shell.panel.cleanup()
    window.close()
    assert slicer_app.uncaught == []


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(trying, "Check", FakeCheck)


def click(panel, name):
    from PySide6 import QtCore, QtTest

    button = getattr(panel.ui, name).wrapped
    assert button.isEnabled(), f"{name} cannot be clicked now"
    QtTest.QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton)


def wait(happened, seconds=120):
    from PySide6 import QtTest

    for _ in range(seconds * 20):
        if happened():
            return True
        QtTest.QTest.qWait(50)
    return False


def unfold(panel):
    panel.root.collapsed = False
    assert panel.check is not None, "unfolding looks"


def finish(panel, **changes):
    """The other process ends with what the glance saw, and more."""
    found = {"broken": {}, "models": [{"name": "m", "version": "1", "sha256": "ab" * 32}], **changes}
    FakeCheck.last.found = lambda: {**panel.report, **found}
    FakeCheck.last.ended = True
    assert wait(lambda: panel.check is None, 5)


def shown(panel):
    return panel.ui.reportView.plainText


def enabled(panel):
    names = ("processorButton", "graphicsButton", "wheelsButton", "checkButton", "copyButton")
    return {name.removesuffix("Button") for name in names if getattr(panel.ui, name).enabled}


def test_nothing_is_looked_at_before_the_panel_is_unfolded(panel, monkeypatch):
    monkeypatch.setattr(trying, "Check", lambda *words: pytest.fail("nobody asked for it"))
    panel.update()
    assert panel.root.collapsed and panel.report is None and shown(panel) == ""
    # The sizes are told before anything else.
    assert "MB to download" in panel.ui.sizesLabel.text and "GB to download" in panel.ui.sizesLabel.text
    assert enabled(panel) == {"check"}


def test_unfolding_looks_and_another_process_imports_everything(panel, slicer_app, tmp_path, monkeypatch):  # noqa: F811
    for name in ("torch", "monai"):
        # They take long, and what is broken has to be told.
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} has no library')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    unfold(panel)
    assert "being tried" in shown(panel) and "Looking at" in panel.ui.summaryLabel.text
    assert enabled(panel) == {"copy"}, "nothing is installed while it looks"
    assert wait(lambda: panel.check is None)
    assert slicer_app.errors == []
    text = shown(panel)
    assert "being tried" not in text and "SHA-256" in text and "OpenVINO 20" in text
    assert "cannot be imported: torch has no library" in text
    assert "5.13.0" in text, "the version is that of the Slicer that asked"
    assert enabled(panel) == {"check", "copy"}


def test_what_is_missing_stands_out_and_is_installed_after_a_question(panel, quick, slicer_app):  # noqa: F811
    slicer_app.missing = {"openvino", "monai"}
    unfold(panel)
    finish(panel)
    assert enabled(panel) == {"processor", "graphics", "wheels", "check", "copy"}
    slicer_app.answer = False
    click(panel, "processorButton")
    assert "openvino will be installed in Slicer, about " in slicer_app.questions[0]
    assert slicer_app.installed == [] and panel.check is None
    slicer_app.answer = True
    click(panel, "processorButton")
    assert slicer_app.installed[0].names == ["openvino"]
    assert panel.shell.said[-1] == "Installed: openvino." and panel.shell.closed == 1
    finish(panel)
    assert enabled(panel) == {"graphics", "wheels", "check", "copy"}
    click(panel, "checkButton")
    assert panel.check is not None and enabled(panel) == {"copy"}


def test_the_table_says_what_is_bad_in_bold_and_escapes_what_it_shows(panel, quick):
    unfold(panel)
    finish(panel, broken={"pandas": "<no> DLL & more"})
    assert "cannot be imported: <no> DLL & more" in shown(panel)
    assert "\u2717 pandas" in shown(panel)
    assert "1 thing is missing or broken" in panel.ui.summaryLabel.text


def test_nothing_is_installed_while_exams_are_segmented(panel, quick, slicer_app):  # noqa: F811
    slicer_app.missing = {"openvino"}
    unfold(panel)
    finish(panel)
    panel.workplace.segmenting.is_busy = True
    click(panel, "processorButton")
    assert slicer_app.installed == [] and "Exams are being segmented" in panel.shell.said[-1]
    assert panel.shell.closed == 0


def test_a_failed_installation_is_one_sentence_and_the_panel_looks_again(panel, quick, slicer_app, monkeypatch):  # noqa: F811
    from CSpineSegModule import install

    slicer_app.missing = {"openvino"}
    unfold(panel)
    finish(panel)

    def fail(names):
        raise CSpineSegError("Packages could not be installed.")

    monkeypatch.setattr(install, "install", fail)
    click(panel, "processorButton")
    assert slicer_app.errors == ["Packages could not be installed."] and panel.check is not None


def test_wheels_are_taken_from_a_folder_that_is_chosen(panel, quick, slicer_app, tmp_path, monkeypatch):  # noqa: F811
    import slicer

    slicer_app.missing = {"openvino"}
    unfold(panel)
    finish(panel)
    slicer_app.chosen_folder = ""
    click(panel, "wheelsButton")
    assert slicer_app.errors == []
    slicer_app.chosen_folder = str(tmp_path)
    click(panel, "wheelsButton")
    assert "holds no wheels" in slicer_app.errors[0]
    (tmp_path / "openvino-2026.4.1-cp312-cp312-win_amd64.whl").touch()
    calls = []
    monkeypatch.setattr(
        slicer.packaging,
        "pip_install",
        lambda words, **names: (calls.append(words), slicer_app.missing.clear()),
        raising=False,
    )
    click(panel, "wheelsButton")
    assert calls == [["--no-index", "--find-links", str(tmp_path), "openvino>=2025.4"]]
    assert panel.shell.said[-1] == "Installed: openvino." and slicer_app.questions == []


def test_the_report_is_copied_without_names_of_exams(panel, quick):
    from PySide6 import QtWidgets

    panel.workplace.dataset = SimpleNamespace(problems=["Exam 593973-000123 has no image."])
    unfold(panel)
    finish(panel)
    assert "593973-000123" in shown(panel)
    click(panel, "copyButton")
    copied = QtWidgets.QApplication.clipboard().text()
    assert "SHA-256 " + "ab" * 32 in copied and "593973-000123" not in copied
    assert copied.startswith("CSpineSeg, report of the doctor")


def test_a_look_that_fails_is_told_and_what_was_seen_at_once_stays(panel, quick, slicer_app):  # noqa: F811
    unfold(panel)

    def fail():
        raise CSpineSegError("Python ends when it imports torch; remove torch and install it again.")

    FakeCheck.last.found, FakeCheck.last.ended = fail, True
    assert wait(lambda: panel.check is None, 5)
    assert slicer_app.errors == ["Python ends when it imports torch; remove torch and install it again."]
    assert "openvino" in shown(panel) and enabled(panel) >= {"check", "copy"}


def test_an_old_slicer_is_told_once(panel, quick, slicer_app, monkeypatch):  # noqa: F811
    import slicer

    monkeypatch.delattr(slicer, "packaging")
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    panel.root.collapsed = False
    assert len(slicer_app.errors) == 1 and "Slicer 5.12" in slicer_app.errors[0]
    assert panel.check is None and "check" in enabled(panel)


def test_closing_the_module_ends_the_other_process(panel):
    panel.root.collapsed = False
    check = panel.check
    assert check.is_running()
    panel.cleanup()
    assert not check.is_running() and not panel.timer.active


def test_every_button_has_a_tip_and_can_be_reached_by_the_keyboard(panel):
    from PySide6 import QtCore

    for name in ("processorButton", "graphicsButton", "wheelsButton", "checkButton", "copyButton", "reportView"):
        part = getattr(panel.ui, name)
        assert part.toolTip, name
        assert part.wrapped.focusPolicy() & QtCore.Qt.FocusPolicy.TabFocus, name
