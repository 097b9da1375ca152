"""Measurements of two trees side by side, and recorded traces."""
