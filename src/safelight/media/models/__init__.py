"""3D models: validation, facts, and rendering without a GPU or a display."""
