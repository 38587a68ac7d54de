"""The benchmark: `make bench`, or `python -m tests.bench --help`.

It starts a database of its own (or takes the reader's), prepares it as `reserva migrate` does, starts the app as
`reserva serve --workers N` does, loads it over HTTP and prints tables. What must be exact is counted and checked
against the database; what is measured is reported as a ratio within one run, from interleaved rounds, by medians.
"""
