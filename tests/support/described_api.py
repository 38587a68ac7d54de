"""Requests made from the description of the API, as `/docs` would send them, and checks of answers against it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema_rs

Description = dict[str, Any]


class Sample(NamedTuple):
    """A request of one operation, prefilled with the examples of the description."""

    name: str
    method: str
    path: str
    parameters: dict[str, Any]
    headers: dict[str, str]
    body: Any


class DescribedOperation(NamedTuple):
    """One operation of the description."""

    path: str
    method: str
    about: dict[str, Any]

    def samples(self, ids: Mapping[str, str]) -> Iterator[Sample]:
        """One for each example of the body, or the one that there is without a body.

        Args:
            ids: What stands in the path instead of the example, by the name of the parameter.
        """
        path, query, headers = self.path, {}, {}
        for parameter in self.about.get("parameters", []):
            name, example = parameter["name"], parameter.get("example")
            if parameter["in"] == "path":
                path = path.replace(f"{{{name}}}", ids.get(name, example))
            elif example is not None and parameter["in"] == "query":
                query[name] = example
            elif example is not None:
                headers[name] = example
        # A stream does not end; HEAD is answered as GET would be, but for that.
        method = "HEAD" if "text/event-stream" in self._answer_types else self.method.upper()
        content = self.about.get("requestBody", {}).get("content", {})
        for media_type, media in content.items():
            for name, example in media["examples"].items():
                typed = headers | {"Content-Type": media_type}
                yield Sample(name, method, path, query, typed, example["value"])
        if not content:
            yield Sample("", method, path, query, headers, None)

    @property
    def _answer_types(self) -> Mapping[str, Any]:
        """The media types of the answer."""
        types: Mapping[str, Any] = self.about["responses"].get("200", {}).get("content", {})
        return types


def operations_by_id(description: Description) -> dict[str, DescribedOperation]:
    """Every operation of the description."""
    return {
        about["operationId"]: DescribedOperation(path, method, about)
        for path, item in description["paths"].items()
        for method, about in item.items()
    }


def flaws(description: Description, schema: Mapping[str, Any], value: Any) -> list[str]:
    """What is wrong with a value of a schema that may refer to the components."""
    whole = {**schema, "components": description["components"]}
    # Through JSON, because the validator takes plain types alone.
    validator = jsonschema_rs.Draft202012Validator(json.loads(json.dumps(whole)), validate_formats=True)
    return [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(value)]
