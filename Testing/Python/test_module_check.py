"""The check panel: figures and remarks follow the drawing, overlays go on and off, nothing of an exam stays behind."""

from __future__ import annotations

import numpy as np
import pytest
from review_cases import make_exam, predict
from slicer_standins import MODULE_FOLDER, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import files, scene, volume
from CSpineSegLib.scene import overlays, views
from CSpineSegLib.workplace import Workplace

HEADINGS = ["Structure", "cm³", "Pieces", "Added", "Removed", "Expected Dice"]


class Shell:
    """What the panel needs of the form around it."""

    def __init__(self):
        self.workplace, self.said, self.shown, self.panel = Workplace(), "", True, None

    def resourcePath(self, name):
        return str(MODULE_FOLDER / "Resources" / name)

    def say(self, *sentences):
        self.said = " ".join(filter(None, sentences))

    def update(self):
        self.panel.update()


class Person:
    """Hands and eyes at the panel."""

    def __init__(self, exam):
        from CSpineSegModule.panels.check import PANEL
        from PySide6 import QtTest

        self.test, self.exam, self.shell = QtTest.QTest, exam, Shell()
        self.panel = self.shell.panel = PANEL(self.shell)
        self.ui, self.workplace = self.panel.ui, self.shell.workplace
        self.panel.root.wrapped.resize(420, 500)
        self.panel.root.wrapped.show()
        self.panel.update()

    def open(self, model="a", wait=True):
        session = self.workplace.open_exam(self.exam, model)
        views.show(session.context, session.case)
        self.panel.opened(session)
        self.panel.update()
        assert not wait or self.wait(lambda: self.rows)
        return session

    def wait(self, happened, seconds=20):
        for _ in range(20 * seconds):
            if happened():
                return True
            self.test.qWait(50)
        return False

    def click(self, name):
        from PySide6 import QtCore

        widget = getattr(self.ui, name).wrapped
        assert widget.isEnabled() and widget.isVisible(), f"{name} cannot be clicked now"
        middle = QtCore.QPoint(8, widget.height() // 2)
        self.test.mouseClick(widget, QtCore.Qt.MouseButton.LeftButton, pos=middle)

    def paint(self, *corner):
        """Add two voxels of body, as the segment editor does."""
        session = self.workplace.session
        editor, voxels = scene.Editor(session.context, session.case), np.zeros(session.image.shape, bool)
        voxels[corner[0] : corner[0] + 2, corner[1], corner[2]] = True
        editor.paint_voxels("bodies", voxels)
        editor.close()

    def shows(self, kind):
        session = self.workplace.session
        return overlays.is_shown(session.context, session.case, kind)

    @property
    def rows(self):
        view = self.ui.figuresView.wrapped
        model = view.model()
        table = [[model.index(row, column).data() for column in range(6)] for row in range(model.rowCount())]
        return table if view.isVisible() else []

    @property
    def remarks(self):
        widget = self.ui.remarksList.wrapped
        return [widget.item(row).text() for row in range(widget.count())] if widget.isVisible() else []


@pytest.fixture
def person(slicer_app, tmp_path):  # noqa: F811
    import CSpineSegModule  # noqa: F401  (as the module does first)

    exam = make_exam(tmp_path / "données")
    predict(exam, "a", 3)
    image = volume.read(exam.image)
    digest = volume.write(volume.like(image, np.full(image.shape, 40, np.uint8)), exam.doubt("a"))
    known = {"score": 0.9, "dice_bodies": 0.95, "dice_discs": 0.85, "model": {"name": "a", "sha256": "cd" * 32}}
    files.write_json(exam.quality("a"), {**known, "doubt": {"file": "", "sha256": digest}})
    someone = Person(exam)
    yield someone
    someone.panel.cleanup()
    someone.workplace.close()
    someone.panel.root.wrapped.close()
    assert slicer_app.uncaught == [] and slicer_app.errors == []


def labels_of(node):
    from CSpineSegLib.scene import images

    return images.view(node.GetImageData())


def test_without_an_exam_there_is_a_sentence_and_nothing_to_click(person):
    assert person.ui.geometryLabel.text == "Open an exam to see its figures here."
    assert person.rows == person.remarks == []
    names = ("differenceCheck", "doubtCheck", "tableButton")
    assert not any(getattr(person.ui, name).enabled for name in names)
    assert not person.ui.differenceLegendLabel.visible and not person.ui.doubtLegendLabel.visible


def test_an_opened_exam_has_its_figures_with_what_its_model_expects(person):
    person.open()
    model = person.ui.figuresView.wrapped.model()
    from PySide6 import QtCore

    horizontal = QtCore.Qt.Orientation.Horizontal
    assert [model.headerData(column, horizontal) for column in range(6)] == HEADINGS
    assert [row[0] for row in person.rows] == ["Bodies", "Discs", "Both"]
    assert [row[3:] for row in person.rows] == [["0", "0", "0.95"], ["0", "0", "0.85"], ["0", "0", "0.90"]]
    voxels = person.workplace.mask()
    size = np.count_nonzero(voxels.array == 2) * voxels.grid.voxel_volume / 1000
    assert person.rows[1][1] == f"{size:.2f}"
    assert "14 x 16 x 5 voxels" in person.ui.geometryLabel.text


def test_opening_shows_the_picture_before_anything_is_computed(person):
    person.open(wait=False)
    assert person.rows == [] and person.ui.geometryLabel.text == "The mask is being looked at..."
    assert person.wait(lambda: person.rows)


def test_figures_follow_the_drawing_once_the_hand_rests(person):
    person.open()
    looks = []
    person.panel._checking.look = lambda mask, look=person.panel._checking.look: (looks.append(1), look(mask))[1]
    for row in (0, 1, 2):
        person.paint(0, row, 2)
    assert looks == []
    assert person.wait(lambda: person.rows[0][3] == "6")
    assert looks == [1], "three strokes in a row are one look"


def test_remarks_are_told_in_words_and_nothing_unusual_too(person):
    person.open()
    before = person.remarks
    assert before
    person.paint(12, 0, 0)
    assert person.wait(lambda: any("slice on the patient's left" in text for text in person.remarks))


def test_a_click_on_a_remark_shows_its_slice(person):
    from PySide6 import QtCore

    session = person.open()
    person.paint(12, 0, 0)
    assert person.wait(lambda: any("patient's left" in text for text in person.remarks))
    widget = person.ui.remarksList.wrapped
    number = next(row for row, text in enumerate(person.remarks) if "patient's left" in text)
    widget.scrollToItem(widget.item(number))
    assert views.shown(session.context, session.case) == 2
    place = widget.visualItemRect(widget.item(number)).center()
    person.test.mouseClick(widget.viewport(), QtCore.Qt.MouseButton.LeftButton, pos=place)
    assert views.shown(session.context, session.case) == 0
    assert person.shell.said.startswith("Slice 1: The mask reaches")
    widget.setCurrentRow(-1)
    person.panel.onRemark()


def test_the_difference_is_shown_follows_the_drawing_and_goes(person):
    session = person.open()
    person.click("differenceCheck")
    assert person.shows("difference") and person.ui.differenceLegendLabel.visible
    assert "Green" in person.ui.differenceLegendLabel.text and "added" in person.ui.differenceLegendLabel.text
    (node,) = session.context.nodes("vtkMRMLLabelMapVolumeNode")
    assert not labels_of(node).any()
    person.paint(0, 0, 2)
    assert person.wait(lambda: np.count_nonzero(labels_of(node) == overlays.ADDED) == 2)
    person.workplace.save("in review")
    person.panel.saved(None)
    assert person.wait(lambda: not labels_of(node).any()), "what is saved is not a change any more"
    person.click("differenceCheck")
    assert not person.shows("difference") and not person.ui.differenceLegendLabel.visible


def test_the_doubt_map_is_shown_with_its_legend_and_goes_with_the_exam(person):
    session = person.open()
    person.click("doubtCheck")
    assert person.shows("doubt") and person.ui.doubtLegendLabel.visible
    assert "Orange: 30 to 50 % likely to be wrong" in person.ui.doubtLegendLabel.text
    person.workplace.leave_exam()
    person.panel.closed()
    person.panel.update()
    assert session.context.nodes("vtkMRMLLabelMapVolumeNode") == []
    assert person.rows == [] and not person.ui.doubtCheck.enabled


def test_overlays_that_were_on_are_on_for_the_next_exam(person):
    person.open()
    person.click("doubtCheck")
    person.click("differenceCheck")
    person.open()
    assert person.shows("doubt") and person.shows("difference")
    session = person.workplace.session
    assert len(session.context.nodes("vtkMRMLLabelMapVolumeNode")) == 2


def test_where_no_model_told_its_doubt_the_box_cannot_be_clicked_and_the_key_says_why(person):
    person.exam.quality("a").unlink()
    person.open()
    assert not person.ui.doubtCheck.enabled
    assert [row[5] for row in person.rows] == ["unknown"] * 3
    person.ui.doubtCheck.checked = True
    assert "No model has said where it doubts this mask" in person.shell.said
    assert not person.shows("doubt") and not person.ui.doubtLegendLabel.visible


def test_a_mask_that_cannot_be_read_back_is_said_and_no_table_is_made_of_it(person):
    session = person.open()
    transform = session.context.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    matrix = np.eye(4)
    matrix[0, 3] = 5.0
    transform.SetMatrixTransformToParent(scene.images.matrix(matrix))
    session.case.segmentation_node.SetAndObserveTransformNodeID(transform.GetID())
    person.panel.look()
    assert "is moved by the transform 'moved'" in person.ui.geometryLabel.text
    assert person.rows == person.remarks == [] and not person.ui.tableButton.enabled
    session.case.segmentation_node.SetAndObserveTransformNodeID(None)
    person.panel.look()
    assert person.rows and person.ui.tableButton.enabled


def test_figures_and_remarks_are_sent_to_tables_of_the_scene(person):
    session = person.open()
    person.click("tableButton")
    figures, remarks = session.context.nodes("vtkMRMLTableNode")
    assert figures.GetCellText(0, 1) == "Vertebral bodies"
    assert remarks.GetTable().GetNumberOfRows() == len(person.panel._findings.remarks)
    assert figures.GetName() in person.shell.said and remarks.GetName() in person.shell.said


def test_a_folded_panel_computes_nothing_until_it_is_opened(person):
    person.open()
    looks = []
    person.panel._checking.look = lambda mask, look=person.panel._checking.look: (looks.append(1), look(mask))[1]
    person.panel.root.collapsed = True
    person.paint(0, 0, 2)
    person.test.qWait(700)
    assert looks == []
    person.panel.root.collapsed = False
    assert person.wait(lambda: person.rows and person.rows[0][3] == "2")


def test_nothing_is_computed_while_another_module_is_shown(person):
    person.open()
    looks = []
    person.panel._checking.look = lambda mask, look=person.panel._checking.look: (looks.append(1), look(mask))[1]
    person.paint(0, 0, 2)
    person.shell.shown = False
    person.panel.exit()
    person.paint(0, 1, 2)
    person.test.qWait(700)
    assert looks == []
    person.shell.shown = True
    person.panel.enter()
    assert person.wait(lambda: person.rows[0][3] == "4")


def test_the_scene_may_be_closed_at_any_time(person):
    session = person.open()
    person.click("differenceCheck")
    person.click("doubtCheck")
    person.paint(0, 0, 2)
    session.context.scene.Clear()
    person.panel.look()
    person.panel.closed()
    person.panel.update()
    assert person.rows == [] and not person.ui.tableButton.enabled
    person.test.qWait(500)


def test_the_mask_may_be_deleted_while_its_overlays_are_shown(person):
    session = person.open()
    person.click("differenceCheck")
    session.context.remove(session.case.segmentation_node)
    person.test.qWait(500)
    person.panel.closed()
    assert session.context.nodes("vtkMRMLLabelMapVolumeNode") == []
