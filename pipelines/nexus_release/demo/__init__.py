"""The main job, told as a story on one machine."""
