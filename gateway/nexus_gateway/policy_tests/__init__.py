"""Assertions about routes and policies, held by the functions that decide about real requests."""
