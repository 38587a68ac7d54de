"""Tests of everything, mirroring `app`."""
