"""What a scrape of `/metrics` says, as sums over the labels that a test does not ask for."""

from collections import Counter

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scraped:
    """The samples of a scrape."""

    def __init__(self, text: str) -> None:
        self.families: list[Metric] = [*text_string_to_metric_families(text)]
        self.samples = [sample for family in self.families for sample in family.samples]

    def by(self, name: str, *labels: str) -> Counter[str | tuple[str, ...]]:
        """The samples of a name that are not zero, summed up by one label, or by several as a tuple."""
        found: Counter[str | tuple[str, ...]] = Counter()
        for sample in self.samples:
            if sample.name == name and sample.value:
                values = tuple(sample.labels[label] for label in labels)
                found[values[0] if len(values) == 1 else values] += int(sample.value)
        return found

    def total(self, name: str) -> float:
        """The sum of all samples of a name."""
        return sum(sample.value for sample in self.samples if sample.name == name)

    def values(self, name: str) -> list[float]:
        """All samples of a name."""
        return [sample.value for sample in self.samples if sample.name == name]
