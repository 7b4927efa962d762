"""`drystone cluster` and `dlvm`: distributed volumes on the command line."""
