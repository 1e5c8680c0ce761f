"""Who may ask a server, and how much, on every protocol: API keys, limits, hosts, origins."""
