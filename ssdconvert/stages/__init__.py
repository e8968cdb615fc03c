"""The stages of a build, one file each; none imports a later one."""
