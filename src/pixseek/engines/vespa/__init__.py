"""Libraries on Vespa: the application package that pixseek deploys there."""
