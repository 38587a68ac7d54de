"""Floor 5: the audit of databases that Reserva may never have written, first of all payload-reserve's."""

from app.audit.pipeline import read_pipeline
from app.audit.report import Report
from app.audit.service import UnknownFieldsError, audit
from app.audit.shape import DEFAULT_SHAPE, Shape, ShapeError, parse_condition

__all__ = [
    "DEFAULT_SHAPE",
    "Report",
    "Shape",
    "ShapeError",
    "UnknownFieldsError",
    "audit",
    "parse_condition",
    "read_pipeline",
]
