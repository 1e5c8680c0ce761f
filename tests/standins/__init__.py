"""Small models that tests build for themselves, with answers that are known in advance."""
