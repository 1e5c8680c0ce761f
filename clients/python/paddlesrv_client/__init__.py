"""Asking a paddlesrv server, or another that speaks its protocols."""

__version__ = "0.1.0"
