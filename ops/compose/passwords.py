"""Makes the passwords of a stack once, in a file beside its Compose file, which Git ignores.

    python3 ops/compose/passwords.py [--of mlflow|logging|nexus] [FILE]

A file that stands is left as it is: the databases were made with these passwords.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path

NAMES = {
    "mlflow": ("POSTGRES_PASSWORD", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"),
    "logging": ("ELASTIC_PASSWORD", "KIBANA_PASSWORD", "KIBANA_ENCRYPTION_KEY", "VECTOR_PASSWORD"),
    "nexus": ("REDIS_PASSWORD", "GRAFANA_ADMIN_PASSWORD"),
}
USERS = {
    "mlflow": "MLflow's user admin has the password MLFLOW_AUTH_ADMIN_PASSWORD",
    "logging": "Kibana's user elastic has the password ELASTIC_PASSWORD",
    "nexus": "Grafana's user admin has the password GRAFANA_ADMIN_PASSWORD",
}
_BYTES = 32  # of chance in each; letters, digits, - and _ only, so that a URL and a shell take them as they are


def main() -> int:
    asked = argparse.ArgumentParser(description="Makes the passwords of a stack, once.")
    asked.add_argument("--of", choices=sorted(NAMES), default="mlflow")
    asked.add_argument("file", type=Path, nargs="?")
    given = asked.parse_args()
    file = given.file or Path(__file__).with_name(f"{given.of}.env")
    text = "".join(f"{name}={secrets.token_urlsafe(_BYTES)}\n" for name in NAMES[given.of])
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        print(f"{file} stands already and is left as it is")
        return 0
    with os.fdopen(handle, "w") as out:
        out.write(text)
    print(f"{file} made; {USERS[given.of]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
