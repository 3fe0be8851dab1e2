"""Makes the application's database before the server's first start: `python -m … POSTGRES --single ARGUMENT...`.

The server's single-user mode needs no port and no client; it reads SQL from its standard input.
"""

import subprocess
import sys

from devstack.parts.postgres import DATABASE

if __name__ == "__main__":
    statement = f"CREATE DATABASE {DATABASE}\n"
    subprocess.run(sys.argv[1:], input=statement, text=True, check=True)
