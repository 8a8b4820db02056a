"""Processes that are killed in the middle of their work."""

import os
import subprocess
import sys
import time

import torch


def kill_once_there(script, path):
    """Run a script in a process of its own, and kill -9 it as soon as a file is there.

    It has as many threads as this process, so that both compute the same numbers.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen([sys.executable, "-c", script], env=environment)
    while not path.exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
