"""From a query to results: the language, vectors of terms, candidates, ranking, reasons."""
