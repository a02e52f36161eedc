"""Turn pip's report of a dry run into constraints.txt: `python .ci/lock.py < report.json`."""

import json
import re
import sys

# torch names its own CUDA packages, other ones for each build and platform.
LEFT_TO_TORCH = ("cuda-", "nvidia-", "triton")
OURS = "lookalike"

HEAD = """\
# The releases that the tests ran with. `make setup` and the Dockerfile install these, `make lock`
# chooses the newest ones anew. torch's own CUDA packages are left to torch.
"""


def main() -> None:
    """Print a sorted list of `name==version`; a build's own label (+cpu) is left out."""
    found = [entry["metadata"] for entry in json.load(sys.stdin)["install"]]
    pins = {re.sub(r"[-_.]+", "-", item["name"]).lower(): item["version"] for item in found}
    lines = [
        f"{name}=={version.partition('+')[0]}\n"
        for name, version in sorted(pins.items())
        if name != OURS and not name.startswith(LEFT_TO_TORCH)
    ]
    sys.stdout.write(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
