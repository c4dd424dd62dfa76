# SPDX-License-Identifier: MIT
"""Runs a test program of this folder with the trace on, and checks that every process's store can be
read and has lost nothing: run_traced.py PROGRAM"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from claims import MALLOC, VARVE

folder = tempfile.mkdtemp(prefix="varve-test-", dir="/dev/shm")
try:
    environment = dict(os.environ, LD_PRELOAD=MALLOC, VARVE_TRACE=folder)
    code = subprocess.run(sys.argv[1:], env=environment).returncode
    stores = glob.glob(folder + "/*.store")
    if not stores:
        print("FAILED: no process was traced")
        code = code or 1
    for store in stores:
        done = subprocess.run([VARVE, "report", "--top", "1", store], capture_output=True, text=True)
        if done.returncode != 0 or "lost" in done.stdout:
            print(f"FAILED {store}: {done.stdout}{done.stderr}")
            code = code or 1
finally:
    shutil.rmtree(folder, ignore_errors=True)
sys.exit(code)
