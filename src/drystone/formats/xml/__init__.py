"""XML of metadata dumps: rows of numbers to text and back, many at a time."""
