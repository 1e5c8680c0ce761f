"""Load on a server, and what it makes of it: `paddlesrv bench`, and the library behind it.

`wires` knows how requests and answers look on a connection, `load` sends them (closed or open
loop), `generator` does so in a process of its own, `subject` finds out what to send, `report`
sums up.
"""
