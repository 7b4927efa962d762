"""Volume management as functions from documents to documents."""
