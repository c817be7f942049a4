"""Filters over the rows of a vector file, answered from memory."""

from pixseek.engines.embedded.row_filters.evaluation import RowFilters

__all__ = ["RowFilters"]
