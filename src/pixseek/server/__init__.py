"""A documented REST API and a page over libraries: `pixseek serve`."""
