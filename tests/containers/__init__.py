"""The image and compose.yaml, built and run. `make containers` runs these tests, `make test` does not."""
