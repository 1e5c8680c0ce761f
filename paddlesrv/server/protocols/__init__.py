"""Codecs: bytes in, requests out, and back. Pure: no I/O, no engine, no clock."""
