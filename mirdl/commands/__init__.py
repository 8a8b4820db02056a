"""What the subcommands of ``mirdl`` do; each imports what it needs when it runs."""
