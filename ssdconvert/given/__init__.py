"""Two model files that somebody gives, one to be judged by the other."""
