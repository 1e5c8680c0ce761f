"""The server: listeners, protocols, scheduler, workers."""
