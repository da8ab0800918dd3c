# What a developer runs; `just` alone lists it. Set up once: pip install -e '.[dev]'

_list:
    @just --list

# Rewrite the code as the style wants it
fmt:
    ruff check --fix .
    ruff format .

# Style and import rules
lint:
    ruff check .
    ruff format --check .
    PYTHONPATH=worker:producers lint-imports --no-logo

# mypy, strict, also over what users of the package write
types:
    mypy
    mypy tests/typing/public_api.py

# Unit tests, in seconds: `just test -k routing`
test *args:
    pytest tests/unit --hypothesis-profile dev {{args}}

# Everything that CI runs but the fresh environment: minutes
test-all *args:
    pytest {{args}}

# Kill processes, and drive the state machine, for long
chaos *args:
    pytest -m chaos {{args}}

# Install on bare systems (as root on Linux, with debootstrap)
deploy *args:
    pytest -m deploy {{args}}

# How fast: throughput (the engine), receiving (the receiver) or million (a store of a million numbers)
bench what="throughput" *args:
    python tests/benchmarks/{{what}}.py {{args}}

# The pages: their commands, links, keys, log events
docs:
    pytest tests/unit/test_papers.py tests/unit/test_logs_page.py tests/unit/test_store_page.py tests/acceptance/test_docs.py tests/acceptance/test_readme.py

# Write the JSON schema of trunkline.toml anew, after a change of a setting
schema:
    python tests/support/config_schema.py

# All that has to be green before a push
check: lint types test
