"""paddlesrv: from a model's name to a served endpoint, for PaddlePaddle models."""

__version__ = "0.1.0"
