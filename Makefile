# Everything runs in .venv, which is made from the hash-pinned requirements.lock the first time and
# again only when the lock or pyproject.toml changes.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPARK := $(VENV)/.spark
LEADS ?= 20000
SEED ?= 7

export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := true

.PHONY: demo test test-browser test-spark check clean

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

demo: $(READY)
	$(BIN)/propensity simulate --leads $(LEADS) --seed $(SEED) --out data/raw
	$(BIN)/propensity run

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# The review in chromium, from /usr/bin/chromium or PROPENSITY_CHROMIUM.
test-browser: $(READY)
	$(BIN)/python -m pytest tests/browser

# The engine on Spark, in this process and over Spark Connect; needs Java 17 or later.
test-spark: $(SPARK)
	$(BIN)/python -m pytest tests/spark

$(SPARK): requirements-spark.lock $(READY)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps --requirement requirements-spark.lock
	touch $@

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

clean:
	rm -rf $(VENV)
