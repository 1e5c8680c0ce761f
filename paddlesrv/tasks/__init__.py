"""One module per task: request -> tensors, tensors -> result, result -> picture."""
