"""What the tests of segmenting from the workplace share: workplaces, some with a worker that takes its time."""

from __future__ import annotations

from module_helpers import wait_until
from worker_cases import stand_in

from CSpineSegLib.workplace import Workplace

# Keeps a list of what was begun and ended, and takes a second for images whose name holds a text.
NOTING = """
with open({note!r}, "a", encoding="utf-8") as stream:
    stream.write("begin " + name + "\\n")
for step in range(40 if {slow!r} in name and not os.path.exists({quick!r}) else 0):
    time.sleep(0.05)
    progress.update("segment", step / 50)
found = real()
with open({note!r}, "a", encoding="utf-8") as stream:
    stream.write("end " + name + "\\n")
return found
"""


def open_workplace(sample_dataset):
    """A fixture: a workplace with the sample dataset."""
    place = Workplace()
    place.open_dataset(sample_dataset.root)
    yield place
    place.close()


def slow_workplaces(sample_dataset, tmp_path):
    """A fixture: makes a workplace whose worker is slow on images with a text in their name, and the lines it noted."""
    places = []

    def make(slow: str):
        note = tmp_path / "note"
        body = NOTING.format(note=str(note), slow=slow, quick=str(tmp_path / "quick"))
        place = Workplace(python=stand_in(tmp_path, body))
        place.open_dataset(sample_dataset.root)
        places.append(place)
        return place, lambda: note.read_text(encoding="utf-8").splitlines() if note.exists() else []

    yield make
    for place in places:
        place.close()


def settle(place: Workplace, seconds: float = 60) -> None:
    """Poll until the user's job has ended and nothing is left in the background."""

    def settled() -> bool:
        place.segmenting.poll()
        return not place.segmenting.is_running and not place.segmenting.ahead.is_running

    assert wait_until(settled, seconds)


def polled(place: Workplace, happened, seconds: float = 60) -> bool:
    return wait_until(lambda: (place.segmenting.poll() is None and happened()) or happened(), seconds)
