"""Encrypted ("sealed") models: one file that holds a model's files, decrypted in memory alone.

`container` is the format, `keys` where keys come from, `packing` what of a model goes in, `memory`
how files look that lie in memory, `opening` the way back.
"""
