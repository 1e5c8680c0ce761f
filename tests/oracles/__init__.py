"""Ours beside the programs that it succeeds, run as they were published."""
