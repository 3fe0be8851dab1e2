"""`python -m benchmarks.frame.in_django MODULE …`: one module of `benchmarks` as a process of the application.

Started by `ground`. Models can be imported only after Django's setup; so this comes first and the module after it.
"""

import importlib
import os
import sys

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usercenter.settings")
    django.setup()
    importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
