"""What is said on the wire: messages, frames and element types. Clients and server share it."""
