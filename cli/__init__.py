"""The `mimaface` command: one file a subcommand."""
