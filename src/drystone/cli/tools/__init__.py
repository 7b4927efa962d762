"""The tools of thin-provisioning-tools, a file a tool: one command each, under all its spellings."""
