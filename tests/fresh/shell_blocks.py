"""The shell commands of a page, as they are printed: `python3 tests/fresh/shell_blocks.py README.md`."""

import re
import sys
from pathlib import Path


def shell_blocks(page: Path) -> list[str]:
    """Return the blocks of a Markdown page that are marked as `sh`, in their order."""
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


if __name__ == "__main__":
    print("\n".join(shell_blocks(Path(sys.argv[1]))))
