"""What a worker does in a toolchain: a file for each kind of task, for Python 3.8 and the toolchain's packages."""
