"""A whole review of a sample dataset by keyboard alone, for the real application: its test driver runs this file.

The same file runs on slicer-core with stand-ins for Qt, which gives the class other :attr:`hands`. Only what exists in
the application is used here. Without a window the parts that need one are skipped and the others run.
"""

import json
import os
import shutil
import tempfile
import time
import unittest
from pathlib import Path

import qt
import slicer
import slicer.util
from CSpineSegModule import install

SECONDS = 300


class SlicerHands:
    """Presses keys in the real application, where Qt's own test library is not to be had."""

    def __init__(self, form):
        self.form = form

    def type(self, edit, text):
        edit.setFocus()
        edit.selectAll()
        for character in text:
            self.send(edit, 0, character)

    def press(self, widget, name):
        """Press Return or Space in a widget."""
        widget.setFocus()
        key, text = {"Return": (qt.Qt.Key_Return, ""), "Space": (qt.Qt.Key_Space, " ")}[name]
        self.send(widget, key, text)

    def send(self, widget, key, text):
        for kind in (qt.QEvent.KeyPress, qt.QEvent.KeyRelease):
            qt.QApplication.sendEvent(widget, qt.QKeyEvent(kind, key, qt.Qt.NoModifier, text))

    def shortcut(self, keys):
        """Do what a shortcut does, if it is in force: events that are made up do not reach Qt's shortcuts."""
        wanted = qt.QKeySequence(keys).toString()
        found = [one for one in self.form.panels["correct"].keys.shortcuts if one.key.toString() == wanted]
        assert found and found[0].enabled, f"{keys} does nothing now"
        found[0].activated()


def wait(happened, seconds=SECONDS):
    """Let Slicer work until something has happened; AssertionError if it has not after so many seconds."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"this has not happened in {seconds} seconds"
        slicer.app.processEvents()
        time.sleep(0.01)


class ReviewTest(unittest.TestCase):
    """The worklist from the first exam to the last, with keys alone; then the process that segments is killed."""

    hands_of = SlicerHands

    def setUp(self):
        missing = [name for name in ("nibabel", "pandas") if install.installed(name) is None]
        if missing:
            self.skipTest(f"{' and '.join(missing)} not installed: open the Doctor panel, which offers to install")
        from CSpineSegLib.dataset import sample

        slicer.mrmlScene.Clear()
        self.folder = Path(tempfile.mkdtemp(prefix="cspineseg-"))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.root = sample.make(self.folder / "sample", tiny=True).root

    # Without a window

    def test_nomainwindow_anExamIsAcceptedThroughTheLogic(self):
        from CSpineSeg import CSpineSegLogic
        from CSpineSegLib import volume

        logic = CSpineSegLogic()
        logic.openDataset(self.root)
        exam = logic.findExams()[0]
        session = logic.openExam(exam, annotator="reader one")
        before = session.mask().array.copy()
        self.assertTrue(before.any())
        revision = logic.save("accepted")
        logic.workplace.close()
        self.assertEqual((revision.number, revision.annotator), (1, "reader one"))
        self.assertTrue((volume.read_mask(exam.corrected_mask).array == before).all())

    # With one

    def open_form(self):
        if slicer.util.mainWindow() is None:
            self.skipTest("there is no main window, so nothing to press keys in")
        slicer.util.selectModule("CSpineSeg")
        self.form = slicer.util.getModuleWidget("CSpineSeg")
        self.hands = self.hands_of(self.form)
        self.workplace = self.form.workplace
        self.ui = self.form.ui
        self.hands.type(self.ui.annotatorEdit, "reader one")
        self.hands.type(self.ui.folderEdit, str(self.root))
        self.hands.press(self.ui.folderEdit, "Return")
        self.assertEqual(self.ui.examTable.model().rowCount(), 8)

    def paint(self):
        """A stroke of the brush, through the editor's own logic; returns the mask as it is now."""
        from CSpineSegLib import scene

        session = self.workplace.session
        centre = session.image.affine @ [*(size // 2 for size in session.image.shape), 1]
        before = self.workplace.mask().array.copy()
        scene.Editor(session.context, session.case).paint_sphere("bodies", centre[:3], 6.0)
        after = self.workplace.mask().array.copy()
        self.assertFalse((before == after).all())
        return after

    def slice_shown(self):
        from CSpineSegLib.scene import views

        session = self.workplace.session
        return views.shown(session.context, session.case)

    def test_everyExamIsReviewedByKeyboardAlone(self):
        from CSpineSegLib import volume
        from CSpineSegLib.review import records, status

        self.open_form()
        exams = {exam.stem: exam for exam in self.workplace.exams()}

        # Find a patient as one types, and open the only exam that is left.
        patients = [exam.patient_id for exam in exams.values()]
        patient = next(patient for patient in patients if patients.count(patient) == 1)
        self.hands.type(self.ui.searchEdit, patient.split("-")[1])
        self.assertLess(self.ui.examTable.model().rowCount(), 8)
        self.hands.press(self.ui.searchEdit, "Return")
        self.assertEqual(self.workplace.session.exam.patient_id, patient)
        self.hands.type(self.ui.searchEdit, "")
        self.assertEqual(self.ui.examTable.model().rowCount(), 8)

        # Segment it: the mask comes as a new one, of a model, and the reviewer goes on looking at the same slice.
        self.hands.shortcut("Ctrl+Right")
        looked_at = self.slice_shown()
        self.hands.press(self.ui.applyButton, "Space")
        self.assertTrue(self.workplace.segmenting.is_running, self.ui.statusLabel.text)
        wait(lambda: not self.workplace.segmenting.is_busy)
        self.assertEqual(self.workplace.session.start.kind, "predicted", self.ui.statusLabel.text)
        self.assertEqual(self.slice_shown(), looked_at)

        # Correct and accept one after the other; reject the third.
        drawn, order = {}, []
        while self.workplace.session.exam.stem not in order:
            stem = self.workplace.session.exam.stem
            order.append(stem)
            self.hands.shortcut("Ctrl+Right")
            drawn[stem] = self.paint()
            self.assertTrue(self.workplace.is_changed())
            if len(order) == 3:
                self.hands.shortcut("Ctrl+Shift+R")
                self.hands.type(self.ui.reasonEdit, "moved during the scan")
                self.hands.press(self.ui.reasonEdit, "Return")
                self.hands.press(self.ui.nextButton, "Space")
            else:
                wait(self.form.panels["correct"].isSeen)
                self.hands.shortcut("Ctrl+Return")
            if len(order) < 8:
                self.assertNotEqual(self.workplace.session.exam.stem, stem, self.ui.statusLabel.text)
        self.assertEqual(sorted(order), sorted(exams))

        for number, stem in enumerate(order, 1):
            exam, revisions = exams[stem], records.history(exams[stem])
            self.assertEqual({revision.annotator for revision in revisions}, {"reader one"}, stem)
            self.assertEqual(status.of(exam).status, "rejected" if number == 3 else "accepted", stem)
            kept = volume.read_mask(revisions[-1].mask).array
            self.assertTrue((kept == drawn[stem]).all(), stem)
            self.assertEqual(exam.corrected_mask.is_file(), number != 3, stem)
            events = [
                json.loads(path.read_text("utf-8"))["event"] for path in sorted(exam.events_folder.glob(f"{stem}.*"))
            ]
            # The first was opened once more, with the new mask.
            expected = {1: ["opened", "opened"], 3: ["opened", "rejected"]}.get(number, ["opened"])
            self.assertEqual(events, expected, stem)
        stray = [path for path in self.root.rglob("*") if path.name.startswith(".cspineseg")]
        self.assertEqual(stray, [])

    def test_whatWasDrawnSurvivesAKilledProcessAndAClosedScene(self):
        from CSpineSegLib.review import records

        self.open_form()
        self.hands.press(self.ui.nextButton, "Space")
        exam, drawn = self.workplace.session.exam, self.paint()

        # The process that segments is killed in the middle; the scene is as it was, and another can be started.
        self.hands.press(self.ui.applyButton, "Space")
        wait(lambda: self.workplace.segmenting.worker.pid is not None)
        os.kill(self.workplace.segmenting.worker.pid, 9)
        wait(lambda: not self.workplace.segmenting.is_busy)
        self.assertTrue((self.workplace.mask().array == drawn).all())
        self.hands.press(self.ui.applyButton, "Space")
        wait(lambda: not self.workplace.segmenting.is_busy)
        self.assertTrue(self.workplace.segmenting.has_result(), self.ui.statusLabel.text)
        self.assertTrue((self.workplace.mask().array == drawn).all())

        # Opening the result keeps what was drawn; closing the scene does so too.
        self.hands.press(self.ui.applyButton, "Space")
        self.assertEqual(self.workplace.session.start.kind, "predicted")
        self.assertEqual([revision.status for revision in records.history(exam)], ["in review"])
        again = self.paint()
        slicer.mrmlScene.Clear()
        self.assertIsNone(self.workplace.session)
        self.hands.press(self.ui.nextButton, "Space")
        self.assertIsNotNone(self.workplace.session)
        self.hands.type(self.ui.searchEdit, exam.stem)
        self.hands.press(self.ui.searchEdit, "Return")
        self.assertTrue((self.workplace.mask().array == again).all())
        self.assertEqual(len(records.history(exam)), 2)
