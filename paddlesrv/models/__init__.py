"""Models as engines and tasks see them: `ModelSpec`, and how it is read from model files."""
