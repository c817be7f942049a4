"""Where images come from. Each source finds candidates and reads their content."""
