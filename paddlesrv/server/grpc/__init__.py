"""The gRPC side: a server, and the services that it offers."""
