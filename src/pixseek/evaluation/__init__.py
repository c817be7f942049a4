"""How well searches find what they should: measures, with what chance alone makes of them."""
