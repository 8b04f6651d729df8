# Commands for a new machine, `make demo`, `make report` and `make test`; each makes the virtual environment that it
# needs.
PYTHON ?= python3
VENV := .venv
FLOOR := .venv-slicer-5.12
# Test processes at a time; each may need 3 GB of memory.
JOBS ?= 2
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
REQUIREMENTS := pyproject.toml constraints.txt

.PHONY: demo report test test-slow test-floor lint bench wheel clean

demo: $(VENV)/.demo
	$(VENV)/bin/cspineseg demo --output build/demo

# 200 phantom exams with one planted bias, two models evaluated, and the report about them.
report: $(VENV)/.report
	$(VENV)/bin/cspineseg report --trial build/report

# A file of tests stays in one process, as its tests share what they have made.
test: lint test-floor
	CSPINESEG_REQUIRE_SLICER=1 $(VENV)/bin/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

test-slow: $(VENV)/.test
	$(VENV)/bin/python -m pytest -m slow

# The scene tests once more on Slicer's oldest supported version.
test-floor: $(FLOOR)/.test
	CSPINESEG_REQUIRE_SLICER=1 $(FLOOR)/bin/python -m pytest Testing/Python/test_scene*.py

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .

bench: $(VENV)/.test
	$(VENV)/bin/python Testing/Benchmarks/bench.py --output build/bench.json

wheel: $(VENV)/.test
	$(VENV)/bin/python -m build --wheel --outdir dist .

# torch goes first and pinned, so that no other package brings a build of its own choice.
$(VENV)/.torch: $(REQUIREMENTS)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt torch
	touch $@

$(VENV)/.demo: $(VENV)/.torch
	$(PIP) install --quiet --constraint constraints.txt --editable ".[demo]"
	touch $@

$(VENV)/.report: $(VENV)/.torch
	$(PIP) install --quiet --constraint constraints.txt --editable ".[report]"
	touch $@

$(VENV)/.test: $(VENV)/.torch
	$(PIP) install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@ $(VENV)/.demo $(VENV)/.report

$(FLOOR)/.test: $(REQUIREMENTS) constraints-slicer-5.12.txt
	$(PYTHON) -m venv $(FLOOR)
	$(FLOOR)/bin/python -m pip --disable-pip-version-check install --quiet \
	  --constraint constraints-slicer-5.12.txt --editable ".[scene]" pytest hypothesis
	touch $@

clean:
	rm -rf build dist $(VENV) $(FLOOR)
