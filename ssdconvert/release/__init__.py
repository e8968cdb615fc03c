"""What goes out of the door: the documents beside a build, the archive, and how both are checked."""
