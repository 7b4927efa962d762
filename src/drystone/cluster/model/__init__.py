"""What a cluster is made of, as values, and what is decided about it, as functions of values. No I/O."""
