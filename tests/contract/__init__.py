"""What others rely on: indexes, floors, OpenAPI, commands, container files."""
