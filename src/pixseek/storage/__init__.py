"""What a library keeps beside its engine: the ledger and previews, in SQLite."""
