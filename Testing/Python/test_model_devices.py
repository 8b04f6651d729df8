"""Where a network runs: what was asked for, or what was chosen and why."""

from __future__ import annotations

import json
import sys

import pytest

from CSpineSegLib.errors import ModelError
from CSpineSegLib.model import devices

torch = pytest.importorskip("torch", reason="the model room needs torch")


def test_auto_says_what_it_chose_and_why():
    device, sentence = devices.select("auto")
    assert "chosen by" in sentence
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert device.type == "cpu" and "no CUDA or MPS" in sentence


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_and_never_replaced(name):
    if (torch.cuda if name == "cuda" else torch.backends.mps).is_available():
        pytest.skip(f"this machine has {name}")
    with pytest.raises(ModelError, match=f"'{name}' was asked for.*--device cpu"):
        devices.select(name)


def test_an_unknown_device_is_refused():
    with pytest.raises(ModelError, match="auto, cuda, mps, cpu"):
        devices.select("gpu")


def test_the_report_tells_versions_and_free_memory():
    report = devices.report()
    assert report["torch"] == torch.__version__ and report["monai"] and report["threads"] >= 1
    assert report["openvino"] is None or report["openvino"].startswith("20")
    assert "Runs on" in report["auto"]
    if sys.platform in ("linux", "win32"):
        assert 0 < report["devices"][0]["free_bytes"] <= report["devices"][0]["total_bytes"]
    json.dumps(report)


def test_a_torch_for_the_cpu_alone_is_not_asked_for_gpus():
    if torch.__version__.endswith("+cpu") and sys.platform != "darwin":
        assert not devices.may_see_gpu()
    elif torch.cuda.is_available():
        assert devices.may_see_gpu()


@pytest.mark.parametrize(("wanted", "threads"), [("1", 1), ("0", None), ("many", None), ("", None), ("999", None)])
def test_threads_are_as_many_as_cores_unless_fewer_are_asked_for(monkeypatch, wanted, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usual = devices.threads()
    monkeypatch.setenv("OMP_NUM_THREADS", wanted)
    assert 1 <= devices.threads() == (threads or usual) <= devices.MOST_THREADS
