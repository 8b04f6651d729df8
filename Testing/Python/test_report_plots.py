"""The figures of the report as SVG."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from report_cases import LEVELS, figures, png

from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation.report import plots
from CSpineSegLib.evaluation.report.style import COLOURS
from CSpineSegLib.evaluation.sections import Figure

KINDS = (*plots.KINDS, "picture")


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    return {kind: plots.draw(figure) for kind, figure in figures().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_an_svg_that_refers_to_nothing_outside_itself(drawn, kind):
    root = ElementTree.fromstring(drawn[kind])
    assert root.tag.endswith("svg") and root.get("viewBox").startswith("0 0 ")
    for node in root.iter():
        for name, value in node.attrib.items():
            if name.endswith("href"):
                assert value.startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"url\((?!#)", drawn[kind])
    assert "<metadata" not in drawn[kind] and "<!DOCTYPE" not in drawn[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_data_give_the_same_bytes(drawn, kind):
    assert plots.draw(figures()[kind]) == drawn[kind]


def test_another_process_gives_the_same_bytes(drawn):
    code = "from report_cases import figures; from CSpineSegLib.evaluation.report import plots; import sys; "
    code += "sys.stdout.write(plots.draw(figures()['groups']))"
    path = ":".join(sys.path)
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": path}
    )
    assert again.stdout == drawn["groups"]


def test_drawing_leaves_the_settings_of_matplotlib_alone(drawn):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.draw(figures()["lines"])
    assert dict(matplotlib.rcParams) == before


def test_groups_are_named_with_their_numbers_and_the_unit_stands_below(drawn):
    found = texts(drawn["groups"])
    assert {"<40", "40-60", ">60", "bodies", "discs", "Dice"} <= set(found)
    assert found.count("n = 15") == 6


def test_levels_stand_from_head_to_foot_and_a_block_where_its_first_level_does(drawn):
    found = texts(drawn["strip"])
    shown = [text.replace("–", "-") for text in found if text.replace("–", "-") in LEVELS]
    assert shown == ["C2", "C2-C3", "C3-C4", "C4", "C5+C6", "C7-T1"]


def test_bias_and_limits_of_agreement_are_those_of_the_numbers():
    reference = np.array([10.0, 12, 14, 16, 18])
    candidate = reference + np.array([1.0, 2, 3, 2, 2])
    svg = plots.draw(Figure("a", "b", "bland-altman", {"reference": reference, "candidate": candidate, "unit": "mm"}))
    # Differences 1, 2, 3, 2, 2: mean 2, SD sqrt(.5), so the limits are 2 -+ 1.96 x .7071 = .614 and 3.386.
    assert {"bias 2", "+1.96 SD 3.39", "−1.96 SD 0.614", "n = 5"} <= set(texts(svg))


def test_a_pair_that_lacks_one_value_counts_in_no_figure_of_agreement():
    data = {"reference": [1.0, 2, np.nan, 4], "candidate": [1.0, np.nan, 3, 4], "unit": "mm", "colour": None}
    assert "n = 2" in texts(plots.draw(Figure("a", "b", "bland-altman", data)))


def test_a_forest_says_its_figures_and_a_dash_where_there_is_none(drawn):
    found = texts(drawn["forest"])
    assert {"sex", "age", "race", "0.810 (0.700, 0.900)", "–", "DIR"} <= set(found)


def test_bins_of_a_calibration_hold_as_many_exams_each_and_say_how_many(drawn):
    found = texts(drawn["calibration"])
    assert found.count("10") == 9 and "n = 90; numbers are exams in a bin" in found


def test_groups_differ_without_colour(drawn):
    # Line styles: one solid, one dashed.
    assert "stroke-dasharray" in drawn["lines"]
    two = pd.DataFrame({"label": ["a", "a"], "value": [1, 2], "group": ["x", "y"]})
    assert "<pattern" in plots.draw(Figure("a", "b", "bars", {"frame": two, "unit": ""}))


def test_colours_differ_in_lightness_so_that_grey_print_tells_neighbours_apart():
    def lightness(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        return float(np.dot(parts, (0.299, 0.587, 0.114)))

    values = [lightness(colour) for colour in COLOURS]
    assert len(set(COLOURS)) == len(COLOURS) and min(np.abs(np.diff(values))) > 0.05


@pytest.mark.parametrize("kind", plots.KINDS)
def test_no_values_are_a_figure_that_says_so(kind):
    data = dict(figures()[kind].data)
    for key in ("frame", "rows"):
        if key in data:
            data[key] = data[key][:0]
    for key in ("reference", "candidate", "score", "truth"):
        if key in data:
            data[key] = data[key][:0]
    if "values" in data:
        data["values"] = {"gold": []}
    assert "no values" in texts(plots.draw(Figure("a", "b", kind, data)))


def test_a_picture_keeps_its_size_and_bytes(drawn):
    assert 'viewBox="0 0 3 2"' in drawn["picture"]


def test_another_kind_is_refused_and_those_there_are_are_named():
    with pytest.raises(InputError, match=r"'pie' is not a kind of figure; groups, .* picture are\."):
        plots.draw(Figure("a", "b", "pie", {}))


def test_data_that_lack_what_the_kind_asks_for_are_refused():
    lines = figures()["lines"]
    with pytest.raises(InputError, match="The figure lines \\(lines\\) lacks 'names' in its data"):
        plots.draw(replace(lines, data={"frame": lines.data["frame"]}))


def test_a_picture_that_is_no_png_is_refused():
    with pytest.raises(InputError, match="The picture a is not a PNG file"):
        plots.draw(Figure("a", "b", "picture", {"png": png()[1:]}))
