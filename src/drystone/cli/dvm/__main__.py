"""`python -m drystone.cli.dvm`."""

from drystone.cli.dvm import main

main()
