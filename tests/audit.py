"""Known vulnerabilities of the locked packages, by pip-audit: `make audit`.

pip-audit says "No known vulnerabilities found" also where its source knew none of the packages, or could not be asked.
Here that is a failure of its own. Exit codes: 0 none is known, 1 some are, 2 they could not be looked up.
"""

import json
import subprocess
import sys
from typing import Any

import click

from tests.support.servers import ROOT

NONE, SOME, COULD_NOT = 0, 1, 2

COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--requirement", "requirements.lock", "--require-hashes", "--disable-pip"),
    *("--format", "json", "--progress-spinner", "off"),
]


def verdict(output: str) -> tuple[int, list[str]]:
    """What the output of pip-audit means: the exit code, and lines for people."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return COULD_NOT, ["The source of known vulnerabilities cannot be reached from here: nothing was audited."]
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    if len(skipped) == len(packages):
        return COULD_NOT, ["The source of known vulnerabilities knows none of the packages: nothing was audited."]
    found = [
        f"{each['name']} {each['version']}: {fault['id']}, mended in {', '.join(fault['fix_versions']) or 'no version'}"
        for each in packages
        for fault in each.get("vulns", ())
    ]
    if skipped:
        found.append(f"Not audited, because the source does not know them: {', '.join(skipped)}.")
    audited = len(packages) - len(skipped)
    code = SOME if len(found) > bool(skipped) else COULD_NOT if skipped else NONE
    return code, [*found, f"{audited} of {len(packages)} packages were audited."]


def main() -> int:
    """Audit the lock; returns the exit code."""
    ended = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    code, lines = verdict(ended.stdout)
    click.echo("\n".join(lines))
    if not ended.stdout:
        click.echo("".join(ended.stderr.splitlines()[-1:]), err=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
