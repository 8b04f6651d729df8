"""The stand-ins for Slicer's forms, its segment editor and its parameter nodes do what Slicer's do."""

from __future__ import annotations

from typing import Annotated

import pytest
from slicer_standins import slicer_app  # noqa: F401  (fixture)


@pytest.fixture
def form(slicer_app, tmp_path):  # noqa: F811
    """Makes a form of some widgets; returns its named widgets."""
    import slicer.util

    def make(*widgets: str):
        path = tmp_path / "form.ui"
        items = "".join(f"<item>{widget}</item>" for widget in widgets)
        customs = "".join(
            f"<customwidget><class>{name}</class><extends>QWidget</extends><header>{name}.h</header></customwidget>"
            for name in ("ctkCollapsibleButton", "qMRMLSegmentEditorWidget")
        )
        path.write_text(
            '<ui version="4.0"><widget class="ctkCollapsibleButton" name="panel"><property name="text"><string>Panel'
            f'</string></property><layout class="QVBoxLayout" name="list">{items}</layout></widget>'
            f"<customwidgets>{customs}</customwidgets></ui>",
            encoding="utf-8",
        )
        root = slicer.util.loadUI(str(path))
        root.show()
        ui = slicer.util.childWidgetVariables(root)
        ui.panel.wrapped.kept_root = root
        return ui

    return make


def bound(kind: str, name: str, parameter: str) -> str:
    return (
        f'<widget class="{kind}" name="{name}"><property name="SlicerParameterName" stdset="0">'
        f"<string>{parameter}</string></property></widget>"
    )


# Forms


def test_what_is_folded_is_not_seen_until_it_is_unfolded(form):
    ui = form('<widget class="QLabel" name="a"/>', '<widget class="QLabel" name="b"/>')
    ui.b.visible = False
    folded = []
    ui.panel.contentsCollapsed.connect(folded.append)
    ui.panel.collapsed = True
    assert not ui.a.visible and not ui.panel.checked
    ui.b.visible = True
    assert not ui.b.visible, "shown by the code, but the heading is folded"
    ui.panel.click()
    assert ui.a.visible and ui.b.visible and not ui.panel.collapsed and folded == [True, False]


def test_a_form_that_does_not_exist_is_named(slicer_app):  # noqa: F811
    import slicer.util

    with pytest.raises(RuntimeError, match="nowhere"):
        slicer.util.loadUI("/nowhere/form.ui")


# The segment editor


@pytest.fixture
def editor(form, slicer_app):  # noqa: F811
    import slicer

    widget = form('<widget class="qMRMLSegmentEditorWidget" name="editor"/>').editor
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
    return widget, node


def test_the_segment_editor_wants_its_node_and_scene_first(editor):
    import slicer

    widget, node = editor
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    with pytest.raises(AssertionError, match="no scene"):
        widget.setSegmentationNode(segmentation)
    widget.setMRMLSegmentEditorNode(node)
    widget.setMRMLScene(slicer.mrmlScene)
    widget.setSegmentationNode(segmentation)
    assert node.GetSegmentationNode() is segmentation and widget.wrapped.segmentationNode() is segmentation
    segmentation.GetSegmentation().AddEmptySegment("bodies", "Vertebral bodies")
    widget.wrapped.setCurrentSegmentID("bodies")
    assert node.GetSelectedSegmentID() == widget.wrapped.currentSegmentID() == "bodies"


def test_the_segment_editor_shows_the_chosen_effects_alone(editor):
    widget, _ = editor
    widget.setEffectNameOrder(["Paint", "Erase"])
    assert len(widget.wrapped.shown_effects()) > 2
    widget.unorderedEffectsVisible = False
    assert widget.wrapped.shown_effects() == ["Paint", "Erase"]
    with pytest.raises(AssertionError):
        widget.setEffectNameOrder(["Pain"])
    with pytest.raises(AttributeError):
        widget.unorderedEffectVisible = False


# Parameters


@pytest.fixture
def parameters(slicer_app):  # noqa: F811
    import slicer
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    kinds = {
        "name": str,
        "ahead": Annotated[int, WithinRange(1, 200)],
        "blind": bool,
    }
    values = {"name": "x", "ahead": 5, "blind": False}
    Parameters = parameterNodeWrapper(type("Parameters", (), {"__annotations__": kinds, **values}))

    def make():
        return Parameters(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScriptedModuleNode"))

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    return make


def test_parameters_are_kept_in_the_node_with_their_types(parameters):
    first = parameters()
    assert (first.name, first.ahead, first.blind) == ("x", 5, False)
    first.name, first.ahead, first.blind = "é", 7, True
    again = parameters()
    assert (again.name, again.ahead, again.blind) == ("é", 7, True)
    with pytest.raises(ValueError):
        first.ahead = 0
    with pytest.raises(TypeError):
        first.name = 1
    assert (again.name, again.ahead) == ("é", 7)


def test_widgets_and_parameters_follow_each_other(parameters, form):
    values = parameters()
    ui = form(
        bound("QSpinBox", "spin", "ahead"),
        bound("QCheckBox", "check", "blind"),
        bound("QLineEdit", "edit", "name"),
    )
    tag = values.connectGui(ui)
    assert tag is None, "Slicer returns none, so that nothing can be parted by it"
    assert (ui.spin.value, ui.edit.text, ui.check.checked) == (5, "x", False)
    ui.spin.value, ui.check.checked = 9, True
    assert (values.ahead, values.blind) == (9, True)
    values.name = "y"
    assert ui.edit.text == "y"
    assert ui.spin.maximum == 200, "Slicer takes the limits from WithinRange"
    values.disconnectGui(tag)
    ui.spin.value = 3
    assert values.ahead == 3
    # As after each time that the module is shown again.
    again = parameters()
    again.connectGui(ui)
    ui.spin.value = 11
    assert values.ahead == again.ahead == 11


def test_a_widget_for_a_parameter_that_does_not_exist_is_refused(parameters, form):
    with pytest.raises(ValueError, match="bogus"):
        parameters().connectGui(form(bound("QSpinBox", "spin", "bogus")))
    with pytest.raises(RuntimeError, match="connector"):
        parameters().connectGui(form(bound("QLabel", "label", "name")))
