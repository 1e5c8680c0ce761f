"""What evil input must not achieve, tried through the public commands."""
