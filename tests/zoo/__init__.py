"""The catalogue's models, each from its name to an answer."""
