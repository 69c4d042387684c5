"""Holds the API to the document that it serves, from outside.

Arguments: where the API is, its CA, and the file with the operator's token. First the document is
checked against the OpenAPI specification; then requests are made of it, good and bad, and every
answer has to be one that the document names. Which requests comes from a fixed seed.
"""

import json
import pathlib
import ssl
import subprocess
import sys
import tempfile
import urllib.request

from openapi_spec_validator import validate

SEED = "4"

# Requests of each operation that are drawn at random, beside those for each border of a schema.
EXAMPLES = "6"

# Left out: whether all that a schema lets through is taken (names of zones, rules for passwords
# and sums over several members are not to be said in it), and what has no links to follow.
CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "missing_required_header",
        "unsupported_method",
        "allow_header_conformance",
        "ignored_auth",
    ]
)


def main():
    url, authority, token_file = sys.argv[1:]
    source = f"{url}/v1/openapi.json"
    trusting = ssl.create_default_context(cafile=authority)
    with urllib.request.urlopen(source, context=trusting) as answer:
        document = json.load(answer)
    validate(document)
    # Where the document itself is is not tested again.
    tested = [path for place, path in document["paths"].items() if not place.endswith(".json")]
    operations = sum(len(path) - ("parameters" in path) for path in tested)

    token = pathlib.Path(token_file).read_text().strip()
    command = [sys.executable, "-m", "schemathesis.cli", "run", source, "--url", url]
    command += ["--tls-verify", authority, "--header", f"Authorization: Bearer {token}"]
    command += ["--phases", "examples,coverage,fuzzing", "--checks", CHECKS]
    command += ["--seed", SEED, "--max-examples", EXAMPLES, "--no-shrink"]
    command += ["--generation-database", "none", "--continue-on-failure", "--warnings", "off"]
    with tempfile.TemporaryDirectory() as folder:
        held = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL)
    print(f"{operations} operations to test")
    sys.exit(held.returncode)


main()
