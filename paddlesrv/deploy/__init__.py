"""From the description that `serve` takes to images, Compose, Kubernetes and a security gateway."""
