"""Drawn scenes, their captions, and a small model trained on such drawings, not on photographs."""
