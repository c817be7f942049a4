"""What goes into towers: pixels and tokens."""
