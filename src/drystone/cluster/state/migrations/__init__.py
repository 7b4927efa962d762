"""What leads from an older database to the present tables: Alembic's revisions, a file each, under `versions`."""
