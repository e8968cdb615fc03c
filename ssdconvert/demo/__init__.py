"""The embedded model `ssd-demo`: its pictures, its training, its checkpoint."""
