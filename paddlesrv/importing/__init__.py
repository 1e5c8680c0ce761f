"""Own models: from a file, directory or archive somewhere to an installed model; see `importer`."""
