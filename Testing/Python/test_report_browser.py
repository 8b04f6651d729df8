"""The report's page in a real browser, wide, narrow and printed."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
import zlib

import numpy as np
import pytest
from report_cases import METHODS, RECORD, Opened, browser, opened, sections  # noqa: F401 - fixtures

from CSpineSegLib.errors import InputError, WriteError
from CSpineSegLib.evaluation.report import page
from CSpineSegLib.jobs import report_browser

# What a script in the page measures; the page itself has none and forbids them. A window is 500 pixels wide at the
# least, so the page is looked at in a frame, which tells its window by a message.
_MEASURE = """<script>addEventListener("load", () => {
  const images = [...document.images];
  const beyond = [...document.querySelectorAll("main > *, main section > *")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 80));
  parent.postMessage({
    width: innerWidth, content: document.documentElement.scrollWidth, beyond,
    images: images.length, drawn: images.filter(one => one.complete && one.naturalWidth > 1).length
  }, "*");
});</script>"""
_FRAME = """<!DOCTYPE html><html><body><script>addEventListener("message", (told) => {
  document.body.innerHTML = "<pre id=" + "found>" + btoa(unescape(encodeURIComponent(JSON.stringify(told.data))));
});</script><iframe src="measuring.html" style="border:0;width:%dpx;height:800px"></iframe></body></html>"""


@pytest.fixture
def made(tmp_path):
    return page.build(sections(), METHODS, RECORD, tmp_path / "report é.html")


def measured(opened: Opened, made, width: int) -> dict:  # noqa: F811
    """What a window of a width makes of the page, in CSS pixels."""
    html = re.sub(r"<meta http-equiv[^>]*>", "", made.read_text(encoding="utf-8"))
    made.with_name("measuring.html").write_text(html.replace("</head>", f"{_MEASURE}</head>"), encoding="utf-8")
    frame = made.with_name("frame.html")
    frame.write_text(_FRAME % width, encoding="utf-8")
    answer = opened(frame, "--dump-dom", size=(1300, 900))
    return json.loads(base64.b64decode(re.search(r'id="found">([A-Za-z0-9+/=]+)<', answer.stdout)[1]))


def grey(data: bytes) -> np.ndarray:
    """(height, width) mean of the colours of a PNG of 8 bits as browsers write it."""

    import matplotlib.image

    return matplotlib.image.imread(io.BytesIO(data))[..., :3].mean(axis=2)


def test_a_browser_opens_it_without_a_word_of_complaint(opened, made):  # noqa: F811
    answer = opened(made, "--dump-dom")
    assert "Worst cases" in answer.stdout
    # What the page's console logs has this mark; the browser's own remarks about the machine do not.
    assert [line for line in answer.stderr.splitlines() if "CONSOLE" in line] == []


def test_the_console_of_a_page_that_is_wrong_is_heard(opened, tmp_path):  # noqa: F811
    wrong = tmp_path / "wrong.html"
    wrong.write_text("<!DOCTYPE html><html><body><script>nothing()</script></body></html>", encoding="utf-8")
    answer = opened(wrong, "--dump-dom")
    assert any("CONSOLE" in line and "nothing is not defined" in line for line in answer.stderr.splitlines())


@pytest.mark.parametrize("width", [1200, 400])
def test_everything_fits_into_the_window_and_every_figure_is_drawn(opened, made, width):  # noqa: F811
    found = measured(opened, made, width)
    assert found["width"] == width
    assert found["content"] <= width and found["beyond"] == []
    assert found["images"] == found["drawn"] == 9


@pytest.mark.parametrize("size", [(1200, 1600), (400, 1600)])
def test_pictures_of_it_show_ink_and_clear_margins(opened, made, tmp_path, size):  # noqa: F811
    picture = tmp_path / "page.png"
    opened(made, f"--screenshot={picture}", size=size)
    seen = grey(picture.read_bytes())
    assert seen.shape == (size[1], size[0])
    assert 0.01 < (seen < 0.5).mean() < 0.3
    # Nothing is cut at the right: the last columns of pixels are white, above what scrolls in itself.
    assert (seen[:, -8:] > 0.98).all()


def test_it_prints_to_pages_of_paper(browser, made, tmp_path):  # noqa: F811
    pdf = report_browser.print_pdf(browser, made, tmp_path / "report.pdf")
    data = pdf.read_bytes()
    streams = [part for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", data, re.DOTALL)]
    texts = b"".join(zlib.decompress(part) for part in streams if part[:1] == b"\x78")
    assert data.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", data)) >= 5
    # A4 in points, upright.
    assert re.search(rb"/MediaBox \[0 0 59[45][.0-9]* 84[12]", data) and texts
    assert sorted(found.name for found in tmp_path.iterdir() if "page" in found.name) == []


def test_a_browser_that_fails_is_named_and_leaves_nothing(made, tmp_path):
    pdf = tmp_path / "report.pdf"
    with pytest.raises(WriteError, match="printed no PDF of"):
        report_browser.print_pdf(sys.executable, made, pdf)
    assert not pdf.exists()


def test_without_a_browser_the_sentence_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(report_browser.VARIABLE, raising=False)
    with pytest.raises(InputError, match="A PDF needs Chromium, Chrome or Edge, and none was found"):
        report_browser.find()
    monkeypatch.setenv(report_browser.VARIABLE, "/nowhere/browser")
    with pytest.raises(InputError, match="/nowhere/browser, cannot be run"):
        report_browser.find()
