"""What `./tuzo` does: the environment, the embedded services and the processes of one checkout.

It runs before anything is installed, so it uses the standard library alone; the few imports of installed
packages are inside the functions that need them, after the environment is there.
"""
