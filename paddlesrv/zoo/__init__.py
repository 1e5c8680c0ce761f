"""The model zoo: catalogue, sources, download, unpack, store."""
