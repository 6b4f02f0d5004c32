"""What this machine is: files, names, processes, devices, plugins, progress."""
