"""Other servers, each of which serves the same network in a virtual environment of its own.

`table` says what there is and with what it is installed and asked; `environments` makes the
virtual environments; `serve_NAME.py` are the servers: programs that the peer's own Python runs,
and that import nothing of this project but `network.py` beside them.
"""
