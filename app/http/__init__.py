"""HTTP, the same for every noun: strict JSON, problems, ETags, pages, deadlines, the OpenAPI description."""
