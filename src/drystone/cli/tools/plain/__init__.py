"""What some tools do once their command line is read, and reading those that are plain, without click."""
