"""Why things were left out: how often each reason was met, with the first few examples of it."""

from dataclasses import dataclass, field

EXAMPLES = 3


@dataclass(slots=True)
class Reasons:
    """Counts and examples by reason."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Count one."""
        self.counts[reason] = self.counts.get(reason, 0) + 1
        shown = self.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(example)
