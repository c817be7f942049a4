"""The files of a library next to its engine: the ledger and the previews, in SQLite."""
