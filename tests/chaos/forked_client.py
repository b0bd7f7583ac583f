"""Has forked_nexus.py be this process: `python -IS forked_client.py SOCKET ARGUMENT...`.

It imports little, since it is started for each step.
"""

import json
import os
import socket
import sys
from pathlib import Path

asked = {"arguments": sys.argv[2:], "variables": dict(os.environ), "folder": str(Path.cwd())}
with socket.socket(socket.AF_UNIX) as caller:
    caller.connect(sys.argv[1])
    message = json.dumps(asked).encode() + b"\n"
    sent = socket.send_fds(caller, [message], [0, 1, 2])
    caller.sendall(message[sent:])
    status = int(caller.makefile().readline())
if status < 0:
    os.kill(os.getpid(), -status)
sys.exit(status)
