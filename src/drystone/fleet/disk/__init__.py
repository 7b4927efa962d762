"""One disk's objects: plain files, an index beside them, and what makes both durable together."""
