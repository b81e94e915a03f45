# Only Python (3.11 or newer), make and a package index are needed: every target installs what it needs.
PYTHON ?= python3
VENV := .venv
STUDIO := .venv-studio
MMSEG := .mmseg
LITERT := .litert
SBOM := .sbom
RUN := $(VENV)/bin/python
FAST := not (studio or faults or browser or postgres or weights or slow or soak)

# uv does not read pip's configuration; a company's mirror that is set there (or in PIP_INDEX_URL) is passed to it. It is
# passed in the environment: a mirror's address may hold a password, and make prints what it runs.
INDEX := $(or $(UV_DEFAULT_INDEX),$(PIP_INDEX_URL),$(shell $(PYTHON) -m pip config get global.index-url 2>/dev/null))
ifneq ($(INDEX),)
export UV_DEFAULT_INDEX := $(INDEX)
endif
UV := $(VENV)/bin/uv

# Many container images tell Python to write no bytecode; then each of hundreds of processes compiles Prefect for seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo test test-fast check check-types check-docs check-security check-style studio mmseg litert soak sbom lock clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## */\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(VENV)/.installed  ## install figureground, from requirements.lock

studio: $(STUDIO)/.installed  ## install the Label Studio server, from studio.lock

mmseg: $(MMSEG)/.installed  ## install mmsegmentation, for the test that reads a release with it

litert: $(LITERT)/.installed  ## install TFLite's converter and interpreter, for `figureground export-model`

demo: install studio  ## run the whole pipeline on two sample clips
	$(VENV)/bin/figureground demo

test: test-fast studio mmseg litert  ## run all tests, with a real Label Studio and real weights
	$(RUN) -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=30 -m "not soak and not ($(FAST))"

test-fast: install  ## run the tests that need no network, server or weights
	$(RUN) -m pytest -n auto -m "$(FAST)"

# All at once: the types alone take as long as the rest.
check: install  ## check style, types, the order of packages and docs
	@$(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target check-types check-docs check-security check-style

check-types:
	$(VENV)/bin/mypy

check-docs:
	$(RUN) -m pytest tests/docs -q -m "$(FAST)"

check-security:
	$(VENV)/bin/bandit -q -r -ll figureground tasks flows

check-style:
	$(VENV)/bin/ruff check .
	$(VENV)/bin/lint-imports

soak: install studio litert  ## run the fault tests with many more rounds; takes hours
	FIGUREGROUND_ROUNDS=100 $(RUN) -m pytest -m "faults or soak"

sbom: install $(SBOM)/.installed  ## list all installed packages as CycloneDX, in figureground.cdx.json
	$(SBOM)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON -o figureground.cdx.json $(RUN)

lock: install  ## resolve the five lock files again
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --extra dev pyproject.toml -o requirements.lock
	echo "cyclonedx-bom==7.5.0" | $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" - -o sbom.lock
	echo "label-studio==1.23.2" | $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" - -o studio.lock
	printf '%s\n' mmsegmentation==1.2.2 mmcv-lite==2.1.0 "setuptools<81" ftfy regex prettytable wcwidth | $(UV) pip compile -q --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" - -o mmseg.lock
	printf '%s\n' litert-torch==0.10.0 litert-converter litert-lm-builder ai-edge-litert ai-edge-quantizer jax==0.10.2 jaxlib==0.10.2 jaxtyping opt-einsum torchao immutabledict multipledispatch wadler-lindig absl-py backports-strenum fire termcolor ordered-set xdsl==0.28.0 | $(UV) pip compile -q --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" - -o litert.lock

clean:  ## remove all environments and caches of this checkout; data is kept
	rm -rf $(VENV) $(STUDIO) $(MMSEG) $(LITERT) $(SBOM) .prefect .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip only installs uv, with the hash in the lock file; uv then installs the rest in seconds.
$(VENV)/bin/uv: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "figureground needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Give another with make PYTHON=/path/to/python3")'
	$(PYTHON) -m venv $(VENV)
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.txt
	$(VENV)/bin/python -m pip install -q --require-hashes --no-deps -r $(VENV)/uv.txt
	@touch $@

# Two packages write the folder cv2/. The headless one is installed last: the other needs a display library.
$(VENV)/.installed: $(VENV)/bin/uv requirements.lock pyproject.toml
	$(UV) pip sync -q --python $(RUN) --require-hashes requirements.lock
	@sed -n '/^opencv-python-headless==/,/[^\\]$$/p' requirements.lock > $(VENV)/opencv.txt
	$(UV) pip install -q --python $(RUN) --no-deps --reinstall --require-hashes -r $(VENV)/opencv.txt
	$(UV) pip install -q --python $(RUN) --no-deps --no-build-isolation -e .
	@touch $@

$(STUDIO)/.installed: $(VENV)/bin/uv studio.lock
	$(PYTHON) -m venv $(STUDIO)
	$(UV) pip sync -q --python $(STUDIO)/bin/python --require-hashes studio.lock
	@touch $@

$(SBOM)/.installed: $(VENV)/bin/uv sbom.lock
	$(PYTHON) -m venv $(SBOM)
	$(UV) pip sync -q --python $(SBOM)/bin/python --require-hashes sbom.lock
	@touch $@

# Only what our environment lacks, in a folder that comes first on the path: mmseg needs an old setuptools.
$(MMSEG)/.installed: $(VENV)/.installed mmseg.lock
	rm -rf $(MMSEG)
	$(UV) pip install -q --python $(RUN) --target $(MMSEG) --no-deps --require-hashes -r mmseg.lock
	@touch $@

# The same for TFLite's converter, whose metadata require an older torch than ours; it works with ours.
$(LITERT)/.installed: $(VENV)/.installed litert.lock
	rm -rf $(LITERT)
	$(UV) pip install -q --python $(RUN) --target $(LITERT) --no-deps --require-hashes -r litert.lock
	@touch $@
