# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs.

# Tests that run side by side: one more than there are processors, as many of them wait for servers and guests.
WORKERS = $(shell n=$$(nproc); [ $$n -lt 3 ] && echo $$((n + 1)) || echo 4)

# Images of Python set it. Each worker and each guest would then compile all tests for itself: half a minute, each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo demo-cluster test check bench docs clean

demo:
	@scripts/set-up run
	@.venv/bin/python scripts/demo.py

demo-cluster:
	@scripts/set-up cluster
	@.venv/bin/python scripts/demo_cluster.py

test:
	@scripts/set-up test
	@scripts/check tests
	@.venv/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST)

check:
	@scripts/set-up test
	@scripts/check

bench:
	@scripts/set-up test
	@.venv/bin/python bench/run.py $(BENCH)

docs:
	@scripts/set-up test
	@.venv/bin/python scripts/write_reference.py

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
