"""3D models: checked when they come, described, and pictured without a GPU or a display."""
