"""The levels panel in the form: named, measured, renamed by one click, shown in the place of the mask, and gone."""

from __future__ import annotations

import numpy as np
import pytest
from module_person import Person, nodes, python_slicer  # noqa: F401  (fixture)
from neck_cases import PATIENT, drawn_neck, make_neck, without
from slicer_standins import load_module, slicer_app  # noqa: F401  (fixture)

from CSpineSegLib import files, scene
from CSpineSegLib.errors import WriteError
from CSpineSegLib.jobs import level_files
from CSpineSegLib.scene import views

NECK = drawn_neck("C2", "C5", fused=[("C4", "C5")])
# Nothing tells where it begins.
HEADLESS = drawn_neck("C4", "C6")
KINDS = ("vtkMRMLSegmentationNode", "vtkMRMLMarkupsFiducialNode", "vtkMRMLMarkupsCurveNode")
NAMES = ["C2", "C2-C3 disc", "C3", "C3-C4 disc", "C4-C5 block"]


class Reader(Person):
    """A person at the levels panel, with an exam open."""

    def __init__(self, app, root, neck):
        make_neck(root, neck)
        super().__init__(load_module(), app, root)
        self.session = self.open(PATIENT)
        self.unfold("levelsPanel")
        self.panel = self.widget.panels["levels"]

    @property
    def levels(self):
        """The names in the table."""
        return [row[0] for row in self.rows("levelsTable")]

    @property
    def shown(self):
        """The nodes of the levels."""
        return scene.find_levels(self.session.context, self.session.case)

    def sees_mask(self):
        return bool(self.session.case.segmentation_node.GetDisplayNode().GetVisibility())

    def sees_levels(self):
        return bool(self.shown.segmentation.GetDisplayNode().GetVisibility())

    def sees_names(self):
        return bool(self.shown.points.GetDisplayNode().GetVisibility())

    def record(self):
        return level_files.read(level_files.of_exam(self.session.exam))

    def draw(self, mask):
        scene.replace_voxels(self.session.context, self.session.case, mask)

    def click_in_the_view(self, place):
        """What Slicer's views do with a click in place mode; None: another mouse mode is chosen instead."""
        import slicer

        application = self.session.context.application
        interaction, selection = application.GetInteractionNode(), application.GetSelectionNode()
        assert interaction.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.Place
        node = self.session.context.scene.GetNodeByID(selection.GetActivePlaceNodeID())
        if place is not None:
            node.AddControlPoint([float(value) for value in place])
        interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
        assert self.wait(lambda: self.panel.pointing is None, 20)


@pytest.fixture
def make_reader(slicer_app, python_slicer, tmp_path):  # noqa: F811
    """Makes one person before an exam with this mask."""
    made = []

    def make(neck=NECK):
        made.append(Reader(slicer_app, tmp_path / "données", neck))
        return made[-1]

    yield make
    for reader in made:
        reader.close()
    assert slicer_app.uncaught == []


def test_without_an_exam_and_before_levels_are_found_the_panel_says_what_to_do(slicer_app, make_reader):  # noqa: F811
    reader = make_reader()
    assert reader.read("levelsStateLabel").startswith("'Find levels' names the bodies and discs")
    assert reader.can("findLevelsButton") and not reader.sees("levelsTable") and not reader.sees("measuresView")
    names = ("levelsCheck", "levelNamesCheck", "rowButton", "forgetLevelButton", "measuresCombo")
    assert not any(reader.part(name).enabled for name in names)
    reader.logic.leave_exam()
    reader.widget.update()
    assert reader.read("levelsStateLabel") == "Open an exam to find its levels."
    assert not reader.part("findLevelsButton").enabled and not reader.part("pointButton").enabled


def test_levels_are_named_measured_written_and_shown_in_the_place_of_the_mask(make_reader):
    reader = make_reader()
    before = reader.session.mask().array.copy()
    reader.click("findLevelsButton")
    rows = reader.rows("levelsTable")
    assert [row[0] for row in rows] == NAMES
    assert rows[2][1].endswith(" %") and " ± " in rows[2][2] and float(rows[2][3]) > 0.5
    assert rows[4][4] == "2 vertebrae in one"
    assert reader.read("levelsStateLabel").startswith("The topmost body has the shape of C2")
    assert "written beside the mask that counts" in reader.status
    assert [element["name"] for element in reader.record()["elements"]][4] == "C4-C5 block"
    assert reader.sees_levels() and reader.sees_names() and not reader.sees_mask()
    assert np.array_equal(reader.session.mask().array, before) and not reader.logic.is_changed()
    reader.click("findLevelsButton")
    assert "as they were written before" in reader.status and reader.app.errors == []


def test_a_row_that_is_chosen_by_click_or_key_is_shown_with_its_measurements(make_reader):
    reader = make_reader()
    reader.click("findLevelsButton")
    session = reader.session
    views.step(session.context, session.case, 9)
    assert views.shown(session.context, session.case) != 3
    reader.click_row("C3-C4 disc", "levelsTable")
    row = reader.row_of("C3-C4 disc", "levelsTable")
    assert reader.part("levelsTable").currentRow() == row
    assert views.shown(session.context, session.case) == 3, "the slice through its middle"
    assert reader.read("measuresCombo") == "C3-C4 disc"
    titles = [row[0] for row in reader.rows("measuresView")]
    assert titles[:3] == ["Anterior height", "Middle height", "Posterior height"]
    assert all(" ± " in row[1] or row[2].startswith("not measured: ") for row in reader.rows("measuresView"))
    reader.press("Down", "levelsTable")
    assert reader.read("measuresCombo") == "C4-C5 block"
    reader.choose("measuresCombo", "Whole spine")
    spine = {row[0]: row[1:] for row in reader.rows("measuresView")}
    assert spine["C2-C7 Cobb angle"] == ["", "not measured: C7 is not in the mask"]
    assert spine["Segmental angle, C2-C3"][0].endswith("°") and spine["Listhesis, C2-C3"][0].endswith("mm")


def test_one_click_in_a_view_names_all_and_one_more_forgets_it(make_reader):
    reader = make_reader(HEADLESS)
    reader.click("findLevelsButton")
    assert reader.levels[:3] == ["body 1", "disc 1", "body 2"] and "relative" in reader.read("levelsStateLabel")
    assert not reader.can("forgetLevelButton")
    reader.part("anchorCombo").currentIndex = 3
    assert reader.read("anchorCombo") == "C5"
    reader.click("pointButton")
    assert reader.status == "Click on C5 in a slice view." and reader.read("pointButton") == "Cancel"
    reader.click_in_the_view(HEADLESS.centre("C5"))
    assert reader.levels[:3] == ["C4", "C4-C5 disc", "C5"]
    assert "C5, which was given" in reader.read("levelsStateLabel") and reader.read("pointButton") == "Click on it..."
    assert reader.record()["anchor"]["level"] == "C5"
    reader.click("forgetLevelButton")
    assert reader.levels[:1] == ["body 1"] and reader.record()["anchor"] is None
    assert len(nodes(reader.app, KINDS[1])) == 1, "of the place that was clicked nothing stays"


def test_a_click_that_is_given_up_or_meets_nothing_changes_no_name(make_reader):
    import slicer

    reader = make_reader()
    reader.click("findLevelsButton")
    reader.click("pointButton")
    reader.click_in_the_view(None)
    assert "No place was chosen" in reader.status and reader.levels == NAMES
    reader.click("pointButton")
    reader.click("pointButton")
    interaction = reader.session.context.application.GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.ViewTransform
    reader.click("pointButton")
    reader.click_in_the_view((200.0, 0.0, 0.0))
    assert len(reader.app.errors) == 1 and "Nothing of the mask lies at the anchor" in reader.app.errors[0]
    assert reader.levels == NAMES and reader.sees_levels() and reader.can("findLevelsButton")
    assert len(nodes(reader.app, KINDS[1])) == 1


def test_the_chosen_row_is_named_by_keyboard_alone(make_reader):
    reader = make_reader(HEADLESS)
    reader.press("Space", "findLevelsButton")
    assert not reader.can("rowButton")
    reader.press("Down", "levelsTable")
    reader.press("Down", "levelsTable")
    chosen = reader.levels[reader.part("levelsTable").currentRow()]
    for _ in range(3):
        reader.press("Down", "anchorCombo")
    wanted = reader.read("anchorCombo")
    assert (chosen, wanted) == ("body 2", "C5")
    reader.press("Space", "rowButton")
    assert reader.levels[:3] == ["C4", "C4-C5 disc", "C5"]


def test_levels_and_mask_take_turns_and_the_key_h_shows_the_image_alone(make_reader):
    reader = make_reader()
    reader.click("findLevelsButton")
    reader.click("levelNamesCheck")
    assert reader.sees_levels() and not reader.sees_names()
    reader.click("levelsCheck")
    assert reader.sees_mask() and not reader.sees_levels() and not reader.sees_names()
    assert not reader.part("levelNamesCheck").enabled
    reader.click("levelsCheck")
    assert reader.sees_levels() and not reader.sees_mask()
    reader.click("hideMaskCheck")
    assert not reader.sees_mask() and not reader.sees_levels()
    reader.click("levelNamesCheck")
    assert not reader.sees_names()
    reader.click("hideMaskCheck")
    assert reader.sees_levels() and reader.sees_names() and not reader.sees_mask()


def test_who_draws_sees_the_mask_again_and_is_told_that_the_levels_are_of_before(make_reader):
    reader = make_reader()
    reader.click("findLevelsButton")
    reader.draw(without(NECK, "C4", "C5", "C3-C4"))
    assert reader.wait(reader.sees_mask, 20) and not reader.sees_levels()
    assert "was changed since" in reader.read("levelsStateLabel")
    drawn = reader.session.mask().array.copy()
    reader.click("findLevelsButton")
    assert reader.levels == NAMES[:-2] and reader.sees_levels() and not reader.sees_mask()
    assert "it is not saved, so nothing was written" in reader.status
    assert len(reader.record()["elements"]) == len(NAMES), "of the mask that counts, as before"
    assert np.array_equal(reader.session.mask().array, drawn) and reader.logic.is_changed()
    reader.click("acceptButton")
    assert "accepted since: 'Find levels' writes its levels" in reader.read("levelsStateLabel")
    reader.click("findLevelsButton")
    assert "written beside the mask that counts" in reader.status
    assert len(reader.record()["elements"]) == len(NAMES) - 2


def test_what_is_drawn_while_levels_are_found_makes_them_those_of_before(make_reader):
    reader = make_reader()
    drawn = []

    def during(event):
        if not drawn:
            drawn.append(event.stage)
            reader.draw(without(NECK, "C4", "C5", "C3-C4"))

    reader.panel.onProgress = during
    reader.click("findLevelsButton")
    assert drawn and reader.levels == NAMES
    assert reader.wait(reader.sees_mask, 20) and not reader.sees_levels()
    assert "was changed since" in reader.read("levelsStateLabel")


def test_what_is_taken_back_makes_the_levels_right_again(make_reader):
    reader = make_reader()
    reader.click("findLevelsButton")
    reader.draw(without(NECK, "C5"))
    assert reader.wait(reader.sees_mask, 20)
    reader.draw(NECK.mask)
    assert reader.wait(lambda: reader.read("levelsStateLabel").startswith("The topmost body"), 20)
    assert not reader.sees_levels() and reader.can("levelsCheck")


def test_levels_go_with_the_exam_and_the_mask_of_the_next_is_seen(make_reader):
    reader = make_reader()
    make_neck(reader.root, HEADLESS, "593973-000124_Study-MR-131_Series-2")
    reader.load()
    reader.click("findLevelsButton")
    reader.open("000124")
    assert [len(nodes(reader.app, kind)) for kind in KINDS] == [1, 0, 0]
    assert not reader.sees("levelsTable") and reader.read("levelsStateLabel").startswith("'Find levels'")
    session = reader.logic.session
    assert session.case.segmentation_node.GetDisplayNode().GetVisibility()
    assert not reader.part("levelsCheck").enabled


@pytest.mark.parametrize("node", ["segmentation_node", "volume_node"])
def test_levels_and_the_place_mode_go_when_a_node_of_the_exam_is_deleted(make_reader, node):
    reader = make_reader()
    reader.click("findLevelsButton")
    reader.click("pointButton")
    reader.app.context.scene.RemoveNode(getattr(reader.session.case, node))
    assert [nodes(reader.app, kind) for kind in KINDS[1:]] == [[], []]
    assert len(nodes(reader.app, KINDS[0])) == (node == "volume_node")
    assert reader.read("levelsStateLabel") == "Open an exam to find its levels." and reader.app.errors == []


def test_the_scene_may_be_closed_while_levels_are_shown_and_a_click_is_waited_for(make_reader):
    reader = make_reader()
    reader.click("findLevelsButton")
    reader.click("pointButton")
    reader.draw(without(NECK, "C5"))
    reader.app.context.scene.Clear(0)
    reader.wait(lambda: False, 1)
    assert not reader.sees("levelsTable") and not reader.part("findLevelsButton").enabled
    assert reader.app.errors == [] and "kept as revision 1" in reader.status


def test_levels_of_a_saved_mask_are_not_part_of_it(make_reader):
    from CSpineSegLib import volume

    reader = make_reader()
    reader.click("findLevelsButton")
    reader.click("acceptButton")
    (kept,) = [path for path in reader.session.exam.revisions_folder.glob("*.nii.gz")]
    assert np.array_equal(volume.read_mask(kept).array, NECK.mask.array)
    assert reader.sees_levels(), "saving is not closing"


def test_the_editors_effect_and_another_module_do_not_share_the_click(make_reader):
    import slicer

    reader = make_reader()
    calls = []
    editor = reader.part("segmentEditor")
    reader.widget.panels["correct"].rest = lambda: calls.append("rest")
    reader.click("pointButton")
    assert calls == ["rest"] and editor is not None
    reader.leave()
    interaction = reader.session.context.application.GetInteractionNode()
    assert interaction.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.ViewTransform
    assert reader.panel.pointing is None and nodes(reader.app, KINDS[1]) == []
    reader.come_back()


def test_finding_can_be_cancelled_and_closing_the_exam_meanwhile_harms_nothing(make_reader):
    reader = make_reader()
    seen = []

    def during(event):
        seen.append((event.stage, reader.read("findLevelsButton")))
        reader.click("findLevelsButton")

    reader.panel.onProgress = during
    reader.click("findLevelsButton")
    assert seen == [("Reading", "Cancel")] and "not looked for any further" in reader.status
    assert reader.shown is None and reader.sees_mask() and reader.read("findLevelsButton") == "Find levels"

    def close(event):
        if event.stage == "Measuring":
            reader.app.context.scene.Clear(0)

    reader.panel.onProgress = close
    reader.click("findLevelsButton")
    assert [nodes(reader.app, kind) for kind in KINDS] == [[], [], []] and reader.app.errors == []


def test_a_dataset_that_cannot_be_written_gives_levels_all_the_same_and_says_why(make_reader, monkeypatch):
    reader = make_reader()

    def full(*_arguments, **_given):
        raise WriteError("The disk is full.")

    monkeypatch.setattr(files, "write_verified", full)
    reader.click("findLevelsButton")
    assert reader.levels == NAMES and "Nothing was written: The disk is full." in reader.status
    assert reader.app.errors == []
