"""Whole methods in stages: each stage has a folder, runs once, and can be resumed."""
