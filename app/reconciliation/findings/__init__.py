"""Findings as people read them, and what people decide about them.

Runs write them, see `app.reconciliation.findings_writer`.
"""
