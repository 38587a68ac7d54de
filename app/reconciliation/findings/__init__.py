"""Findings as people read them, and what people say of them.

Runs write them down, see `app.reconciliation.findings_writer`.
"""
