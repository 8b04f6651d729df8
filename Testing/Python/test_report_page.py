"""The page of the report and the tables beside it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from report_cases import EVIL, METHODS, RECORD, sections

from CSpineSegLib.cli import sections as cli_sections
from CSpineSegLib.errors import InputError
from CSpineSegLib.evaluation.report import page, tables
from CSpineSegLib.evaluation.sections import Section, Table

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Parsed(HTMLParser):
    """Elements with their attributes, text, and whatever is not closed in order."""

    def __init__(self, html: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        if len(set(names)) < len(names):
            self.wrong.append(f"{tag} has an attribute twice")
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at line {self.getpos()[0]}")

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def html() -> str:
    return page.compose(sections(), METHODS, RECORD, "report_tables")


@pytest.fixture(scope="module")
def parsed(html) -> Parsed:
    return Parsed(html)


def test_every_element_is_closed_and_every_id_is_there_once(parsed):
    assert parsed.wrong == [] and parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(set(ids)) == len(ids) > 10
    for _, attributes in parsed.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids


def test_nothing_is_loaded_and_nothing_is_run(parsed, html):
    for _, attributes in parsed.elements:
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert not any(name.startswith("on") for name in attributes)
    assert not parsed.all("script") and not parsed.all("link") and not parsed.all("iframe")
    assert not re.search(r"https?://", html) and "@import" not in html and not re.search(r"url\(", html)
    (policy,) = [meta["content"] for meta in parsed.all("meta") if "http-equiv" in meta]
    assert policy.startswith("default-src 'none'")


def test_texts_stay_texts(parsed):
    assert parsed.text.count(EVIL) >= 2
    assert any(EVIL in image["alt"] for image in parsed.all("img"))


def test_it_reads_aloud(parsed):
    assert parsed.all("html")[0]["lang"] == "en"
    assert all(image.get("alt") and image["width"] != "0" for image in parsed.all("img"))
    assert parsed.all("th") and all(head.get("scope") in ("col", "row") for head in parsed.all("th"))
    headings = [int(name[1]) for name, _ in parsed.elements if re.fullmatch("h[1-6]", name)]
    assert headings[0] == 1 and headings.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(headings))
    assert {name for name, _ in parsed.elements} >= {"main", "nav", "header", "figure", "figcaption", "section"}


def test_numbers_rows_and_notes_are_there(parsed):
    for text in ("0.915", "0.250", "345", "20,000", "–", "A note.", "There are 200 exams.", "A source, 2024."):
        assert text in parsed.text
    assert "2 |A and B| / (|A| + |B|)" in parsed.text and "ab" * 32 in parsed.text and "0.1.0" in parsed.text
    assert "Gold masks" in parsed.text and "No rows." in parsed.text


def test_what_every_row_says_stands_in_the_title_and_not_in_a_column(parsed):
    assert "Plain (ruler: gold)" in parsed.text


def test_a_long_table_shows_what_is_significant_first_and_says_where_the_rest_is(parsed):
    assert "exam-050" in parsed.text and "exam-040" not in parsed.text
    assert "Shown: the first 15 of 60 rows, the significant ones before the others." in parsed.text
    assert "report_tables/many.tsv" in parsed.text
    assert "Shown: the first 14 of 30 columns." in parsed.text


def test_a_warning_stands_before_all_else_of_its_section(html):
    part = html[html.index('<section id="worst"') :]
    warning = part.index("Against Silver alone.")
    assert part.index("<h2") < warning < part.index("<figure") and warning < part.index("<table")


def test_that_it_is_no_medical_device_is_said_once(parsed):
    assert parsed.text.count("not a medical device") == 1


def test_the_same_content_gives_the_same_bytes(html):
    assert page.compose(sections(), METHODS, RECORD, "report_tables") == html


def test_page_and_tables_are_written_with_all_digits_and_rows(tmp_path):
    path = page.build(sections(), METHODS, RECORD, tmp_path / "été.html")
    folder = tmp_path / "été_tables"
    assert sorted(found.name for found in folder.iterdir()) == ["many.tsv", "none.tsv", "plain.tsv", "wide.tsv"]
    rows = list(csv.reader((folder / "plain.tsv").open(encoding="utf-8"), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows == [
        ["group", "ruler", "n", "mean_dice"],
        ["a", "gold", "12", "0.91549"],
        [EVIL, "gold", "345", ""],
        ["", "gold", "20000", "0.25"],
    ]
    assert len((folder / "many.tsv").read_text().splitlines()) == 61
    assert "</html>" in path.read_text(encoding="utf-8")


def test_floats_in_a_file_read_back_as_the_same_and_breaks_in_a_cell_break_no_line():
    values = [1 / 3, np.float32(0.1), np.nan, np.inf, 1e-300]
    frame = pd.DataFrame(
        {"value": values, "text": ["a\tb\nc", None, "", "x", "y"], "flag": [True, False, True, True, False]}
    )
    lines = tables.text(Table("a", "A", frame)).splitlines()
    assert len(lines) == 6
    back = pd.read_csv(io.StringIO("\n".join(lines)), sep="\t", float_precision="round_trip")
    assert np.array_equal(back["value"], frame["value"], equal_nan=True)
    assert lines[1].split("\t")[1:] == ["a b c", "True"]


def test_whole_numbers_stay_whole_beside_other_columns():
    frame = pd.DataFrame({"n": pd.array([1, None], "Int64"), "mean": [0.5, 1.0]})
    assert tables.text(Table("a", "A", frame)) == "n\tmean\n1\t0.5\n\t1.0\n"


@pytest.mark.parametrize(
    ("value", "p_value", "text"),
    [
        (0.91549, False, "0.915"),
        (-0.0314, False, "−0.031"),
        (12.345, False, "12.35"),
        (123.46, False, "123.5"),
        (1234.6, False, "1,235"),
        (0.00002, False, "2.0e−05"),
        (0.0, False, "0.000"),
        (np.nan, False, "–"),
        (None, False, "–"),
        (True, False, "yes"),
        (0.0004, True, "<0.001"),
        (0.04, True, "0.040"),
        (12345, False, "12,345"),
        (-3, False, "−3"),
        ("a", False, "a"),
    ],
)
def test_cells_for_people(value, p_value, text):
    assert tables.shown(value, p_value=p_value) == text


def test_cells_of_a_column_are_alike():
    assert tables.column([54.0, 63.0, np.nan]) == ["54", "63", "–"]
    assert tables.column([49.733, 3.0], "patients_percent") == ["49.7", "3.0"]
    assert tables.column([0.0001, 0.5], "p_adjusted") == ["<0.001", "0.500"]
    assert tables.column([1.0, 0.5], "p_value") == ["1.000", "0.500"]


@pytest.mark.parametrize("name", ["Upper", "with space", "a--b", "../up", "", "a.tsv"])
def test_names_that_are_no_stems_of_files_are_refused_and_nothing_is_written(name, tmp_path):
    section = Section("a", "A", tables=(Table(name, "T", pd.DataFrame({"x": [1]})),))
    with pytest.raises(InputError, match="is no name of a table or figure"):
        page.build([section], METHODS, RECORD, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_two_tables_of_one_name_are_refused_and_nothing_is_written(tmp_path):
    twice = [replace(section, key=key) for section in sections()[:1] for key in ("a", "b")]
    with pytest.raises(InputError, match="Two tables or figures are called 'plain'"):
        page.build(twice, METHODS, RECORD, tmp_path / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_section_must_not_take_the_place_of_the_methods():
    with pytest.raises(InputError, match="cannot be called methods"):
        page.compose([Section("methods", "Mine")], METHODS, RECORD)


def test_commands_print_warnings_apart_and_tables_as_lines(capsys):
    warned = replace(sections()[0], warnings=("Careful.",))
    cli_sections.show(warned)
    out, err = capsys.readouterr()
    assert err == "Warning: Careful.\n"
    assert "There are 200 exams." in out and "a\tgold\t12\t0.915\n" in out and "A note." in out


def test_commands_print_json_without_nan():
    found = cli_sections.content(sections()[0])
    assert found["tables"]["plain"]["rows"] == [
        ["a", "gold", 12, 0.91549],
        [EVIL, "gold", 345, None],
        [None, "gold", 20000, 0.25],
    ]
