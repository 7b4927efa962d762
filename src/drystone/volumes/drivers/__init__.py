"""The drivers that come with Drystone."""
