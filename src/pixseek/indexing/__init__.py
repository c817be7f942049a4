"""From sources to records: scan, compare, decode, embed, store."""
