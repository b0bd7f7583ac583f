"""Makes the passwords of the MLflow of `mlflow.yaml` once, in `mlflow.env` beside it, which Git ignores.

    python3 ops/compose/passwords.py [FILE]

A file that stands is left as it is: the databases were made with these passwords.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

NAMES = ("POSTGRES_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY")
_BYTES = 32  # of chance in each; letters, digits, - and _ only, so that a URL and a shell take them as they are


def main() -> int:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("mlflow.env")
    text = "".join(f"{name}={secrets.token_urlsafe(_BYTES)}\n" for name in NAMES)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{file} stands already and is left as it is")
        return 0
    with os.fdopen(handle, "w") as out:
        out.write(text)
    print(f"{file} made; MLflow's user admin has the password MLFLOW_AUTH_ADMIN_PASSWORD")
    return 0


if __name__ == "__main__":
    sys.exit(main())
