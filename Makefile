# `make demo` animates a portrait, `make test` runs all tests; either installs everything into .venv first.

# The photograph and the clip of the demo: make demo SOURCE=me.jpg DRIVER=clip.mp4
SOURCE ?=
DRIVER ?=
# What is installed as PyTorch. A smaller build, without CUDA, exists for Linux:
#   make demo TORCH="torch --index-url …", with the address that PyTorch's own page names
TORCH ?= torch==2.13.0
# A Python 3.10 or newer; found by itself when left empty.
PYTHON ?=

export SOURCE DRIVER PYTHON

RUN = .venv/bin/python
INSTALLED = .venv/installed
# the last one that carries its face models, for Python up to 3.12; the tests compare the bundled face tracker with it
MEDIAPIPE = mediapipe==0.10.21
WITH_MEDIAPIPE = import sys; sys.exit(sys.version_info >= (3, 13))
USABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))

# mypy and mkdocs see this folder as the package `mimaface`, whatever it is called
AS_PACKAGE = mkdir -p .venv/lint && ln -sfn "$(CURDIR)" .venv/lint/mimaface

.PHONY: help demo test fuzz kill load browser lint docs sbom audit clean

help:
	@echo "make demo [SOURCE=photo.jpg] [DRIVER=clip.mp4]   animate a portrait, into demo_output/"
	@echo "make test                                        run all tests"
	@echo "make fuzz, make kill, make load                  look for bad inputs, lost files and leaks, for hours"
	@echo "make browser                                     install what the tests of the page need; see tests/browser"
	@echo "make lint                                        check style, docstrings, annotations and types"
	@echo "make docs                                        build the documentation into site/"
	@echo "make sbom                                        write a bill of materials of what is installed, sbom.json"
	@echo "make audit                                       look what is installed up among known weaknesses"
	@echo "make clean                                       remove .venv, demo_output and caches"

demo: $(INSTALLED)
	@$(RUN) -m mimaface.cli.demo --source "$$SOURCE" --driver "$$DRIVER" --output-dir demo_output

# threads that wait asleep: beside other work the tests take a tenth of the time
test: $(INSTALLED)
	@OMP_WAIT_POLICY=PASSIVE $(RUN) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

# Campaigns, to be steered by ARGS: make fuzz ARGS="--minutes 30 --seed 2"; make kill ARGS="--kills 20"
fuzz kill load: $(INSTALLED)
	$(RUN) tests/campaigns/$@.py $(ARGS)

# Chromium and Node.js 18 or newer come from the system; the tests say so where they are missing.
browser: $(INSTALLED)
	$(RUN) -m pip install --quiet --editable ".[browser]"
	npm ci --prefix tests/browser

lint: $(INSTALLED)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	@$(AS_PACKAGE)
	MYPYPATH=.venv/lint $(RUN) -m mypy

docs: $(INSTALLED)
	$(RUN) -m pip install --quiet --editable ".[docs]"
	@$(AS_PACKAGE)
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet

# a tool of its own environment sees this one without being part of it
SUPPLY = .venv/supply
$(SUPPLY)/bin/python: $(INSTALLED)
	$(RUN) -m venv $(SUPPLY)
	$@ -m pip install --quiet cyclonedx-bom pip-audit

sbom: $(SUPPLY)/bin/python
	$(SUPPLY)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o sbom.json $(RUN)

audit: $(SUPPLY)/bin/python
	$(SUPPLY)/bin/pip-audit --strict --skip-editable --path "$$($(RUN) -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

clean:
	rm -rf .venv sbom.json demo_output build *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# mediapipe goes in without what it asks for: an old numpy and a second OpenCV, neither of which it uses. What it
# does use is in the extra `mediapipe`.
$(INSTALLED): pyproject.toml Makefile
	@set -e; \
	if ! $(RUN) -c "$(USABLE)" 2>/dev/null; then \
		found=; \
		for python in "$$PYTHON" python3 python3.14 python3.13 python3.12 python3.11 python3.10; do \
			if "$$python" -c "$(USABLE)" 2>/dev/null; then found=$$python; break; fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo "No Python 3.10 or newer with its venv module was found: install one (Debian and Ubuntu:" \
				"python3-venv) or name it, as in make demo PYTHON=/path/to/python3.12." >&2; \
			exit 1; \
		fi; \
		"$$found" -m venv --clear .venv; \
	fi
	$(RUN) -m pip install --quiet "pip>=23"
	$(RUN) -c "import torch" 2>/dev/null || $(RUN) -m pip install $(TORCH)
	$(RUN) -m pip install --editable ".[test,demo]"
	if $(RUN) -c "$(WITH_MEDIAPIPE)"; then \
		$(RUN) -m pip install --editable ".[mediapipe]" && $(RUN) -m pip install --no-deps $(MEDIAPIPE); \
	fi
	@touch $(INSTALLED)
