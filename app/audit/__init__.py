"""Floor 5: the audit of databases that Reserva may never have written, first of all payload-reserve's."""

from app.audit.pipeline import read_pipeline
from app.audit.report import Report
from app.audit.service import MisspeltError, audit
from app.audit.shape import PLAIN, Shape, ShapeError, condition

__all__ = ["PLAIN", "MisspeltError", "Report", "Shape", "ShapeError", "audit", "condition", "read_pipeline"]
