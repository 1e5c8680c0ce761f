"""`tune`: how one model is served best on this machine, found by serving it, and kept.

candidates.py   every way that is worth a try
halving.py      which of them are measured, and for how long; pure
trial.py        one way, served and loaded as callers would
tuner.py        the search: trials in turns with what is served now, and the verdict
record.py       what was found, kept in the store by model and machine
serving.py      what `serve` takes from it
"""
