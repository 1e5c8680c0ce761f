"""`tune`: how one model is served best on this machine, found by serving it, and kept.

candidates.py   every way that is worth a try
engines.py      the engines among them: those that were found to answer right
halving.py      which of them are measured, and for how long; pure
measured.py     what is measured, and what is wanted
trial.py        one way, served and loaded as callers would
search.py       trials in turns with what is served now, and the verdict
tuner.py        each network of a model in its turn
record.py       what was found, kept in the store by model and machine
serving.py      what `serve` takes from it
"""
