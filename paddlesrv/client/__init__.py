"""Asking a server."""
