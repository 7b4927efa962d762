# Two commands for a newcomer: `make demo` and `make test`. Each installs what it needs.
.PHONY: demo test check bench docs clean

demo:
	@scripts/set-up run
	@.venv/bin/python scripts/demo.py

test:
	@scripts/set-up test
	@scripts/check
	@.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(PYTEST)

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
