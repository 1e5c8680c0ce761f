"""What runs a network: one protocol, several engines, and rules for devices and precision."""
