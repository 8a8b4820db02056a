# The two commands: `make lab` and `make test`. `make help` lists the rest.
# Another interpreter: make lab PYTHON=python3.12

PYTHON ?= python3
JOBS ?= logical
NOTEBOOKS ?= $(sort $(shell find notebooks -name '*.ipynb' -not -path '*/.*' 2>/dev/null))

BIN := .venv/bin
READY := .venv/.ready

# Tests and notebooks run one per core, each on one thread, and draw into the notebook: numbers
# then do not depend on the number of cores, nor figures on the shell that started make.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 \
	MPLBACKEND=module://matplotlib_inline.backend_inline JUPYTER_PREFER_ENV_PATH=1

.PHONY: help lab test notebooks results bench bench-notebooks render lock clean
.DELETE_ON_ERROR:

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' Makefile | expand -t 18

lab: $(READY) ## install what is missing and open JupyterLab on lesson 00
	JUPYTER_PREFER_ENV_PATH=1 $(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) \
		$(or $(firstword $(wildcard notebooks/00_*.ipynb)),.)

test: $(READY) ## install what is missing, then ruff, pytest and every notebook under strict nbval
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(ONE_THREAD) $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --nbval \
		--nbval-sanitize-with tests/nbval.cfg --nbval-cell-timeout 600 tests $(NOTEBOOKS)

notebooks: $(READY) ## run notebooks again, in place (NOTEBOOKS=notebooks/02_*.ipynb for some)
	$(ONE_THREAD) $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.timeout=1200 --ExecutePreprocessor.record_timing=False $(NOTEBOOKS)

results: $(READY) ## run every experiment that has no row in results/ yet (hours; resumable)
	$(BIN)/python -m mirdl.experiments

bench: $(READY) ## speed and memory, as ratios measured in one run
	@set -e; for file in $(filter-out benchmarks/notebooks.py,$(wildcard benchmarks/*.py)); do \
		echo $$file; $(BIN)/python $$file; done

bench-notebooks: $(READY) ## minutes and memory of each notebook, into results/, lessons and README
	$(BIN)/python benchmarks/notebooks.py --save --fill

render: $(READY) ## render the embedded data again and compare it with the committed audio
	$(BIN)/mirdl data render --verify

lock: ## resolve requirements.lock again (needs uv)
	echo 'torch==2.13.0' > requirements.in
	uv pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --no-header \
		--no-annotate --extra render --extra shards --extra test --constraint requirements.in \
		--output-file requirements.out pyproject.toml
	grep '^#' requirements.lock > requirements.in
	grep -Ev '^(nvidia|cuda|triton)' requirements.out >> requirements.in
	mv requirements.in requirements.lock
	rm requirements.out

clean: ## remove the environment and every cache in the checkout
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# The stamp is written last: an install that was interrupted starts over, one that is done is not
# repeated until the lock or the project file changes.
$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "mirdl needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
		echo "Name another one: make $(or $(MAKECMDGOALS),lab) PYTHON=python3.12"; exit 1; }
	@$(BIN)/python -c '' 2>/dev/null || rm -rf .venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m mirdl doctor --mend
	@touch $@
