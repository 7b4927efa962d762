"""What the pages of services share: how they look, how they keep themselves up to date, how values are spelled."""
