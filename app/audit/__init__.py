"""The audit: conflicts in databases that Reserva may never have written, first of all payload-reserve's."""

from app.audit.report import Report
from app.audit.service import audit

__all__ = ["Report", "audit"]
