"""Libraries on Vespa: application packages, and the store over a deployed one."""
