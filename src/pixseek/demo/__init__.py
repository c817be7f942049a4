"""Drawn scenes, their captions, and a small model that knows such drawings, not photographs."""
