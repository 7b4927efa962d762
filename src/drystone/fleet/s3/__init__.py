"""The S3 protocol as values: signatures, operations, XML, errors. Pure: no sockets, no files, no clock of its own."""
