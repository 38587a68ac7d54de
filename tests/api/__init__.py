"""HTTP, on mongomock-motor."""
